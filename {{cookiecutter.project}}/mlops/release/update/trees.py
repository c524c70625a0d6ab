"""Trees of Git that are made from another tree by changing some of its files."""

from collections.abc import Iterable, Mapping

from mlops.release.history.git import Git


def blobs(git: Git, tree: str, *paths: str) -> dict[str, str]:
    """Returns Git's hash of each file of a tree or commit, or of those below the paths, by path."""
    listed = git.run("ls-tree", "-r", "-z", tree, *paths).split("\0")
    entries = (line.split("\t", 1) for line in listed if line)
    return {path: about.split()[2] for about, path in entries}


def with_files(git: Git, tree: str, changes: Mapping[str, str | None]) -> str:
    """Returns the hash of a tree in which each file of `changes` has this text, or is gone if it is None.

    It uses the index of `git`, which holds that tree afterwards.
    """
    git.run("read-tree", tree)
    modes = {line.split("\t", 1)[1]: line[:6] for line in staged(git)}
    lines = []
    for path, text in changes.items():
        if text is None:
            lines.append(f"0 {'0' * len(tree)}\t{path}\0")
        else:
            blob = git.run("hash-object", "-w", "--stdin", given=text)
            lines.append(f"{modes.get(path, '100644')} {blob}\t{path}\0")
    git.run("update-index", "-z", "--index-info", given="".join(lines))
    return git.run("write-tree")


def staged(git: Git) -> list[str]:
    return list(filter(None, git.run("ls-files", "-z", "--stage").split("\0")))


def differing(git: Git, kinds: str, old: str, new: str, *paths: str) -> list[str]:
    """Returns the files that differ in one of these ways, by the letters of Git: R is a file that moved."""
    return changes(git, "--name-only", kinds, old, new, *paths)


def moves(git: Git, old: str, new: str) -> dict[str, str]:
    """Returns where each file is now that has moved."""
    found = changes(git, "--name-status", "R", old, new)
    return dict(zip(found[1::3], found[2::3], strict=True))


def changes(git: Git, form: str, kinds: str, old: str, new: str, *paths: str) -> list[str]:
    how = ("-r", "-z", "--find-renames", "--no-rename-empty", f"--diff-filter={kinds}")
    found = git.run("diff-tree", form, *how, old, new, "--", *paths)
    return list(filter(None, found.split("\0")))


def covers(parts: Iterable[str], path: str) -> bool:
    """Returns whether the path is one of the parts, or a file below one of them."""
    return any(path == part or path.startswith(f"{part}/") for part in parts)
