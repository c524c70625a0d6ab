"""Data that are pushed to an environment's branch to be scored: the files of data/incoming, in DVC.

They belong to that branch: no promotion or rollback moves them, and a commit that adds them is not a
release.
"""

from mlops.release.history.git import Git

FOLDER = "data/incoming"
ALL_ELSE = (".", f":(exclude){FOLDER}")


def is_arrival(path: str) -> bool:
    return path.startswith(f"{FOLDER}/")


def release_commit(git: Git, tip: str) -> str:
    """Returns the last commit of a branch that changed anything but data/incoming."""
    return git.run("rev-list", "-1", "--first-parent", tip, "--", *ALL_ELSE)


def with_arrivals(git: Git, tree: str, target: str) -> str:
    """Returns the tree with data/incoming as it is on `target`."""
    if git.succeeds("diff", "--quiet", tree, target, "--", FOLDER):
        return tree
    parent, name = FOLDER.split("/")
    arrived = git.lines("ls-tree", f"{target}:{parent}", name)
    data = with_entry(git, f"{tree}:{parent}", name, arrived)
    return with_entry(git, tree, parent, [f"040000 tree {data}\t{parent}"])


def with_entry(git: Git, tree: str, name: str, entry: list[str]) -> str:
    """Returns the tree with this entry, or without any, in the place of its own entry of that name."""
    others = [line for line in git.lines("ls-tree", tree) if not line.endswith(f"\t{name}")]
    return git.run("mktree", given="".join(f"{line}\n" for line in [*others, *entry]))
