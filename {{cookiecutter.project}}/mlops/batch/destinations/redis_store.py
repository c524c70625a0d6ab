"""The latest predictions in Redis, each read by one GET, many of them by one MGET:

    predictions:<environment>:<row key>   a JSON object, with a time to live (?ttl=30d)
    batch:<batch id>                      a hash of what became of the batch, for as long
    newest:<environment>                  when the newest batch in place was started

A batch is loaded into a hash that nobody reads, and one transaction then puts all of it in place: readers
see none of it or all of it, and wait meanwhile, some 5 s for a million rows. To a replica it goes as one
too, of 290 bytes a row: one whose client-output-buffer-limit is less has to copy the whole database. A
crash at any point leaves nothing but what expires within a minute.
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
from redis.exceptions import RedisError
from redis.retry import Retry

from mlops.batch.batches import Batch, Finished, Outcome, batch_facts
from mlops.batch.errors import AlreadyScored, DuplicateKey
from mlops.errors import Away, Refused, UsageError
from mlops.tables.urls import Url

TTL = re.compile(r"(\d{1,9})([smhd]?)")
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
DEFAULT_TTL = "30d"

LEASE = 60
"""Seconds for which a run holds a batch without a sign of life."""

PORTION = 5_000
"""Rows loaded at once: others wait for some milliseconds."""

SLICE = 100_000
"""Rows put in place by one script: one of over 5 s would have Redis refuse everyone else."""

PATIENCE = 60
"""Seconds for an answer."""

LONG_PATIENCE = 600
"""Seconds for an answer once there is a batch: the server may be putting one in place."""

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

# In one transaction. Redis takes nothing back of one that fails halfway: so nothing in it can fail but the
# first write of each script, and those all do where the server is out of memory.
BEGIN = """\
local claim, loaded, place, record = unpack(KEYS)
local token, rows, lease, ttl = unpack(ARGV)
if redis.call('GET', claim) ~= token or redis.call('HLEN', loaded) ~= tonumber(rows) then
    return 0
end
redis.call('SET', place, '0', 'EX', lease)
redis.call('DEL', record)
redis.call('HSET', record, unpack(ARGV, 5))
redis.call('EXPIRE', record, ttl)
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
    local found = page[2]
    for i = 1, #found, 2 do
        local key = prefix .. found[i]
        if not (is_late and is_newer(key)) then
            redis.call('SET', key, found[i + 1] .. common, 'EX', ttl)
        end
    end
    put = put + #found / 2
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
        with self._told():
            self._refuse_cluster()

    def finished(self, batch_id: str) -> Finished | None:
        with self._told():
            record = cast(dict[str, str], self._client.hgetall(f"batch:{batch_id}"))
        if not record:
            return None
        finished_at = datetime.fromisoformat(record["finished_at"])
        return Finished(int(record["rows"]), int(record["rejected"]), finished_at)

    def store(
        self,
        batch: Batch,
        rows: pa.RecordBatchReader,
        outcome: Callable[[], Outcome],
        *,
        force: bool,
    ) -> None:
        with (
            self._told(),
            redis_client(self.url, LONG_PATIENCE) as server,
            claimed_batch(server, batch) as claim,
        ):
            if not force and self.finished(batch.batch_id):
                raise AlreadyScored
            for piece in rows:
                claim.load(piece)
            if claim.publish(outcome(), self._ttl):
                return
            if not force and self.finished(batch.batch_id):
                raise AlreadyScored
            raise Away(
                f"{self.url} no longer has what was loaded of the batch: this machine stood still for "
                f"{LEASE} s, or the server has too little memory; nothing was stored, try again later"
            )

    def close(self) -> None:
        self._client.close()

    def _refuse_cluster(self) -> None:
        """It has no way to put keys of several servers in place at once."""
        said = self._client.execute_command("HELLO")  # type: ignore[no-untyped-call]
        facts = said if isinstance(said, dict) else dict(zip(said[::2], said[1::2], strict=True))
        if facts["mode"] == "cluster":
            raise Refused(
                f"{self.url} is a cluster, where a batch can't appear at once: name a server"
            )

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except RedisError as error:
            raise Away(
                f"{self.url} can't be used now: {error}; the batch is there in whole or not at all, "
                "try again later"
            ) from error


class Claim:
    """The right of one run to put the batch in place, and what it has loaded for that."""

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
                zip(keys, json_beginnings(portion).to_pylist(), strict=True)
            )
            with self._client.pipeline() as together:
                together.hset(self._loaded, items=[*items])
                together.expire(self._loaded, LEASE)
                added, _ = together.execute()
            if added < len(keys):
                raise duplicate_in_portion(keys)

    def publish(self, outcome: Outcome, ttl: int) -> bool:
        """Whether all of it is in place now; otherwise nothing is."""
        batch = self._batch
        started_at = batch.started_at.isoformat(timespec="microseconds")
        common = {
            "model_version": batch.model_version,
            "batch_id": batch.batch_id,
            "scored_at": started_at,
        }
        rows = (f"predictions:{batch.environment}:", f", {json.dumps(common)[1:]}", started_at, ttl)
        keys = [self._loaded, f"{self._loaded}:place"]
        record = [part for fact in batch_facts(batch, outcome).items() for part in map(str, fact)]
        begin, put = map(self._client.register_script, (BEGIN, PUT))
        with self._client.pipeline() as together:
            begin(
                [self._name, *keys, f"batch:{batch.batch_id}"],
                [self._token, outcome.rows, LEASE, ttl, *record],
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
    """Waits for another run that has the batch, or for the lease of one that crashed."""
    claim = Claim(server, batch)
    while not claim.take():
        time.sleep(0.2)
    done = threading.Event()
    alive = threading.Thread(target=keep_claim, args=(claim, done), daemon=True)
    alive.start()
    try:
        yield claim
    finally:
        done.set()
        alive.join()
        with suppress(RedisError):
            claim.release()


def keep_claim(claim: Claim, done: threading.Event) -> None:
    while not done.wait(LEASE / 6):
        with suppress(RedisError):
            claim.renew()


def json_beginnings(rows: pa.RecordBatch) -> pa.Array:
    """The JSON objects of the rows, without what is the same for the whole batch."""
    labels = rows["prediction"].dictionary_encode()
    quoted = pa.array(map(json.dumps, labels.dictionary.to_pylist()), pa.string())
    return pc.binary_join_element_wise(
        *('{"prediction": ', quoted.take(labels.indices)),
        *(', "probability_negative": ', rows["probability_negative"].cast(pa.string())),
        *(', "probability_positive": ', rows["probability_positive"].cast(pa.string())),
        "",
    )


def duplicate_in_portion(keys: Sequence[str]) -> DuplicateKey:
    """Of these, the last to be loaded, one is there twice or was there before."""
    key, times = Counter(keys).most_common(1)[0]
    between = f"a key that is one of those from {keys[0]!r} to {keys[-1]!r}"
    one = f"the key {key!r}" if times > 1 else between
    return DuplicateKey(
        f"two rows of the batch have {one}, and nothing was stored: name another --key, or leave it "
        "out to know rows by file and number"
    )


def redis_client(url: Url, patience: int) -> "redis.Redis":
    number = url.path.strip("/") or "0"
    if not number.isdecimal():
        raise UsageError(
            f"{url} should end in the number of a database, 0 for instance, not {number!r}"
        )
    return redis.Redis(
        host=url.host or "localhost",
        port=url.port or 6379,
        db=int(number),
        username=url.user,
        password=os.environ.get("REDIS_PASSWORD"),
        ssl=url.scheme == "rediss",
        socket_timeout=patience,
        socket_connect_timeout=10,
        retry=Retry(NoBackoff(), 0),  # what was loaded once would seem to come twice
        decode_responses=True,
    )


def time_to_live(url: Url) -> int:
    """In seconds."""
    text = url.options.get("ttl", DEFAULT_TTL)
    match = TTL.fullmatch(text)
    if not match or not int(match[1]) or url.options.keys() - {"ttl"}:
        raise UsageError(
            f"{url}: after the question mark comes for how long predictions live, ttl=3600, 45m, 12h "
            f"or {DEFAULT_TTL}, and nothing else"
        )
    return int(match[1]) * SECONDS[match[2]]


def open_destination(url: Url) -> RedisStore:
    return RedisStore(url)
