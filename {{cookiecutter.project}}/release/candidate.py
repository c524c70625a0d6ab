"""What a promotion would make, in a process of its own: `python -m release.candidate` ...

In the given working tree, which holds the source, this refuses what is not reproduced, names the
target environment, and runs what differs there. Its process group ends with the promotion that
began it, so that no training survives it.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from dvc.config import Config

from release import dvc, environments, repro
from release.errors import Refused, ReleaseError


def main(environment: str, tree: Path, home: Path, result: Path) -> int:
    end_with_parent()
    try:
        result.write_text(json.dumps({"made": make(environment, tree, home)}))
    except ReleaseError as error:
        result.write_text(json.dumps({"error": str(error)}))
        return error.exit_code
    return 0


def end_with_parent() -> None:
    """The parent holds the other end of standard input; when that closes, the group is killed."""

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def make(environment: str, tree: Path, home: Path) -> list[str]:
    """The stages made anew for `environment` in `tree`, with the cache and remotes of `home`."""
    with dvc.opened(tree, settings(home)) as repo:
        refuse_unreproduced(repo, environments.of(tree))
        (tree / environments.FILE).write_text(f"environment: {environment}\n")
        return repro.reproduce(repo)


def settings(home: Path) -> dict[str, Any]:
    """DVC's settings of the working tree `home`, its paths made absolute, its cache shared."""
    dvc_dir = home / ".dvc"
    config = Config(str(dvc_dir))
    cache = {"dir": str(dvc_dir / "cache"), **config["cache"]}
    return {"core": config["core"], "cache": cache, "remote": config["remote"]}


def refuse_unreproduced(repo: Any, source: str) -> None:
    cure = f"on {source}, `mlops repro` and commit, then again"
    if doubtful := dvc.unattested(repo):
        raise Refused(f"{source}: no run attests dvc.lock's {', '.join(doubtful)}: {cure}")
    if stale := repro.unreproduced(repo):
        raise Refused(f"{source} is not reproduced; not up to date: {', '.join(stale)}: {cure}")


if __name__ == "__main__":
    name, *paths = sys.argv[1:]
    sys.exit(main(name, *map(Path, paths)))
