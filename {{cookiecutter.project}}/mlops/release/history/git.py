"""Runs Git as a command in one working tree."""

import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from subprocess import PIPE

from mlops.errors import Refused
from mlops.release import child_environment
from mlops.release.errors import GitError

LOCKED = re.compile(r"^(?!remote:).*unable to create '(.+?\.lock)': File exists", re.I | re.M)
"""What Git says of a file of this clone that another Git locks, or one that was killed."""

ENGLISH = {"LANGUAGE": "C"}
"""What Git says is read, and shown among English sentences."""


class Git:
    """Runs Git in the working tree at `root`; a command that fails raises GitError.

    `variables` are environment variables beside those of `child_environment.for_command`.
    """

    def __init__(self, root: Path, **variables: str) -> None:
        self.root = root
        self.variables = variables

    @classmethod
    def of_current_directory(cls) -> "Git":
        """Returns Git in the working tree of the current directory. Raises GitError if there is none, and
        Refused if the project is only a part of it."""
        here = cls(Path.cwd())
        try:
            found = cls(Path(here.run("rev-parse", "--show-toplevel")))
        except GitError as error:
            if "safe.directory" in str(error):  # it belongs to another user, and Git names the cure
                raise
            raise GitError(
                f"{here.root} is not in a Git repository: `cd` into your project"
            ) from error
        for folder in (here.root, *here.root.parents):
            if folder.samefile(found.root):
                break
            if (folder / "dvc.yaml").exists() and (folder / "branch.yaml").exists():
                raise Refused(words_of_part(folder, found.root))
        return found

    @property
    def process_variables(self) -> dict[str, str]:
        """Returns the environment variables of every process of Git."""
        return child_environment.for_command() | ENGLISH | self.variables

    def run(self, *arguments: str, given: str | None = None) -> str:
        """Returns what the command printed, without its last newline; `given` is its standard input.

        Bytes that are not UTF-8, as in the name of a file, are surrogates in the text, as in Python's paths.
        """
        printed = self.raw(*arguments, given=given).decode(errors="surrogateescape")
        return printed.removesuffix("\n")

    def lines(self, *arguments: str) -> list[str]:
        """Returns the lines of what the command printed; only a newline ends a line."""
        printed = self.run(*arguments)
        return printed.split("\n") if printed else []

    def succeeds(self, *arguments: str) -> bool:
        """Returns whether the command ended with 0, as for `merge-base --is-ancestor`."""
        return self._process(*arguments).returncode == 0

    def branch(self) -> str | None:
        """Returns the branch that is checked out, or None on a detached HEAD or outside of a repository."""
        # Its short form is heads/dev where a tag is called dev, too.
        found = self._process("symbolic-ref", "--quiet", "HEAD").stdout
        return found.decode(errors="surrogateescape").strip().removeprefix("refs/heads/") or None

    def paths_inside(self, *names: str) -> list[Path]:
        """Returns the paths of files in Git's folder, that of this working tree for its own files."""
        asked = [word for name in names for word in ("--git-path", name)]
        return [Path(line) for line in self.lines("rev-parse", "--path-format=absolute", *asked)]

    def commit(self, revision: str) -> str | None:
        """Returns the full hash of the commit that `revision` names, or None; a range names none."""
        found = self._process("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        hashes = found.stdout.decode().split()
        return hashes[0] if len(hashes) == 1 else None

    def read_file(self, revision: str, path: str) -> bytes | None:
        """Returns the bytes of `path` at `revision`, or None if it is not there."""
        found = self._process("cat-file", "blob", f"{revision}:{path}")
        return found.stdout if found.returncode == 0 else None

    def export(self, revision: str, paths: Sequence[str], folder: Path) -> None:
        """Writes the paths, as they are at `revision`, into the folder."""
        import zipfile

        archive = self.raw("archive", "--format=zip", revision, "--", *paths)
        with zipfile.ZipFile(BytesIO(archive)) as file:
            file.extractall(folder)

    @contextmanager
    def transaction(self, updates: Sequence[str], reason: str) -> Iterator[None]:
        """Locks refs, and moves all of them when the block ends without an error; otherwise none moves.

        `updates` are lines of `git update-ref --stdin`. Raises GitError before the block runs where a
        ref is not as its line expects, or is locked by another process of Git.
        """
        command = ["git", "update-ref", "-m", reason, "--stdin"]
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(
                command,
                cwd=self.root,
                env=self.process_variables,
                bufsize=0,
                stdin=PIPE,
                stdout=PIPE,
                stderr=errors,
            ) as process,
        ):

            def send(*lines: str) -> None:
                """Sends lines; Git confirms the last one once all of them hold."""
                assert process.stdin
                assert process.stdout
                with suppress(BrokenPipeError):
                    process.stdin.write("".join(f"{line}\n" for line in lines).encode())
                if f"{lines[-1]}: ok\n".encode() not in iter(process.stdout.readline, b""):
                    errors.seek(0)
                    words = explained(errors.read().decode(errors="replace").strip())
                    raise GitError(f"git update-ref: {words}")

            send("start", *updates, "prepare")
            yield
            send("commit")

    def raw(self, *arguments: str, given: str | None = None) -> bytes:
        process = self._process(*arguments, given=given)
        if process.returncode:
            errors = process.stderr.decode(errors="replace").strip()
            words = explained(errors) or f"exit {process.returncode}"
            raise GitError(f"git {' '.join(arguments)}: {words}")
        return process.stdout

    def _process(
        self, *arguments: str, given: str | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                ["git", *arguments],
                cwd=self.root,
                env=self.process_variables,
                input=(given or "").encode(errors="surrogateescape"),
                capture_output=True,
                check=False,
            )
        except OSError as error:
            raise GitError(f"cannot run git in {self.root}: {error}") from error


def explained(errors: str) -> str:
    """Returns what Git says, or the remedy where a lock is in its way."""
    locked = LOCKED.search(errors)
    return words_of_lock(Path(locked[1])) if locked else errors


def words_of_lock(lock: Path) -> str:
    return (
        f"{lock} exists, since another Git is at work or was killed: wait until it ends, or, if none is, "
        f"`rm {shlex.quote(str(lock))}`, then again"
    )


def words_of_part(project: Path, repository: Path) -> str:
    return (
        f"{project} is a part of the Git repository {repository}, and a project has to be one of its own, "
        "with its branches: move it out, then `git init --initial-branch dev` in it, or clone it where it is "
        "alone"
    )
