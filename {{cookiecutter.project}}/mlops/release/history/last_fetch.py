"""When origin was asked last, by any command: Git notes each fetch in the file FETCH_HEAD."""

import time
from datetime import datetime
from pathlib import Path

from mlops.release.history.branches import ORIGIN
from mlops.release.history.git import Git

UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


def fetch_sentence(git: Git) -> str:
    """Returns a sentence: how old the knowledge of origin is, and how to renew it."""
    file = last_fetch_file(git)
    if file is None:
        return f"it is not known when {ORIGIN} was asked last: `git fetch` asks it"
    stat = file.stat()
    when = f"{age(time.time() - stat.st_mtime)} ago"
    if not stat.st_size:
        return f"{ORIGIN} did not answer {when}, and may have changed since it did: `git fetch` asks again"
    exact = datetime.fromtimestamp(stat.st_mtime).astimezone()
    return f"{ORIGIN} as it was {when} ({exact:%Y-%m-%d %H:%M}); `git fetch` asks it again"


def last_fetch_file(git: Git) -> Path | None:
    """Returns the file that the last fetch or the clone has written; a fetch that failed leaves it empty."""
    inside = ("FETCH_HEAD", f"logs/refs/remotes/{ORIGIN}/HEAD")
    paths = [
        Path(git.run("rev-parse", "--path-format=absolute", "--git-path", name)) for name in inside
    ]
    written = [path for path in paths if path.exists()]
    return max(written, key=lambda path: path.stat().st_mtime, default=None)


def age(seconds: float) -> str:
    """Returns the time in its largest unit, such as 3 hours."""
    for unit, length in UNITS:
        number = int(seconds // length)
        if number:
            return f"{number} {unit}{'s' if number > 1 else ''}"
    return "less than a second"
