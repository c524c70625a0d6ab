"""Gives a working tree a cache of its own, so that the cache of the project is not changed."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from configobj import ConfigObj
from dvc.repo import Repo

from mlops.errors import Away
from mlops.release.data import attestation, dvc, store
from mlops.release.data.dvc_settings import read_dvc_settings


class PrivateStore:
    """The data of a working tree: links to the project's cache.

    What is missing or damaged in the project's cache is fetched from the remote.
    """

    def __init__(self, repo: Repo, cache: Path, shared: Path) -> None:
        self._repo = repo
        self._cache = cache
        self._shared = shared

    def copy(self, md5: str, place: Path, *, path: str, commit: str) -> None:
        """Writes a copy of the file or directory with this hash, named at `commit`, to `place`."""
        self._link(md5)
        store.copy_object(self._repo, md5, place, path=path, commit=commit)

    def files(self, md5: str) -> dict[str, str] | None:
        """Returns the MD5 of each file of a directory, by path, or None if its list is not available."""
        self._link(md5)
        with suppress(Away):
            if not store.mend_cache(self._repo, [md5]):
                return store.files_in_directory(self._repo.cache.local, md5)
        return None

    def unattested(self, lock: bytes, pipeline: bytes) -> list[str]:
        """Returns the stages of `lock` without a recorded run, here or in the remote."""
        names = attestation.entries_without_run(lock, pipeline, self._shared / "runs")
        if names and dvc.fetch_records(self._repo):
            fetched = Path(self._repo.stage_cache.cache_dir)
            return [
                name
                for name in attestation.entries_without_run(lock, pipeline, fetched)
                if name in names
            ]
        return names

    def _link(self, md5: str) -> None:
        cache = self._repo.cache.local
        self._link_object(md5)
        if store.is_intact(cache, md5):
            for child in store.children(cache, md5):
                self._link_object(child)

    def _link_object(self, md5: str) -> None:
        own = Path(self._repo.cache.local.oid_to_path(md5))
        known = self._shared / own.relative_to(self._cache)
        if known.exists() and not own.exists():
            own.parent.mkdir(parents=True, exist_ok=True)
            own.symlink_to(known)


@contextmanager
def open_private_store(tree: Path, home: Path) -> Iterator[PrivateStore]:
    """Opens the store of the working tree `tree`, with the remotes of the project at `home`."""
    config, cache = shared_settings(tree, home), tree / ".dvc/cache"
    own = {**config, "cache": {"dir": str(cache), "type": "copy"}}
    with dvc.open_repo(tree, own) as repo:
        yield PrivateStore(repo, cache, Path(config["cache"]["dir"]))


def shared_settings(tree: Path, home: Path) -> dict[str, Any]:
    """Returns settings for DVC in `tree`: cache and remotes of `home`, and no files elsewhere."""
    config = read_dvc_settings(home)
    return {**config, "core": {**config["core"], "site_cache_dir": str(site_folder(tree))}}


def use_private_cache(tree: Path) -> dict[str, str]:
    """Configures the tree so that DVC uses only its own cache there; returns the variables to run it with."""
    # DVC itself writes only ASCII, and the path of a project may have other letters.
    local = ConfigObj(encoding="utf-8")
    local.filename = str(tree / ".dvc/config.local")
    local["cache"] = {"dir": str(tree / ".dvc/cache"), "type": "copy"}
    local["core"] = {"autostage": "false"}
    local.write()
    return {"DVC_SITE_CACHE_DIR": str(site_folder(tree)), "DVC_NO_ANALYTICS": "1"}


def site_folder(tree: Path) -> Path:
    """Returns the folder for DVC's index of the tree, which DVC would otherwise leave outside of it."""
    return tree / ".dvc/tmp/site"
