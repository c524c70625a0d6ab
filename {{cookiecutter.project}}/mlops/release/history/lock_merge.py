"""Git's merge driver for dvc.lock and reports/; runs under any python3, without an environment.

    git config merge.binary.driver "python3 -I mlops/release/history/lock_merge.py %O %A %B %P"

A text merge of dvc.lock can join halves of two runs into the record of a run that never happened.
Here an entry, the record of one stage's run, is merged whole: changed on one side it is taken,
changed on both it is dropped, so that DVC runs the stage. Reports stay as they are on our side;
the stage that writes them makes them anew. Exit code 1 leaves the file as a conflict.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

SCHEMA = "schema: '2.0'\n"
STAGES = "stages:\n"
ENTRY = re.compile(r"  (?P<name>[^\s#].*):\n(?:    .*\n|\n)+")


class UnknownLayoutError(Exception):
    pass


def split_lock(lock: str) -> dict[str, str]:
    """Returns the text of each entry of a dvc.lock, by stage. Raises UnknownLayoutError."""
    head, _, body = lock.partition(STAGES)
    if head not in ("", SCHEMA) or (body and not head):
        raise UnknownLayoutError(head.partition("\n")[0] or STAGES.strip())
    blocks = re.split(r"^(?=  \S)", body, flags=re.MULTILINE)
    entries: dict[str, str] = {}
    for block in filter(None, blocks):
        entry = ENTRY.fullmatch(block)
        if not entry or entry["name"] in entries:
            raise UnknownLayoutError(block.partition("\n")[0])
        entries[entry["name"]] = block
    return entries


def merge_entries(
    base: Mapping[str, str], ours: Mapping[str, str], theirs: Mapping[str, str]
) -> dict[str, str]:
    """Returns the merged entries in the order of `base`, then of the names, whichever side is ours."""
    merged = {}
    for name in [*base, *sorted({*ours, *theirs} - {*base})]:
        before, our, their = base.get(name), ours.get(name), theirs.get(name)
        if their in (our, before):
            chosen = our
        elif our == before:
            chosen = their
        else:
            chosen = None
        if chosen is not None:
            merged[name] = chosen
    return merged


def render_lock(entries: Mapping[str, str]) -> str:
    return SCHEMA + (STAGES + "".join(entries.values()) if entries else "")


def merge_files(base: Path, ours: Path, theirs: Path) -> None:
    """Writes the merge to `ours`, where Git expects it."""
    versions = [split_lock(path.read_bytes().decode()) for path in (base, ours, theirs)]
    ours.write_bytes(render_lock(merge_entries(*versions)).encode())


def main(base: str, ours: str, theirs: str, name: str) -> int:
    path = PurePosixPath(name)
    if "reports" in path.parts[:-1]:
        return 0
    if path.name != "dvc.lock":
        return 1
    try:
        merge_files(Path(base), Path(ours), Path(theirs))
    except (UnknownLayoutError, UnicodeDecodeError) as unknown:
        said = (
            f"{name} was not merged, since its layout is not known here: {unknown}. "
            f"Take one side (`git checkout --ours {name}`), commit it, and run `mlops repro`"
        )
        print(ascii(said)[1:-1], file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
