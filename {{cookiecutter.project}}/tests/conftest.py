import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small_project
from threadpoolctl import threadpool_limits

from pipeline import deploy, evaluate, gate, prepare, train
from pipeline.architectures import ARCHITECTURES
from serving import features

pytest_plugins = ["instant_project", "small_batch"]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """On a table this small threads only wait for each other; on a busy machine, for a minute."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a small project of which nothing was run."""
    small_project.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    small_project.make(folder)
    with contextlib.chdir(folder):
        for stage in (prepare, train, evaluate, gate, deploy):
            stage.main()
    return folder


@pytest.fixture
def trained(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a small project of which every stage was run."""
    shutil.copytree(finished, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
