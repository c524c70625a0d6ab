"""Lines about what a command has seen and does without, such as a tag that is not of mlops."""

import sys
from functools import cache

from mlops.errors import printable_text
from mlops.release.history.git import Git


def notice(git: Git, line: str) -> None:
    """Prints the line on standard error, once for each repository and process."""
    print_once(str(git.root), line)


@cache
def print_once(place: str, line: str) -> None:
    print(printable_text(line), file=sys.stderr)
