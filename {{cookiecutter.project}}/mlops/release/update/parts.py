"""The parts of the template that an owner has deleted, and that no update brings back."""

from pathlib import PurePosixPath

from mlops.release.history.git import Git
from mlops.release.update import trees


def deleted_parts(git: Git, old: str, new: str, recorded: list[str]) -> list[str]:
    """Returns the files and folders of the tree `old` that HEAD lacks, as they are named in `new`.

    `recorded` are those of earlier updates. A part that the template has moved stays deleted, and so does
    a file that is new in a folder of which nothing is left.
    """
    kept = trees.blobs(git, "HEAD")
    folders = {str(each) for path in kept for each in PurePosixPath(path).parents}
    known = {part for part in recorded if part not in kept.keys() | folders}
    gone = trees.differing(git, "D", without(git, old, [*known]), "HEAD")
    known |= {topmost_missing(path, folders) for path in gone}
    moved = trees.moves(git, old, new)
    lost = [to for source, to in moved.items() if trees.covers(known, source)]
    known |= {topmost_missing(path, folders) for path in lost}
    files = trees.blobs(git, new)
    return [part for part in sorted(known) if any(trees.covers([part], path) for path in files)]


def without(git: Git, tree: str, parts: list[str]) -> str:
    """Returns the hash of the tree without these parts."""
    gone = [path for path in trees.blobs(git, tree) if trees.covers(parts, path)]
    return trees.with_files(git, tree, dict.fromkeys(gone))


def topmost_missing(path: str, folders: set[str]) -> str:
    """Returns the outermost folder around the path that is not among the folders, or else the path."""
    around = [str(each) for each in PurePosixPath(path).parents][-2::-1]
    return next((folder for folder in around if folder not in folders), path)
