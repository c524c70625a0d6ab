"""Pieces scored by the workers of a Dask cluster, with the bundle that is sent to them by its hash.

A worker has this code and these libraries too, or refuses: else it might answer other bits. A piece
whose worker dies is given to another, so that a death costs time and no rows.
"""

import hashlib
import importlib
import logging
import pickle
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from threading import Lock
from typing import Any

from distributed import Client, Future, KilledWorker
from distributed.client import FutureCancelledError
from distributed.comm.core import CommClosedError

from mlops.batch.engines.engines import Engine
from mlops.batch.order import Order
from mlops.batch.scorer import Scored, Scorer
from mlops.errors import Away, Refused, UsageError
from mlops.predict.release import BUNDLE
from mlops.tables.pieces import Piece

SECONDS_TO_ANSWER = 10
PIECES_PER_THREAD = 2
CODE = Path(__file__).parents[3]
PARTS = (
    *("mlops/__init__.py", "mlops/errors.py", "mlops/predict", "mlops/contract", "mlops/tables"),
    *("mlops/batch", "science/__init__.py", "science/features.py"),
)
LIBRARIES = ("numpy", "onnxruntime", "pyarrow")
CURE = (
    "start the workers with what requirements/batch.txt locks, and PYTHONPATH set to the code of what "
    "is released, such as `git archive prod`"
)
LOADING = Lock()

Files = Mapping[str, bytes]
"""A bundle: its files by name."""


@contextmanager
def start_engine(order: Order, _: Scorer) -> Iterator[Engine]:
    files = {file.name: file.read_bytes() for file in Path(order.release, BUNDLE).iterdir()}
    client = connect_client(order.scheduler)
    ask_worker = self_contained()
    try:
        # A task, and no scattered data: Dask makes it again when the workers that hold it die.
        bundle = client.submit(dict, files, key=f"bundle-{digest_of_files(files)}")
        most = PIECES_PER_THREAD * sum(client.nthreads().values())

        def score(pieces: Iterable[Piece]) -> Iterator[Scored]:
            waiting: deque[Future] = deque()
            for piece in pieces:
                asked = (pickle.dumps(piece), bundle, order.key, answers_digest())
                waiting.append(client.submit(ask_worker, *asked, pure=False))
                if len(waiting) >= most:
                    yield scored_result(waiting.popleft(), order)
            while waiting:
                yield scored_result(waiting.popleft(), order)

        yield score
    finally:
        client.close()


def self_contained() -> Callable[..., Any]:
    """A function that is sent as it is, as nested ones are: the scheduler, which unpacks every task,
    has none of this code."""

    def ask_worker(piece: bytes, *others: Any) -> Any:
        module = importlib.import_module("mlops.batch.engines.dask_engine")
        return module.answer_piece(piece, *others)

    return ask_worker


def connect_client(scheduler: str | None) -> Client:
    if scheduler is None:
        raise UsageError(
            "--engine dask needs --scheduler tcp://host:8786, a running Dask scheduler"
        )
    # What it says of an end is said below.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = Client(scheduler, timeout=SECONDS_TO_ANSWER, set_as_default=False)
    except ValueError as error:
        raise UsageError(f"--scheduler {scheduler} can't be read: {error}") from None
    except OSError as error:
        raise Away(f"no Dask scheduler answers at {scheduler}: start it, or correct it") from error
    if not client.nthreads():
        client.close()
        raise Away(f"the scheduler {scheduler} has no worker: start one, `dask worker {scheduler}`")
    return client


def scored_result(future: Future, order: Order) -> Scored:
    try:
        scored: Scored = future.result()
    except ModuleNotFoundError as error:
        raise Refused(f"a worker has no {error.name}: {CURE}") from None
    except KilledWorker as error:
        raise Away(f"workers died one after the other of one piece: {error}") from None
    except (CommClosedError, FutureCancelledError) as error:
        raise Away(f"the Dask scheduler {order.scheduler} has gone: {error}") from None
    return scored


def answer_piece(pickled: bytes, bundle: Files, key: str | None, expected: str) -> Scored:
    """What a worker does with a piece."""
    if answers_digest() != expected:
        raise Refused(f"a worker has other code or libraries than what is released: {CURE}")
    with LOADING:
        scorer = scorer_of(Bundle(bundle), key)
    return scorer(pickle.loads(pickled))  # noqa: S301  a worker runs what its scheduler sends anyway


class Bundle:
    """Known by the hash of its files, so that a worker loads it once."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.digest = digest_of_files(files)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bundle) and self.digest == other.digest


@cache
def scorer_of(bundle: Bundle, key: str | None) -> Scorer:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in bundle.files.items():
            Path(folder, name).write_bytes(content)
        return Scorer(Path(folder), key)


def digest_of_files(files: Files) -> str:
    found = hashlib.sha256()
    for name in sorted(files):
        found.update(f"{name} {len(files[name])}\n".encode())
        found.update(files[name])
    return found.hexdigest()


def python_files(part: Path) -> Iterable[Path]:
    return part.rglob("*.py") if part.is_dir() else [part]


@cache
def answers_digest() -> str:
    """Processes in which this is the same answer the same bits."""
    files = [file for part in PARTS for file in python_files(CODE / part)]
    code = {file.relative_to(CODE).as_posix(): file.read_bytes() for file in files}
    libraries = {name: metadata.version(name).encode() for name in LIBRARIES}
    return digest_of_files(code | libraries)
