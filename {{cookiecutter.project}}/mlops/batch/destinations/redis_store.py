"""Stores the latest predictions in Redis, where one GET reads one of them and one MGET reads many:

    predictions:<environment>:<row key>   a JSON object, with a time to live (?ttl=30d)
    batch:<batch id>                      a hash of the facts about the batch, with the same time to live
    newest:<environment>                  when the newest batch that was published was started
    source:<environment>:<SHA-256>        when the newest batch of a file was started, and its version

A batch is loaded into a hash that nobody reads, and one transaction then publishes all of it. Readers see
either nothing of it or all of it, and wait during the transaction, some 5 s for a million rows. Replicas get
the transaction as a whole, some 290 bytes a row; a replica whose client-output-buffer-limit is smaller has to
copy the whole database. A crash at any time leaves only keys that expire within a minute.
"""

import json
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import chain
from typing import cast
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, ReadOnlyError, RedisError
from redis.retry import Retry

from mlops.batch.answers import json_objects
from mlops.batch.batches import Batch, Finished, Outcome, batch_facts
from mlops.batch.errors import AlreadyScored, DuplicateKey, duplicate_key
from mlops.batch.waiting import announce_wait
from mlops.errors import Away, MlopsError, Refused, UsageError
from mlops.tables.urls import Url

TTL = re.compile(r"(\d{1,9})([smhd]?)")
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
MISSING_RIGHT = re.compile("NOPERM|ACL failure")
"""What a transaction and a script say if a right is missing."""

DEFAULT_TTL = "30d"

LEASE = 60
"""The seconds after which a claim expires that its run does not renew."""

PORTION = 5_000
"""The number of rows that are loaded at once; other clients wait for some milliseconds."""

SLICE = 100_000
"""The number of rows that one script publishes; during a script of over 5 s Redis refuses other clients."""

PATIENCE = 60
"""The seconds to wait for an answer."""

LONG_PATIENCE = 600
"""The seconds to wait for an answer when a batch is stored: the server may be publishing another one."""

RENEW = """\
local claim, loaded = unpack(KEYS)
if redis.call('GET', claim) == ARGV[1] then
    redis.call('EXPIRE', claim, ARGV[2])
    redis.call('EXPIRE', loaded, ARGV[2])
end
"""

RELEASE = """\
local claim, loaded = unpack(KEYS)
if redis.call('GET', claim) == ARGV[1] then
    redis.call('DEL', claim)
end
redis.call('UNLINK', loaded)
"""

# BEGIN and PUT run in one transaction. Redis does not roll back a transaction that fails halfway, so nothing
# in it can fail except for the first write of each script, and these all fail if the server is out of memory.
BEGIN = """\
local claim, loaded, place, record, source = unpack(KEYS)
local token, rows, lease, ttl, latest = unpack(ARGV)
if redis.call('GET', claim) ~= token or redis.call('HLEN', loaded) ~= tonumber(rows) then
    return 0
end
local newest = redis.call('GET', source)
redis.call('SET', place, '0', 'EX', lease)
redis.call('DEL', record)
redis.call('HSET', record, unpack(ARGV, 6))
redis.call('EXPIRE', record, ttl)
if not newest or newest < latest then
    redis.call('SET', source, latest, 'EX', ttl)
end
return 1
"""

PUT = """\
local loaded, place, newest = unpack(KEYS)
local prefix, common, started_at, ttl, most = unpack(ARGV)
local cursor = redis.call('GET', place)
if not cursor then
    return
end
local latest = redis.call('GET', newest)
local is_late = latest and latest > started_at

local function is_newer(key)
    local value = redis.pcall('GET', key)
    local scored_at = type(value) == 'string' and value:match('"scored_at": "([^"]*)"}$')
    return scored_at and scored_at > started_at
end

local put = 0
repeat
    local page = redis.call('HSCAN', loaded, cursor, 'COUNT', 100)
    cursor = page[1]
    local entries = page[2]
    for i = 1, #entries, 2 do
        local key = prefix .. entries[i]
        if not (is_late and is_newer(key)) then
            redis.call('SET', key, entries[i + 1] .. common, 'EX', ttl)
        end
    end
    put = put + #entries / 2
until cursor == '0' or put >= tonumber(most)
if cursor ~= '0' then
    redis.call('SET', place, cursor, 'KEEPTTL')
    return
end
if not is_late then
    redis.call('SET', newest, started_at)
end
redis.call('UNLINK', loaded, place)
"""


class RedisStore:
    def __init__(self, url: Url) -> None:
        self.url = url
        self._ttl = time_to_live(url)
        self._client = redis_client(url, PATIENCE)
        with self._redis_errors():
            self._refuse_cluster()

    def finished(self, batch: Batch) -> Finished | None:
        with self._redis_errors():
            record = cast(dict[str, str], self._client.hgetall(f"batch:{batch.batch_id}"))
            latest = cast(str | None, self._client.get(source_key(batch)))
        if not record:
            return None
        moment, _, version = (latest or "").partition(" ")
        is_later = moment > record["started_at"] and version != batch.model_version
        return Finished(
            int(record["rows"]),
            int(record["rejected"]),
            datetime.fromisoformat(record["finished_at"]),
            version if is_later else None,
        )

    def store(
        self,
        batch: Batch,
        rows: pa.RecordBatchReader,
        outcome: Callable[[], Outcome],
        *,
        force: bool,
    ) -> None:
        with (
            self._redis_errors(),
            redis_client(self.url, LONG_PATIENCE) as server,
            claimed_batch(server, batch) as claim,
        ):
            if not force and self.finished(batch):
                raise AlreadyScored
            for piece in rows:
                claim.load(piece)
            if claim.publish(outcome(), self._ttl):
                return
            if not force and self.finished(batch):
                raise AlreadyScored
            raise Away(
                f"{self.url} no longer holds the rows that were loaded: this machine was suspended for "
                f"{LEASE} s, or the server has too little memory; nothing was stored, try again later"
            )

    def remove_before(self, environment: str, moment: datetime) -> list[int]:
        raise UsageError(
            f"{self.url}: Redis removes predictions itself when their time to live is over, such as ?ttl=30d"
        )

    def close(self) -> None:
        self._client.close()

    def _refuse_cluster(self) -> None:
        """Raises Refused for a cluster, which cannot publish keys of several servers at once."""
        hello = self._client.execute_command("HELLO")  # type: ignore[no-untyped-call]
        facts = (
            hello if isinstance(hello, dict) else dict(zip(hello[::2], hello[1::2], strict=True))
        )
        if facts["mode"] == "cluster":
            raise Refused(
                f"{self.url} is a cluster, in which a batch can't appear at once: name a single server"
            )

    @contextmanager
    def _redis_errors(self) -> Iterator[None]:
        """Turns a RedisError into Away if waiting may help, and else into UsageError or Refused."""
        try:
            yield
        except RedisError as error:
            raise self._mlops_error(error) from error

    def _mlops_error(self, error: RedisError) -> MlopsError:
        if isinstance(error, AuthenticationError) or "invalid username-password" in str(error):
            return UsageError(
                f"{self.url} can't be used: {error}; nothing was stored: set REDIS_PASSWORD to the "
                "password of the user in the URL, or of the server if the URL names no user"
            )
        if isinstance(error, NoPermissionError) or MISSING_RIGHT.search(str(error)):
            return Refused(
                f"{self.url}: {error}; nothing was stored: give the user the rights, such as `ACL SETUSER "
                f"{self.url.user or 'default'} ~* +@all -@dangerous`"
            )
        if isinstance(error, ReadOnlyError):
            return Refused(
                f"{self.url}: {error}; nothing was stored: name the primary server in the URL"
            )
        if "DB index is out of range" in str(error):
            return UsageError(f"{self.url}: {error}: correct the number of the database in the URL")
        if "certificate verify failed" in str(error):
            return UsageError(f"{self.url} can't be used: {error}: set SSL_CERT_FILE")
        return Away(
            f"{self.url} is unavailable now: {error}; either all of the batch is stored or nothing, "
            "try again later"
        )


class Claim:
    """The right of one run to publish a batch, and the rows that the run has loaded."""

    def __init__(self, server: "redis.Redis", batch: Batch) -> None:
        self._client = server
        self._batch = batch
        self._token = uuid4().hex
        self._name = f"batch:{batch.batch_id}:claim"
        self._loaded = f"batch:{batch.batch_id}:{self._token}"

    def take(self) -> bool:
        return bool(self._client.set(self._name, self._token, nx=True, ex=LEASE))

    def renew(self) -> None:
        self._run(RENEW, self._token, LEASE)

    def release(self) -> None:
        self._run(RELEASE, self._token)

    def load(self, rows: pa.RecordBatch) -> None:
        for start in range(0, len(rows), PORTION):
            portion = rows.slice(start, PORTION)
            keys = portion["row_key"].to_pylist()
            items = chain.from_iterable(
                zip(keys, self._json_beginnings(portion).to_pylist(), strict=True)
            )
            with self._client.pipeline() as together:
                together.hset(self._loaded, items=[*items])
                together.expire(self._loaded, LEASE)
                added, _ = together.execute()
            if added < len(keys):
                raise duplicate_in_portion(keys)

    def _json_beginnings(self, rows: pa.RecordBatch) -> pa.Array:
        """Returns the beginnings of the JSON objects of the rows, which are as the service answers; the rest
        is the same for the whole batch."""
        if self._batch.task == "regression":
            numbers = rows["number"].cast(pa.string())
            return pc.binary_join_element_wise('{"prediction": ', numbers, "")
        if self._batch.task == "binary":
            names = [str(each) for each in (self._batch.negative, self._batch.positive)]
            columns = rows["probability_negative"], rows["probability_positive"]
            probabilities = json_objects(names, columns)
        else:
            probabilities = rows["probabilities"]
        labels = rows["prediction"].dictionary_encode()
        quoted = pa.array(map(json.dumps, labels.dictionary.to_pylist()), pa.string())
        return pc.binary_join_element_wise(
            *('{"prediction": ', quoted.take(labels.indices)),
            *(', "probability": ', probabilities, ""),
        )

    def publish(self, outcome: Outcome, ttl: int) -> bool:
        """Publishes the loaded rows, and returns whether all of them were published; otherwise none was,
        because the claim or rows have expired."""
        batch = self._batch
        started_at = batch.started_at.isoformat(timespec="microseconds")
        common = {
            "model_version": batch.model_version,
            "batch_id": batch.batch_id,
            "scored_at": started_at,
        }
        rows = (f"predictions:{batch.environment}:", f", {json.dumps(common)[1:]}", started_at, ttl)
        keys = [self._loaded, f"{self._loaded}:place"]
        facts = {
            name: fact for name, fact in batch_facts(batch, outcome).items() if fact is not None
        }
        record = [part for fact in facts.items() for part in map(str, fact)]
        latest = f"{started_at} {batch.model_version}"
        begin, put = map(self._client.register_script, (BEGIN, PUT))
        with self._client.pipeline() as together:
            begin(
                [self._name, *keys, f"batch:{batch.batch_id}", source_key(batch)],
                [self._token, outcome.rows, LEASE, ttl, latest, *record],
                together,
            )
            for most in [*[str(SLICE)] * (outcome.rows // SLICE), "inf"]:
                put([*keys, f"newest:{batch.environment}"], [*rows, most], together)
            begun, *_ = together.execute()
        return bool(begun)

    def _run(self, script: str, *arguments: str | int) -> None:
        self._client.register_script(script)([self._name, self._loaded], arguments)


@contextmanager
def claimed_batch(server: "redis.Redis", batch: Batch) -> Iterator[Claim]:
    """Yields the claim on a batch. Waits until another run that has it ends, or until the claim of a run that
    crashed expires."""
    claim = Claim(server, batch)
    with announce_wait(f"another run of batch {batch.batch_id}, which is being stored,"):
        while not claim.take():
            time.sleep(0.2)
    done = threading.Event()
    renewal = threading.Thread(target=renew_claim, args=(claim, done), daemon=True)
    renewal.start()
    try:
        yield claim
    finally:
        done.set()
        renewal.join()
        with suppress(RedisError):
            claim.release()


def renew_claim(claim: Claim, done: threading.Event) -> None:
    while not done.wait(LEASE / 6):
        with suppress(RedisError):
            claim.renew()


def source_key(batch: Batch) -> str:
    return f"source:{batch.environment}:{batch.source_hash}"


def duplicate_in_portion(keys: Sequence[str]) -> DuplicateKey:
    """Returns the error for a portion in which a key occurs twice, or occurs that was loaded before."""
    key, times = Counter(keys).most_common(1)[0]
    between = f"the same key, which is among those from {keys[0]!r} to {keys[-1]!r}"
    which = f"the key {key!r}" if times > 1 else between
    return duplicate_key(which)


def redis_client(url: Url, patience: int) -> "redis.Redis":
    number = url.path.strip("/") or "0"
    if not number.isdecimal():
        raise UsageError(f"{url} should end in the number of a database, such as 0, not {number!r}")
    return redis.Redis(
        host=url.host or "localhost",
        port=url.port or 6379,
        db=int(number),
        username=url.user,
        password=os.environ.get("REDIS_PASSWORD"),
        ssl=url.scheme == "rediss",
        socket_timeout=patience,
        socket_connect_timeout=10,
        retry=Retry(NoBackoff(), 0),  # rows that are sent again would look like duplicates
        decode_responses=True,
    )


def time_to_live(url: Url) -> int:
    """Returns the time to live of predictions in seconds. Raises UsageError for other options of the URL."""
    text = url.options.get("ttl", DEFAULT_TTL)
    match = TTL.fullmatch(text)
    if not match or not int(match[1]) or url.options.keys() - {"ttl"}:
        raise UsageError(
            f"{url}: the only option is the time to live of predictions, such as ?ttl=3600, ?ttl=45m, "
            f"?ttl=12h or ?ttl={DEFAULT_TTL}"
        )
    return int(match[1]) * SECONDS[match[2]]


def open_destination(url: Url) -> RedisStore:
    return RedisStore(url)
