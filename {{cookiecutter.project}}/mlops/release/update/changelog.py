"""What the template's CHANGELOG asks of owners between two versions."""

import re
from collections.abc import Iterator

ASKED = ("What an owner must do", "Stages that run again")
UNRELEASED = "Unreleased"


def place(version: str) -> tuple[float, ...]:
    """Returns a key that sorts versions: 1.1.0.dev0 lies between 1.0.0 and 1.1.0, unreleased comes last."""
    if version == UNRELEASED:
        return (float("inf"),)
    numbers = tuple(map(float, re.findall(r"\d+", version)[:3]))
    return (*numbers, -1 if "dev" in version else 0)


def sections_between(text: str, old: str, new: str) -> Iterator[str]:
    """Yields what each version after `old`, up to `new`, asks; newest first.

    Unreleased changes count if `new` is no release.
    """
    last = UNRELEASED if "dev" in new else new
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        version = section.split(maxsplit=1)[0]
        if place(old) < place(version) <= place(last):
            for title in ASKED:
                found = re.search(rf"^### {title}\n+(.*?)\s*(?=^#|\Z)", section, re.M | re.S)
                if found:
                    yield f"{version}: {title}\n{found[1]}"
