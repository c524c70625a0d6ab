"""Reads many of Git's objects with one process."""

import subprocess
from collections.abc import Iterator, Sequence
from threading import Thread
from typing import IO, NamedTuple

from mlops.release.history.git import Git


class Blob(NamedTuple):
    """An object of Git: a file, or a folder, whose `kind` is tree."""

    hash: str
    content: bytes
    kind: str = "blob"


def read_objects(git: Git, names: Sequence[str]) -> Iterator[Blob | None]:
    """Yields the object of each name, `COMMIT:PATH` or a hash, in their order; None for what is not there."""
    with subprocess.Popen(
        ["git", "cat-file", "--batch", "--buffer"],
        cwd=git.root,
        env=git.process_variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        asking = Thread(target=request_objects, args=(process.stdin, names))
        asking.start()
        for _ in names:
            yield next_object(process.stdout)
        asking.join()


def request_objects(questions: IO[bytes], names: Sequence[str]) -> None:
    """Writes the names to Git. It runs in a thread, since Git stops reading until its answers are read."""
    with questions:
        questions.writelines(f"{name}\n".encode() for name in names)


def next_object(answers: IO[bytes]) -> Blob | None:
    header = answers.readline().split()
    if header[-1] == b"missing":
        return None
    content = answers.read(int(header[-1]))
    answers.read(1)
    return Blob(header[0].decode(), content, header[1].decode())


def entries_of_folder(folder: Blob | None) -> dict[bytes, str]:
    """Returns the hash of each entry of a folder by its name; there is none if it is not there or a file."""
    found: dict[bytes, str] = {}
    if folder is None or folder.kind != "tree":
        return found
    content, width, at = folder.content, len(folder.hash) // 2, 0
    while at < len(content):
        end = content.index(b"\0", at)
        _, _, name = content[at:end].partition(b" ")
        at = end + 1 + width
        found[name] = content[end + 1 : at].hex()
    return found
