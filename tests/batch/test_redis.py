"""Tests batches into a real Redis: what a reader sees while they are stored and after a crash."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from redis import Redis

import small_batch
from mlops.batch.answers import ROWS
from mlops.batch.batches import Batch, Outcome
from mlops.batch.destinations import destinations, redis_store
from mlops.batch.errors import AlreadyScored, DuplicateKey
from mlops.errors import Away, Refused, UsageError
from mlops.tables import urls
from scored_rows import START, batch, rows
from servers import free_port, redis_server
from small_batch import process, stored, table

MONTH = 30 * 86400
MANY = 20_000
FOUR = Outcome(4, 0, 0, START, ())


@pytest.fixture
def database(redis: str) -> Iterator[Redis]:
    with Redis.from_url(redis, decode_responses=True) as database:
        yield database
        database.flushall()


def store(
    url: str,
    batch: Batch,
    rows: pa.RecordBatchReader,
    outcome: Callable[[], Outcome] | None = None,
    *,
    force: bool = False,
) -> None:
    with closing(destinations.open_destination(urls.parse_url(url))) as opened:
        opened.store(batch, rows, outcome or (lambda: FOUR), force=force)


def store_keys(url: str, batch: Batch, keys: Sequence[str]) -> None:
    store(url, batch, rows(keys, 7_000), lambda: Outcome(len(keys), 0, 0, START, ()))


def predictions(database: Redis) -> dict[str, Any]:
    names = sorted(database.scan_iter("predictions:*", 10_000))
    values: Any = database.mget(names) if names else []
    return {
        name.rpartition(":")[2]: json.loads(value)
        for name, value in zip(names, values, strict=True)
    }


def batches(database: Redis) -> dict[str, str]:
    return {key: value["batch_id"] for key, value in predictions(database).items()}


def lasting_keys(database: Redis) -> set[str]:
    """Returns the keys that do not expire within a minute."""
    return {key for key in database.scan_iter("*", 10_000) if not 0 <= ttl(database, key) <= 60}


def ttl(database: Redis, key: str) -> int:
    seconds: Any = database.ttl(key)
    return int(seconds)


def expire_a_minute(database: Redis) -> None:
    lasting = lasting_keys(database)
    for key in database.scan_iter("*", 10_000):
        if key not in lasting:
            database.delete(key)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("/predictions", "the number of a database, such as 0, not 'predictions'"),
        ("/0?ttl=0d", r"the time to live of predictions, such as \?ttl=3600, .* or \?ttl=30d"),
        ("/0?ttl=1w", "the time to live of predictions"),
        ("/0?ttl=-5", "the time to live of predictions"),
        ("/0?timeout=5", "the only option is the time to live"),
    ],
)
def test_a_url_with_another_database_or_option_is_refused(end: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        destinations.open_destination(urls.parse_url(f"redis://localhost{end}"))


def test_a_cluster_is_refused(tmp_path: Path) -> None:
    words = "is a cluster, in which a batch can't appear at once"
    with (
        redis_server(tmp_path, "--cluster-enabled", "yes") as cluster,
        pytest.raises(Refused, match=words),
    ):
        destinations.open_destination(urls.parse_url(cluster.url))


def test_a_server_that_is_away_may_be_tried_again(released: Path, arrived: Path) -> None:
    away = f"redis://127.0.0.1:{free_port()}"
    done = process(released, to=away)
    assert done.returncode == 5
    assert done.stderr.splitlines()[-1].startswith(f"mlops: {away} is unavailable now: Error 111")


def test_the_password_comes_from_the_environment(
    released: Path, arrived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = ("--user", "scorer", "on", ">other", "~*", "+@all", "-@dangerous")
    with redis_server(tmp_path, *user, "--requirepass", "secret") as guarded:
        scorer = guarded.url.replace("//", "//scorer@")
        for url, password, code in (
            (guarded.url, "", 2),
            (guarded.url, "wrong", 2),
            (scorer, "secret", 2),
            (guarded.url, "secret", 0),
            (scorer, "other", 0),
        ):
            monkeypatch.setenv("REDIS_PASSWORD", password)
            done = process(released, to=url)
            assert done.returncode == code, done.stderr
            assert ("set REDIS_PASSWORD" in done.stderr) == (code == 2)
            assert not password or password not in done.stdout + done.stderr


def test_what_no_waiting_mends_is_named(redis: str, database: Redis) -> None:
    with pytest.raises(UsageError, match="DB index is out of range: correct the number"):
        destinations.open_destination(urls.parse_url(redis.replace("/0", "/999")))
    with (
        closing(destinations.open_destination(urls.parse_url(redis))) as opened,
        pytest.raises(UsageError, match="Redis removes predictions itself"),
    ):
        opened.remove_before("prod", START)
    database.acl_setuser(
        "reader", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-exec"]
    )
    with pytest.raises(Refused, match=r"no permissions to run the 'exec'.*ACL SETUSER reader"):
        store_keys(redis.replace("//", "//reader@"), batch("b"), ["x"])
    database.acl_deluser("reader")


def test_a_server_without_tls_is_not_spoken_to_in_plain_text(
    redis: str, database: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "PATIENCE", 1)
    database.config_resetstat()
    with pytest.raises(Away, match="is unavailable now"):
        destinations.open_destination(urls.parse_url(redis.replace("redis:", "rediss:")))
    commands: Any = database.info("commandstats")
    assert {*commands} == {"cmdstat_config"} or {*commands} == {"cmdstat_config|resetstat"}


def test_the_same_answers_as_in_sqlite(
    released: Path, arrived: Path, redis: str, database: Redis
) -> None:
    for to in (f"sqlite:///{small_batch.DATABASE}", redis):
        assert process(released, to=to, key="id").returncode == 0
    in_redis = predictions(database)
    expected = stored(
        "SELECT row_key, prediction, probability_negative, probability_positive, model_version, "
        "batch_id FROM predictions"
    )
    assert len(in_redis) == len(expected) == small_batch.ROWS
    for key, prediction, negative, positive, version, batch_id in expected:
        value = in_redis[key]
        assert (value["prediction"], value["model_version"]) == (prediction, version)
        assert value["batch_id"] == batch_id
        answered = value["probability"].values()
        assert [*map(np.float32, answered)] == [*map(np.float32, (negative, positive))]


def test_one_get_reads_a_whole_prediction(redis: str, database: Redis) -> None:
    store_keys(f"{redis}?ttl=12h", batch("b"), ["x", 'a "quoted" key: \n'])
    value: Any = database.get('predictions:prod:a "quoted" key: \n')
    assert json.loads(value) == {
        "prediction": "yes",
        "probability": {"no": 0.1, "yes": 0.1},
        "model_version": "v0",
        "batch_id": "b",
        "scored_at": "2026-11-23T14:00:00.000000+00:00",
    }
    assert 12 * 3600 - 60 < ttl(database, "predictions:prod:x") <= 12 * 3600


def test_only_the_latest_predictions_and_the_batch_last_for_their_time_to_live(
    redis: str, database: Redis
) -> None:
    store_keys(redis, batch("b"), ["x"])
    assert {*database.scan_iter()} == {
        "predictions:prod:x",
        "batch:b",
        "newest:prod",
        "source:prod:s",
    }
    assert MONTH - 60 < ttl(database, "predictions:prod:x") <= MONTH
    assert MONTH - 60 < ttl(database, "batch:b") <= MONTH
    record: Any = database.hgetall("batch:b")
    assert (record["source"], record["rows"], record["model_version"]) == ("rows.csv", "1", "v0")


def test_a_batch_is_scored_once_and_replaced_by_force(
    released: Path, arrived: Path, redis: str, database: Redis
) -> None:
    assert "scored 200 rows" in process(released, to=redis).stdout
    before = predictions(database)
    assert "already scored" in process(released, to=redis).stdout
    assert predictions(database) == before
    assert "scored 200 rows" in process(released, to=redis, force=True).stdout
    after = predictions(database)
    assert after.keys() == before.keys()
    assert all(after[key]["scored_at"] > before[key]["scored_at"] for key in before)


def test_after_a_rollback_the_earlier_version_answers_again(
    released: Path,
    arrived: Path,
    redis: str,
    database: Redis,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    newer = small_batch.release(released / "deploy", tmp_path_factory.mktemp("newer"), "v1.1.0")
    for version in ("v1.0.0", "v1.1.0", "v1.0.0", "v1.0.0", "v1.1.0"):
        small_batch.run(released if version == "v1.0.0" else newer, to=redis)
        answers = predictions(database).values()
        assert {answer["model_version"] for answer in answers} == {version}


def test_other_batches_and_environments_keep_their_rows(redis: str, database: Redis) -> None:
    store_keys(redis, batch("a"), ["x", "y"])
    store_keys(redis, batch("b", 1), ["y", "z"])
    store_keys(redis, batch("c", 2, "dev"), ["x"])
    assert database.exists("predictions:dev:x", "predictions:prod:x") == 2
    database.delete("predictions:dev:x")
    assert batches(database) == {"x": "a", "y": "b", "z": "b"}


def test_a_newer_prediction_is_not_overwritten_by_a_batch_that_ends_later(
    redis: str, database: Redis
) -> None:
    store_keys(redis, batch("newest", 2), ["x"])
    store_keys(redis, batch("old", 0), ["y", "z"])
    database.hset("predictions:prod:strange", "some", "thing")
    database.set("predictions:prod:stranger", "thing")
    store_keys(redis, batch("older", 1), ["x", "y", "strange", "stranger"])
    rest = dict.fromkeys(["strange", "stranger"], "older")
    assert batches(database) == {"x": "newest", "y": "older", "z": "old", **rest}
    store_keys(redis, batch("newer", 3), ["x"])
    assert batches(database)["x"] == "newer"


def test_a_batch_without_rows_is_a_batch(redis: str, database: Redis) -> None:
    store_keys(redis, batch("b"), [])
    with pytest.raises(AlreadyScored):
        store_keys(redis, batch("b"), ["x"])
    assert predictions(database) == {}


def test_a_batch_of_many_slices_is_published_whole(
    redis: str, database: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "SLICE", 300)
    keys = [f"key {number:05}" for number in range(MANY)]
    store_keys(redis, batch("b"), keys)
    assert [*batches(database)] == keys
    assert lasting_keys(database) == {f"predictions:prod:{key}" for key in keys} | {
        "batch:b",
        "newest:prod",
        "source:prod:s",
    }


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["x", "twice", "twice"], "two rows of the batch have the key 'twice', and nothing"),
        ([*map(str, range(MANY)), "1"], "the same key, which is among those from '19000' to '1'"),
    ],
)
def test_a_key_that_occurs_twice_is_named_and_nothing_stored(
    redis: str, database: Redis, keys: list[str], words: str
) -> None:
    with pytest.raises(DuplicateKey, match=words):
        store_keys(redis, batch("b"), keys)
    assert database.dbsize() == 0


@pytest.mark.parametrize("force", [False, True])
def test_a_failure_leaves_what_was_stored_before(redis: str, database: Redis, force: bool) -> None:
    store_keys(redis, batch("b"), ["x"])
    before = {*database.scan_iter()}

    def failing() -> Outcome:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store(redis, batch("b" if force else "c", 1), rows(["x", "y"]), failing, force=force)
    assert {*database.scan_iter()} == before
    assert batches(database) == {"x": "b"}


def test_an_error_of_the_rows_is_raised_unchanged(redis: str, database: Redis) -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        yield from rows(["x", "y"])
        raise ZeroDivisionError("mine")

    broken = pa.RecordBatchReader.from_batches(ROWS["binary"], failing())
    with pytest.raises(ZeroDivisionError, match=r"^mine$"):
        store(redis, batch("b"), broken)
    assert database.dbsize() == 0


def test_readers_see_a_whole_batch_or_none_of_it(
    redis: str, database: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "SLICE", 1000)
    keys = [f"key {number}" for number in range(MANY)]
    sample = [f"predictions:prod:{key}" for key in keys[:: MANY // 50]]
    seen: list[set[str]] = []
    done = Event()

    def read_until_done() -> None:
        with Redis.from_url(redis) as client:
            while not done.is_set():
                values: Any = client.mget(sample)
                seen.append({json.loads(value)["batch_id"] if value else "" for value in values})

    reader = Thread(target=read_until_done)
    reader.start()
    for number in range(5):
        store_keys(redis, batch(f"b{number}", number), keys)
    done.set()
    reader.join()
    assert all(len(names) == 1 for names in seen)
    assert len({name for names in seen for name in names}) > 3


def test_two_processes_at_once_make_one_batch(
    released: Path, arrived: Path, redis: str, database: Redis
) -> None:
    table(MANY).to_csv("rows.csv", index=False)
    both = [start(released, redis) for _ in range(2)]
    outputs = [each.communicate()[0] for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert sum("scored 20,000 rows" in each for each in outputs) == 1
    assert len(predictions(database)) == MANY


def test_a_run_that_lost_its_batch_stores_nothing(redis: str, database: Redis) -> None:
    lost = interrupted(lambda: database.delete("batch:b:claim"))
    with pytest.raises(Away, match="60 s"):
        store(redis, batch("b"), lost)
    assert database.dbsize() == 0


def test_a_run_that_was_overtaken_leaves_the_other_ones_batch(redis: str, database: Redis) -> None:
    def other() -> None:
        database.delete("batch:b:claim")
        store_keys(redis, batch("b", 1), [*"wxyz"])

    with pytest.raises(AlreadyScored):
        store(redis, batch("b"), interrupted(other))
    assert {value["model_version"] for value in predictions(database).values()} == {"v1"}


def interrupted(event: Callable[[], object]) -> pa.RecordBatchReader:
    def batches() -> Iterator[pa.RecordBatch]:
        yield from rows(["w", "x"])
        event()
        yield from rows(["y", "z"])

    return pa.RecordBatchReader.from_batches(ROWS["binary"], batches())


def test_a_run_that_takes_long_keeps_its_batch(
    redis: str, database: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "LEASE", 2)
    store(redis, batch("b"), interrupted(lambda: time.sleep(4)))
    assert batches(database) == dict.fromkeys("wxyz", "b")


KILLS: dict[str, Callable[[Redis], object]] = {
    "it has the batch": lambda database: [*database.scan_iter("batch:*:claim")],
    "it has loaded some": lambda database: loaded(database) > 0,
    "it has loaded half": lambda database: loaded(database) >= MANY // 2,
    "it has loaded all": lambda database: loaded(database) == MANY,
    "it has published": lambda database: database.exists("newest:prod"),
}


def loaded(database: Redis) -> int:
    hashes = database.scan_iter("batch:*:*", _type="HASH")
    counts: Any = [database.hlen(key) for key in hashes]
    return sum(counts)


@pytest.mark.parametrize("moment", KILLS)
def test_killed_at_any_moment_nothing_partial_is_seen_and_the_next_run_completes(
    released: Path, arrived: Path, redis: str, database: Redis, moment: str
) -> None:
    table(MANY).to_csv("rows.csv", index=False)
    running = start(released, redis)
    while not KILLS[moment](database):
        if running.poll() is not None:  # on a busy machine a moment can pass unseen
            assert running.returncode == 0
            break
    running.kill()
    running.communicate()
    whole = len(predictions(database))
    assert whole in (0, MANY)
    assert len(lasting_keys(database)) == (MANY + 3 if whole else 0)
    expire_a_minute(database)
    assert process(released, to=redis).returncode == 0
    assert len(predictions(database)) == MANY
    assert len(lasting_keys(database)) == MANY + 3 == database.dbsize()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_stopped_leaves_what_expires(
    released: Path, arrived: Path, redis: str, database: Redis, end: signal.Signals
) -> None:
    table(MANY).to_csv("rows.csv", index=False)
    running = start(released, redis)
    while not loaded(database):
        assert running.poll() is None
    running.send_signal(end)
    running.communicate()
    assert running.returncode
    assert lasting_keys(database) == set()


def test_a_server_that_goes_in_the_middle_and_comes_back(
    released: Path, arrived: Path, tmp_path: Path
) -> None:
    table(100_000).to_csv("rows.csv", index=False)
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    with (
        redis_server(tmp_path, *durable) as mortal,
        Redis.from_url(mortal.url, decode_responses=True) as database,
    ):
        running = start(released, mortal.url)
        while not loaded(database):
            assert running.poll() is None
        mortal.kill()
        _, errors = running.communicate()
        assert running.returncode == 5, errors
        assert errors.splitlines()[-1].endswith("is stored or nothing, try again later")
        mortal.start()
        assert lasting_keys(database) == set()
        expire_a_minute(database)
        assert process(released, to=mortal.url).returncode == 0
        mortal.kill()
        mortal.start()
        assert len(predictions(database)) == 100_000


def test_a_server_out_of_memory_keeps_what_it_had(
    released: Path, arrived: Path, tmp_path: Path
) -> None:
    with (
        redis_server(tmp_path) as small,
        Redis.from_url(small.url, decode_responses=True) as database,
    ):
        assert process(released, to=small.url).returncode == 0
        before = predictions(database)
        used: Any = database.info("memory")
        database.config_set("maxmemory", used["used_memory"] + 2_000_000)
        table(MANY).to_csv("rows.csv", index=False)
        done = process(released, to=small.url)
        assert done.returncode == 5
        assert "command not allowed when used memory > 'maxmemory'" in done.stderr
        assert predictions(database) == before
        assert len(lasting_keys(database)) == len(before) + 3
        database.config_set("maxmemory", 0)
        expire_a_minute(database)
        assert process(released, to=small.url).returncode == 0
        assert len(predictions(database)) == MANY


def test_memory_that_ends_between_loading_and_publishing_changes_nothing(
    tmp_path: Path,
) -> None:
    with (
        redis_server(tmp_path) as small,
        Redis.from_url(small.url, decode_responses=True) as database,
    ):
        store_keys(small.url, batch("a"), ["w", "x"])

        def full() -> Outcome:
            database.config_set("maxmemory", 1)
            return FOUR

        with pytest.raises(Away, match="maxmemory"):
            store(small.url, batch("b", 1), rows([*"wxyz"]), full)
        database.config_set("maxmemory", 0)
        assert batches(database) == {"w": "a", "x": "a"}
        assert lasting_keys(database) == {
            *("predictions:prod:w", "predictions:prod:x"),
            *("batch:a", "newest:prod", f"source:prod:{batch('a').source_hash}"),
        }


def start(released: Path, url: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        small_batch.command(released, to=url),
        env=small_batch.variables(released) | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
