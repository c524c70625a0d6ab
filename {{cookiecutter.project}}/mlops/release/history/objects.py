"""Reads many of Git's objects with one process."""

import subprocess
from collections.abc import Iterator, Sequence
from threading import Thread
from typing import IO, NamedTuple

from mlops.release import child_environment
from mlops.release.history.git import Git


class Blob(NamedTuple):
    hash: str
    content: bytes


def read_objects(git: Git, names: Sequence[str]) -> Iterator[Blob | None]:
    """Yields the blob of each name `COMMIT:PATH`, in their order; None for a path that is not there."""
    with subprocess.Popen(
        ["git", "cat-file", "--batch", "--buffer"],
        cwd=git.root,
        env=child_environment.for_command(),
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
    return Blob(header[0].decode(), content)
