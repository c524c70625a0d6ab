"""Scores pieces with the workers of a Dask cluster, to which it sends the bundle.

A worker whose code or libraries are not those of this process refuses to score, because its answers could
differ in their last bits. If a worker dies, Dask gives its pieces to another one, so that no rows are lost.
"""

import asyncio
import hashlib
import importlib
import logging
import pickle
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from threading import Lock
from typing import Any

from distributed import Client, Future, KilledWorker
from distributed.client import FutureCancelledError
from distributed.comm.core import CommClosedError, connect

from mlops.batch.engines.engines import Engine
from mlops.batch.order import ScoreOrder
from mlops.batch.scorer import Scored, Scorer
from mlops.errors import Away, Refused, UsageError
from mlops.predict.release import BUNDLE
from mlops.tables.pieces import Piece

SECONDS_TO_ANSWER = 10
SECONDS_TO_ASK = 5
SECONDS_WITHOUT_WORKER = 30
"""How long a batch waits for a new worker when the last one has died."""

PIECES_PER_THREAD = 2
CODE = Path(__file__).parents[3]
PARTS = (
    *("mlops/__init__.py", "mlops/errors.py", "mlops/predict", "mlops/contract", "mlops/tables"),
    *("mlops/batch", "science/__init__.py", "science/features.py"),
)
LIBRARIES = ("numpy", "onnxruntime", "pyarrow")
REMEDY = (
    "start the workers with the libraries of requirements/batch.txt, and with PYTHONPATH set to the "
    "released code, such as that of `git archive prod`"
)
LOADING = Lock()

Files = Mapping[str, bytes]
"""The contents of files, by name."""


@contextmanager
def start_engine(order: ScoreOrder, _: Scorer) -> Iterator[Engine]:
    files = {file.name: file.read_bytes() for file in Path(order.release, BUNDLE).iterdir()}
    client = connect_client(order.scheduler)
    ask_worker = self_contained_task()
    try:
        # The bundle is the result of a task, because Dask runs a task again if the workers that hold it die.
        bundle = client.submit(dict, files, key=f"bundle-{digest_of_files(files)}")
        most = PIECES_PER_THREAD * sum(client.nthreads().values())

        def score(pieces: Iterable[Piece]) -> Iterator[Scored]:
            waiting: deque[Future] = deque()
            for piece in pieces:
                arguments = (pickle.dumps(piece), bundle, order.key, answers_digest())
                waiting.append(client.submit(ask_worker, *arguments, pure=False))
                if len(waiting) >= most:
                    yield scored_result(waiting.popleft(), client, order)
            while waiting:
                yield scored_result(waiting.popleft(), client, order)

        yield score
    finally:
        client.close()


def self_contained_task() -> Callable[..., Any]:
    """Returns a function that Dask sends by value, as it does with nested functions. The scheduler unpacks
    every task, and does not have the code of this module."""

    def ask_worker(piece: bytes, *others: Any) -> Any:
        module = importlib.import_module("mlops.batch.engines.dask_engine")
        return module.answer_piece(piece, *others)

    return ask_worker


def connect_client(scheduler: str | None) -> Client:
    """Returns a client of a scheduler that has workers. Raises UsageError if the address is not valid, and
    Away if no scheduler answers or if it has no worker."""
    if scheduler is None:
        raise UsageError(
            "--engine dask needs --scheduler tcp://host:8786, a running Dask scheduler"
        )
    # It would log errors that are raised below.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        asyncio.run(greet_scheduler(scheduler))
        client = Client(scheduler, timeout=SECONDS_TO_ANSWER, set_as_default=False)
    except OSError as error:
        raise Away(
            f"no Dask scheduler answers at {scheduler}: start it, or correct --scheduler"
        ) from error
    except Exception as error:  # of the address, or of what another program says there
        raise UsageError(
            f"--scheduler {scheduler} is not the address of a Dask scheduler ({error}): give one such as "
            "tcp://host:8786"
        ) from None
    if not client.nthreads():
        client.close()
        raise Away(f"the scheduler {scheduler} has no worker: start one: `dask worker {scheduler}`")
    return client


async def greet_scheduler(scheduler: str) -> None:
    """Raises TimeoutError if nobody answers for a while. A client would wait for ever where another program
    listens and says nothing."""
    async with asyncio.timeout(SECONDS_TO_ANSWER):
        await (await connect(scheduler, timeout=SECONDS_TO_ANSWER)).close()


def scored_result(future: Future, client: Client, order: ScoreOrder) -> Scored:
    """Returns the scored piece. Raises Refused if the worker cannot score it, and Away if workers or the
    scheduler have died, or if no worker is left for a while."""
    try:
        scored: Scored = wait_for_result(future, client, order)
    except ModuleNotFoundError as error:
        raise Refused(f"a worker has no {error.name}: {REMEDY}") from None
    except KilledWorker as error:
        raise Away(f"several workers died while they scored the same piece: {error}") from None
    except (CommClosedError, FutureCancelledError) as error:
        raise Away(f"the Dask scheduler {order.scheduler} has stopped: {error}") from None
    return scored


def wait_for_result(future: Future, client: Client, order: ScoreOrder) -> Any:
    """Returns the result of a task. A task whose last worker has died waits for another worker for ever:
    raises Away if there is none for SECONDS_WITHOUT_WORKER seconds."""
    last = time.monotonic()
    while True:
        try:
            return future.result(timeout=SECONDS_TO_ASK)
        except TimeoutError:
            if future.done():
                raise
        now = time.monotonic()
        if client.nthreads():
            last = now
        elif now - last >= SECONDS_WITHOUT_WORKER:
            raise Away(
                f"the scheduler {order.scheduler} has had no worker for {now - last:.0f} s; nothing was "
                f"stored: start one, `dask worker {order.scheduler}`, and try again"
            )


def answer_piece(pickled: bytes, bundle: Files, key: str | None, expected: str) -> Scored:
    """Returns the scored piece; a worker calls this. Raises Refused if the worker's code or libraries are not
    those that are expected."""
    if answers_digest() != expected:
        raise Refused(
            f"a worker has other code or libraries than those that were released: {REMEDY}"
        )
    with LOADING:
        scorer = cached_scorer(Bundle(bundle), key)
    return scorer(pickle.loads(pickled))  # noqa: S301  a worker runs what its scheduler sends anyway


class Bundle:
    """A bundle that is equal to another one with the same files, so that a worker loads it once."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.digest = digest_of_files(files)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bundle) and self.digest == other.digest


@lru_cache(2)  # a worker that lives for months sees many models
def cached_scorer(bundle: Bundle, key: str | None) -> Scorer:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in bundle.files.items():
            Path(folder, name).write_bytes(content)
        return Scorer(Path(folder), key)


def digest_of_files(files: Files) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name} {len(files[name])}\n".encode())
        digest.update(files[name])
    return digest.hexdigest()


def python_files(part: Path) -> Iterable[Path]:
    return part.rglob("*.py") if part.is_dir() else [part]


@cache
def answers_digest() -> str:
    """Returns a digest of the code and libraries that answer. Processes with the same digest give the same
    answers, bit for bit."""
    files = [file for part in PARTS for file in python_files(CODE / part)]
    code = {file.relative_to(CODE).as_posix(): file.read_bytes() for file in files}
    libraries = {name: metadata.version(name).encode() for name in LIBRARIES}
    return digest_of_files(code | libraries)
