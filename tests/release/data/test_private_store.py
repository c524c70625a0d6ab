"""Tests the settings of a working tree with a cache of its own."""

from pathlib import Path

import pytest
from dvc.repo import Repo

from mlops.release.data.private_store import use_private_cache


def test_the_path_of_a_project_may_have_any_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "größe, [x] #1"
    tree.mkdir()
    monkeypatch.chdir(tree)
    Repo.init(no_scm=True)
    use_private_cache(tree)
    with Repo() as repo:
        assert Path(repo.cache.local.path) == tree / ".dvc/cache/files/md5"
        assert repo.config["core"]["autostage"] is False
