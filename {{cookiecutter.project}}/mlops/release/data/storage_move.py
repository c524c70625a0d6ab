"""Moves the default DVC remote: `python -m mlops.release.data.storage_move URL [SETTING=VALUE ...]`.

It is a process of its own, since the library of the new storage may just have been installed. What the
present remote has, and what the cache has of any branch or tag, is copied and found in the new one before
.dvc/config names it. A URL without a scheme is a directory, relative to the project.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from dvc.config import Config
from dvc.stage.cache import RunCacheNotSupported
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.transfer import transfer

from mlops.errors import Away, MlopsError, counted, say
from mlops.release.data import dvc, push, reach, store
from mlops.release.data.dvc import Repo

NEW = "new storage"
FIRST = "storage"
EVERY_REF = ("--branches", "--remotes", "--tags")


def main() -> int:
    url, *settings = sys.argv[1:]
    try:
        move_storage(Path.cwd(), url, dict(each.split("=", 1) for each in settings))
    except MlopsError as error:
        say(str(error))
        return error.exit_code
    return 0


def move_storage(root: Path, url: str, settings: Mapping[str, str]) -> None:
    """Copies everything to `url`, and makes it the address of the default remote.

    Raises Away or MlopsError, with .dvc/config as it was, if either storage cannot be used.
    """
    with dvc.open_repo(root) as repo:
        name = repo.config["core"].get("remote") or FIRST
        private = (
            Config(str(root / ".dvc"), validate=False).load_one("local")["remote"].get(name, {})
        )
        if "url" in private:
            raise MlopsError(
                f".dvc/config.local has an address of its own for {name!r}, which would stay in force here: "
                f"`dvc remote modify --local --unset {name} url`, then again"
            )
        new = {"core": {"remote": NEW}, "remote": {NEW: {**private, **settings, "url": url}}}
        with dvc.open_repo(root, new) as target:
            reach.require_remote(target, to_write=True)
            if reach.has_remote(repo):
                copy_remote(repo, target)
            say(push.send_history(target, EVERY_REF))
    with Config(str(root / ".dvc"), validate=False).edit("repo") as config:
        config["core"]["remote"] = name
        config["remote"][name] = {"url": url, **settings}


def copy_remote(repo: Repo, target: Repo) -> None:
    """Copies all objects and run records of the default remote of `repo` to that of `target`."""
    reach.require_remote(repo)
    old, new = repo.cloud.get_remote(), target.cloud.get_remote()
    with reach.contact_remote(repo), dvc.quiet_dvc():
        names = set(old.odb.all())
    copying = f"copying {counted(len(names), 'object')} from {reach.describe_remote(repo)}"
    say(copying)
    with reach.contact_remote(target, store.UNTAKEN):
        infos = {HashInfo("md5", name) for name in names}
        done = transfer(old.odb, new.odb, infos, cache_odb=repo.cache.local)
        store.open_directory(target, [new.odb.oid_to_path(name) for name in names])
    if done.failed or (lacked := store.lacked_objects(target, names)):
        count = len(done.failed) or len(lacked)
        raise Away(f"objects that could not be copied: {count} of {len(names)}; try again")
    copy_records(repo, target)


def copy_records(repo: Repo, target: Repo) -> None:
    old, new = repo.cloud.get_remote(), target.cloud.get_remote()
    try:
        with reach.contact_remote(target, store.UNTAKEN):
            copied = repo.stage_cache.transfer(old.legacy_odb, new.legacy_odb)
            runs = new.fs.join(new.path, "runs")
            places = [new.fs.join(runs, key[:2], key, value) for key, value in copied]
            store.open_directory(target, places)
    except RunCacheNotSupported as error:
        raise MlopsError(f"{error}: choose a storage of another kind") from error


if __name__ == "__main__":
    sys.exit(main())
