"""When origin was asked last.

`git fetch` leaves the file FETCH_HEAD, which is empty if it failed. The commands of mlops leave a file of
their own each time that origin has answered.
"""

import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from mlops.errors import counted
from mlops.release.history.git import Git
from mlops.release.history.shared_refs import ORIGIN

ANSWERED = "mlops-origin-answered"

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


def note_answer(git: Git) -> None:
    """Notes that origin has answered now; somebody who may not write to Git's folder notes nothing."""
    with suppress(OSError):
        (file,) = git.paths_inside(ANSWERED)
        file.write_text(f"{ORIGIN}\n", encoding="utf-8", newline="\n")


def last_fetch_file(git: Git) -> Path | None:
    """Returns the file that the last fetch, the last answer or the clone has left."""
    found = git.paths_inside(ANSWERED, "FETCH_HEAD", f"logs/refs/remotes/{ORIGIN}/HEAD")
    written = [path for path in found if path.exists()]
    return max(written, key=lambda path: path.stat().st_mtime, default=None)


def age(seconds: float) -> str:
    """Returns the time in its largest unit, such as 3 hours."""
    for unit, length in UNITS:
        number = int(seconds // length)
        if number:
            return counted(number, unit)
    return "less than a second"
