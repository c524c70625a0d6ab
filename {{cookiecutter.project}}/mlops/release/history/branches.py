"""The branches of the environments, here and on origin, and the reasons not to move one."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from mlops import environments
from mlops.errors import MlopsError, Refused
from mlops.release.errors import GitError
from mlops.release.history import arrivals, last_fetch, lockfile, remotes, shared_refs
from mlops.release.history.git import Git
from mlops.release.history.notices import notice
from mlops.release.history.shared_refs import SharedRefs

ORIGIN = shared_refs.ORIGIN

SHALLOW = (
    "this clone is shallow, so that versions and records can be missing: `git fetch --unshallow`"
)

REMADE = ("branch.yaml", "dvc.lock", "reports")
"""The paths that a promotion makes anew; every other path is taken from the source."""

BUT_REMADE = (*arrivals.ALL_ELSE, *(f":(exclude){path}" for path in REMADE))


def has_origin(git: Git) -> bool:
    return ORIGIN in git.lines("remote")


def fetch_origin(git: Git) -> SharedRefs | None:
    """Fetches the shared refs of origin, also in a clone of a single branch; returns None without origin.

    The tags that differ from origin's stay as they are, and are named in a notice. Raises Refused in a
    shallow clone, and RemoteAway if origin is out of reach.
    """
    refuse_shallow(git)
    return fetch_shared_refs(git) if has_origin(git) else None


def fetch_shared_refs(git: Git) -> SharedRefs:
    shared = shared_refs.compare_with_origin(git, remotes.contact(git, ORIGIN, *shared_refs.LIST))
    last_fetch.note_answer(git)
    if specs := shared.specs_to_fetch:
        remotes.contact(git, ORIGIN, *shared_refs.FETCH, *specs)
    for ref in shared.branches_gone:
        git.run("update-ref", "-d", ref)
    for line in shared_refs.differing_lines(shared.tags_differing):
        notice(git, line)
    return shared


def fetch_every_ref(git: Git) -> None:
    """Fetches every branch and tag of origin, as refs beside those of the user, which stay as they are.

    Raises Refused in a shallow clone.
    """
    refuse_shallow(git)
    if has_origin(git):
        remotes.contact(git, ORIGIN, *shared_refs.FETCH_ALL)


def is_shallow(git: Git) -> bool:
    return git.run("rev-parse", "--is-shallow-repository") == "true"


def refuse_shallow(git: Git) -> None:
    if is_shallow(git):
        raise Refused(
            "this clone is shallow, and a release needs its history: `git fetch --unshallow`"
        )


def unfetched(git: Git, names: Iterable[str]) -> list[str]:
    """Returns the branches that are not in this clone because it fetches others only."""
    if not has_origin(git):
        return []
    fetched = git.lines("config", "--get-all", f"remote.{ORIGIN}.fetch")
    if any("refs/heads/*:" in spec for spec in fetched):
        return []
    others = (name for name in names if not any(f"/{name}:" in spec for spec in fetched))
    positions = (read_position(git, name) for name in others)
    return [each.environment for each in positions if not (each.here or each.there)]


def unfetched_sentence(git: Git, environment: str) -> str | None:
    """Returns, with the command that fetches it, that this clone does not fetch the branch of an environment,
    or None."""
    if not unfetched(git, [environment]):
        return None
    return (
        f"there is no branch {environment} in this clone, which fetches single branches: "
        f"`git remote set-branches --add {ORIGIN} {environment} && git fetch`"
    )


def gaps(git: Git) -> Iterator[str]:
    """Yields a sentence, with the remedy, for each reason why this clone knows less than origin."""
    if is_shallow(git):
        yield SHALLOW
    if absent := unfetched(git, environments.CHAIN):
        yield (
            f"this clone does not fetch {', '.join(absent)}, so that their models and records are "
            f"missing: `git remote set-branches {ORIGIN} '*' && git fetch`"
        )


def fetch_if_in_reach(
    git: Git, say: Callable[[str], None], fetch: Callable[[Git], object] = fetch_shared_refs
) -> None:
    """Fetches from origin, and only says so if it is out of reach."""
    try:
        if has_origin(git):
            fetch(git)
    except GitError as error:
        say(f"{error}. The branches of {ORIGIN} are used as they were last fetched")


@dataclass(frozen=True)
class Position:
    """The last commit of an environment's branch, here and on origin, each None if there is no branch."""

    environment: str
    here: str | None
    there: str | None

    @property
    def ref(self) -> str:
        return f"refs/heads/{self.environment}"


def read_position(git: Git, environment: str) -> Position:
    """Returns where the branch is now; on origin, as of the last fetch."""
    return Position(
        environments.known_environment(environment),
        git.commit(f"refs/heads/{environment}"),
        git.commit(f"refs/remotes/{ORIGIN}/{environment}"),
    )


def tip_of(git: Git, environment: str) -> str:
    """Returns the last commit of the environment's branch, here or on origin, whichever is ahead."""
    return later_commit(git, read_position(git, environment))


def environment_at(git: Git, commit: str) -> str:
    """Returns the environment that branch.yaml names at a commit. Raises MlopsError if it names none."""
    content = git.read_file(commit, environments.FILE) or b""
    return environments.parse_environment(content.decode(errors="replace"))


def hotfix_tip(git: Git, hotfix: str, start: Position) -> str:
    """Returns the last commit of the branch `hotfix`, which is to be released to an environment.

    Raises Refused unless it has all commits of the environment's branch, and the environment's name.
    """
    environment = start.environment
    tip = git.commit(f"refs/heads/{hotfix}")
    if tip is None:
        raise Refused(f"there is no branch {hotfix!r} here: `git switch -c {hotfix} {environment}`")
    if not is_ancestor(git, later_commit(git, start), tip):
        raise Refused(
            f"{hotfix} lacks commits of {environment}, and would undo them: `git switch {hotfix} && git "
            f"merge {environment}`, then `mlops repro`, commit, and again"
        )
    named = environment_at(git, tip)
    if named != environment:
        raise Refused(
            f"{hotfix} is a branch of {named}, as its branch.yaml says, and not of {environment}: a hotfix "
            f"starts from the environment that it corrects, `git switch -c NAME {environment}`"
        )
    return tip


def later_commit(git: Git, position: Position) -> str:
    """Returns the commit of a position that is ahead. Raises Refused if there is none or they diverge."""
    environment, here, there = position.environment, position.here, position.there
    if here is None and there is None:
        make = f"`git branch {environment} COMMIT`"
        if sentence := unfetched_sentence(git, environment):
            raise Refused(f"{sentence}; if {ORIGIN} has none either, {make}")
        raise Refused(f"there is no branch {environment!r}, here or on {ORIGIN}: {make}")
    if here is None or there is None or here == there:
        return here or there or ""
    if is_ancestor(git, here, there):
        return there
    if is_ancestor(git, there, here):
        return here
    raise Refused(
        f"{environment} and {ORIGIN}/{environment} have diverged: "
        f"`git switch {environment} && git pull --rebase`, then again"
    )


def catch_up(git: Git, position: Position) -> Position:
    """Moves the branch here forward to where origin is, as is needed after an interrupted release."""
    here, there = position.here, position.there
    if not (here and there) or here == there or not is_ancestor(git, here, there):
        return position
    try:
        git.run("update-ref", "-m", f"catch up with {ORIGIN}", position.ref, there, here)
    except GitError as error:
        raise Refused(f"{position.environment} moved meanwhile: {error}. Run it again") from error
    return replace(position, here=there)


def is_ancestor(git: Git, old: str, new: str) -> bool:
    return git.succeeds("merge-base", "--is-ancestor", old, new)


def refuse_uncommitted(git: Git, source: str) -> None:
    if git.branch() != source:
        return
    if changed := git.lines("status", "--porcelain"):
        names = ", ".join(line[3:] for line in changed[:5])
        raise Refused(
            f"{source} has uncommitted work: {names}{' ...' if len(changed) > 5 else ''}: commit it "
            "(`git add -A && git commit`) or stash it"
        )


def refuse_empty(git: Git, source: str, commit: str) -> None:
    """Raises Refused if no stage was run at the commit, or its dvc.lock can't be read."""
    lock = git.read_file(commit, lockfile.LOCK)
    if lock is None:
        first = source == environments.CHAIN[0]
        cure = f"on {source}, `mlops repro` and commit" if first else f"`mlops promote {source}`"
        raise Refused(f"{source} has made no model yet: {cure}, then again")
    try:
        lockfile.refuse_damaged(lock)
    except MlopsError as error:
        raise Refused(f"{source} {commit[:7]}: {error}") from error


def refuse_checked_out(git: Git, environment: str) -> None:
    where = ""
    for line in git.lines("worktree", "list", "--porcelain"):
        if line.startswith("worktree "):
            where = line.removeprefix("worktree ")
        if line == f"branch refs/heads/{environment}":
            raise Refused(
                f"{environment} is checked out in {where}, and this command would move it: "
                f"`git -C {where} switch {environments.CHAIN[0]}`, then again"
            )


def refuse_blocked(git: Git, environment: str) -> None:
    """Raises Refused if branches stand where Git would keep the branch of the environment, here."""
    if found := git.lines(
        "for-each-ref", "--format=%(refname:strip=2)", f"refs/heads/{environment}/"
    ):
        raise Refused(
            f"a branch is called {found[0]}, so that Git can make no branch {environment} here: give it "
            f"another name, `git branch -m {found[0]} NAME`, then again"
        )


def refuse_lacking(git: Git, environment: str, target: str, source: str) -> None:
    """Raises Refused if a promotion would undo commits of the target that the source has not picked."""
    if lacking := lacked_commits(git, target, source):
        listed = "\n  ".join(git.run("log", "-1", "--format=%h %s", commit) for commit in lacking)
        picks = " ".join(commit[:7] for commit in lacking)
        first = environments.CHAIN[0]
        raise Refused(
            f"{environment} has changes that {environments.upstream(environment)} lacks, and a "
            f"promotion would undo:\n  {listed}\nbring them to {first}: "
            f"`git switch {first} && git cherry-pick -x {picks}`, then promote from there on"
        )


def lacked_commits(git: Git, target: str, source: str) -> list[str]:
    """Returns the target's own commits, oldest first, without those that only change remade paths."""
    own = own_changes(git, target, source)
    if own and (merge := last_merge_of_source(git, target, source)):
        own = own_changes(git, target, source, f"^{merge}")
    picks = ("--fixed-strings", "--grep=(cherry picked from commit ", "--format=%b")
    picked = git.run("log", *picks, source) if own else ""
    return [commit for commit in own if f"(cherry picked from commit {commit})" not in picked]


def own_changes(git: Git, target: str, source: str, *but: str) -> list[str]:
    return git.lines(
        "rev-list", "--no-merges", "--reverse", "--cherry-pick", "--right-only",
        f"{source}...{target}", *but, "--", *BUT_REMADE,
    )  # fmt: skip


def last_merge_of_source(git: Git, target: str, source: str) -> str | None:
    """Returns the target's last merge that is, but for the remade paths, a commit of the source, or None.

    It is a promotion or a merge by hand.
    """
    for line in git.lines("rev-list", "--first-parent", "--merges", "--parents", target):
        merge, _, *merged = line.split()
        if any(
            is_ancestor(git, each, source) and holds_all_of(git, merge, each) for each in merged
        ):
            return merge
    return None


def changes_between(git: Git, old: str, new: str) -> list[str]:
    """Returns a line for each commit between `old` and `new`, newest first."""
    return git.lines("log", "--no-merges", "--format=%h %s", f"{old}..{new}", "--", *BUT_REMADE)


def holds_all_of(git: Git, target: str, source: str) -> bool:
    """Returns whether the target already is what a promotion of the source would make it.

    The paths that a promotion makes anew do not count.
    """
    return is_ancestor(git, source, target) and git.succeeds(
        "diff", "--quiet", source, target, "--", *BUT_REMADE
    )
