"""What arrives on an environment's branch to be scored: the files of data/incoming, carried by DVC.

They come by a push and belong to that branch: no promotion or rollback moves them, and they make no
release of it.
"""

from mlops.release.history.git import Git

FOLDER = "data/incoming"
ALL_ELSE = (".", f":(exclude){FOLDER}")


def is_arrival(path: str) -> bool:
    return path.startswith(f"{FOLDER}/")


def release_commit(git: Git, tip: str) -> str:
    """The commit that made a branch what it is; since then nothing but data has arrived."""
    return git.run("rev-list", "-1", "--first-parent", tip, "--", *ALL_ELSE)


def with_arrivals(git: Git, tree: str, target: str) -> str:
    """The tree, but with what has arrived on `target`."""
    if git.succeeds("diff", "--quiet", tree, target, "--", FOLDER):
        return tree
    parent, name = FOLDER.split("/")
    arrived = git.lines("ls-tree", f"{target}:{parent}", name)
    data = with_entry(git, f"{tree}:{parent}", name, arrived)
    return with_entry(git, tree, parent, [f"040000 tree {data}\t{parent}"])


def with_entry(git: Git, tree: str, name: str, entry: list[str]) -> str:
    """The tree with that entry, or with none, in the place of its own of that name."""
    others = [line for line in git.lines("ls-tree", tree) if not line.endswith(f"\t{name}")]
    return git.run("mktree", given="".join(f"{line}\n" for line in [*others, *entry]))
