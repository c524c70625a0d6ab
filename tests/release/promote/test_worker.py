"""Tests that whatever stops the process that makes a challenger is told, whole."""

import os
import signal
from pathlib import Path

import pytest

from instant_project import refused
from machinery import PROJECT
from mlops.errors import MlopsError
from mlops.release.promote import worker
from tiny_pipeline import commit


def test_an_import_that_fails_is_told_with_its_kind_and_place(
    on_dev: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "mlops").symlink_to(PROJECT / "mlops")
    (tmp_path / "dvc.py").write_text("raise DeprecationWarning('pkg_resources is old')\n")
    monkeypatch.setattr(worker, "HERE", tmp_path)
    words = r"DeprecationWarning: pkg_resources is old \(.*dvc\.py, line 1\)"
    refused(on_dev, "staging", words, MlopsError)
    assert "Traceback" not in capfd.readouterr().err


def test_a_library_that_the_remote_needs_is_named(
    on_dev: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = on_dev / ".dvc/config"
    config.write_text(config.read_text().replace("../../storage", "s3://bucket/path"))
    commit(on_dev, "Another remote")
    refused(on_dev, "staging", "dvc-s3", MlopsError)
    assert "Traceback" not in capfd.readouterr().err


def test_what_kills_it_is_told(on_dev: Path) -> None:
    with worker.start_worker(on_dev, on_dev) as started:
        os.kill(started._process.pid, signal.SIGKILL)
        with pytest.raises(
            MlopsError, match=r"has ended \(signal 9, as the system does when memory"
        ):
            started.ask("measure")
