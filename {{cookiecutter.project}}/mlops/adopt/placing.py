"""Puts a table into a project, with one commit; if anything fails, the project is as it was before."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlops import environments
from mlops.errors import Refused
from mlops.release.data import dvc_settings, tables
from mlops.release.history import obstacles
from mlops.release.history.git import Git

RAW = Path("data/raw")
RECORD = "data/raw.dvc"


def refuse_unfit_state(git: Git) -> None:
    """Raises Refused if Git can't commit here now, if no branch is checked out or it is not one of dev, or if
    files that Git tracks have changes, and MlopsError without the settings of DVC."""
    dvc_settings.require_settings(git.root)
    obstacles.refuse_unfinished(git)
    obstacles.refuse_locked_index(git)
    obstacles.refuse_submodules(git)
    if git.branch() is None:
        raise Refused(
            "no branch is checked out, so that the commit would be on none: `git switch dev`"
        )
    if (name := environments.environment_of(git.root)) != "dev":
        raise Refused(f"this branch is {name}: a table is adopted on dev, `git switch dev`")
    if changed := git.lines("diff", "--name-only", "HEAD"):
        raise Refused(
            f"the working tree has changes that are not committed ({', '.join(changed[:5])}): commit or "
            "restore them first, so that `git revert` can undo the adoption"
        )


def put(
    git: Git,
    texts: Mapping[str, str],
    files: Mapping[str, Callable[[Path], None] | Path],
    message: str,
    check: Callable[[], None],
) -> str:
    """Writes texts by their path, and files by their name into data/raw in place of those there, and commits
    both. `check` may raise an error after all is written. Returns the commit. Raises Refused if the project
    has the same texts and files already.

    A file is copied from its path, or written by a function of its new path.
    """
    paths = [*texts, RECORD]
    with restored_on_error(git, paths, files) as sources:
        for path, text in texts.items():
            (git.root / path).write_text(text, encoding="utf-8", newline="\n")
        for name, source in sources.items():
            target = git.root / RAW / name
            if isinstance(source, Path):
                shutil.copy2(source, target)
            else:
                source(target)
        check()
        tables.record_table(git.root)
        git.run("add", "--", *paths)
        if not git.lines("diff", "--cached", "--name-only", "--", *paths):
            raise Refused(
                "the project has this table already, and declares it so: nothing was changed"
            )
        git.run("commit", "--quiet", "--message", message, "--", *paths)
    return git.run("rev-parse", "--short", "HEAD")


def add(git: Git, files: Mapping[str, Path], message: str) -> str:
    """Copies files into data/raw, in place of those with the same names, and commits that. Returns the
    commit."""
    tables.keep_recorded_table(git.root)
    places = {git.root / RAW / name: file for name, file in files.items()}
    try:
        for place, file in places.items():
            place.unlink(missing_ok=True)  # not written: it may be a link into the cache
            shutil.copy2(file, place)
        tables.record_table(git.root)
        git.run("add", "--", RECORD)
        git.run("commit", "--quiet", "--message", message, "--", RECORD)
    except BaseException:
        git.run("restore", "--staged", "--worktree", "--", RECORD)
        for place in places:
            place.unlink(missing_ok=True)
        tables.restore_table(git.root)
        raise
    return git.run("rev-parse", "--short", "HEAD")


@contextmanager
def restored_on_error(
    git: Git, paths: Sequence[str], files: Mapping[str, Callable[[Path], None] | Path]
) -> Iterator[Mapping[str, Callable[[Path], None] | Path]]:
    """Yields the files with the places where they are while data/raw is empty. What the block has changed is
    undone if it raises anything."""
    raw, aside = git.root / RAW, git.root / ".dvc/tmp/adopt"
    shutil.rmtree(aside, ignore_errors=True)
    (aside / "new").mkdir(parents=True)
    moved = {}
    try:
        for name, source in files.items():
            if isinstance(source, Path) and source.resolve().parent == raw.resolve():
                moved[name] = aside / "new" / name, source
                source.rename(aside / "new" / name)
        tables.keep_recorded_table(git.root)
        if raw.exists():
            raw.rename(aside / "old")
        raw.mkdir(parents=True)
        yield {name: moved[name][0] if name in moved else source for name, source in files.items()}
    except BaseException:
        if (aside / "old").exists():
            shutil.rmtree(raw, ignore_errors=True)
            (aside / "old").rename(raw)
        for place, source in moved.values():
            place.rename(source)
        git.run("restore", "--staged", "--worktree", "--", *paths)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
