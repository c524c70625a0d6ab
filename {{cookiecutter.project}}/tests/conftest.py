import contextlib
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from pipeline.architectures import ARCHITECTURES
from serving import features

pytest_plugins = ["small_project", "contenders", "instant_project", "small_batch"]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """On a table this small threads only wait for each other; on a busy machine, for a minute."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """What a shell starts in the background ignores the signal, and so would all that the tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def registries() -> Iterator[None]:
    """What a test adds to the architectures and the derived columns is gone after it."""
    with restored(ARCHITECTURES), restored(features.DERIVED):
        yield


@contextlib.contextmanager
def restored(registry: dict[str, Any]) -> Iterator[None]:
    before = dict(registry)
    yield
    registry.clear()
    registry.update(before)
