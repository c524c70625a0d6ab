"""Rollback: an environment becomes again what an older record of it says. No stage is ever run.

It is a release of its own: a new commit with the record's tree, and a record of it, so that history is
kept and can be rolled back in turn.
"""

from dataclasses import replace

from release import arrivals, branches, environments, promotion, records, worktree
from release.errors import Refused
from release.git import Git
from release.promotion import Say
from release.records import Kept, Record
from release.worker import started


def roll_back(git: Git, environment: str, to: str | None, say: Say) -> Record:
    """The record of the rollback, to the record or version `to`, or else to the one before."""
    if environments.known(environment) == environments.CHAIN[0]:
        raise Refused(f"nothing is released to {environment}: `git revert` undoes a commit there")
    with worktree.one_release_at_a_time(git):
        known = records.latest(git, environment)
        branches.fetch(git)
        branches.refuse_checked_out(git, environment)
        target = branches.tip(git, environment)
        branches.catch_up(git, environment, target)
        kept = records.of(git, environment)
        if to is None:
            refuse_unseen(known, kept)
        wanted = records.find(git, environment, to) if to else before(environment, kept)
        refuse_the_same(git, environment, target, wanted)
        commit = committed(git, environment, target, wanted)
        say(f"checking every output of {wanted.record.name}, byte for byte")
        with started(git.root, git.root) as worker:
            count = worker.ask("restore", commit=commit)
            say(f"{count} outputs are as recorded")
            worker.ask("push", commits=[commit])
        record = replace(
            wanted.record,
            kind="rollback",
            number=kept[-1].record.number + 1,
            restored=wanted.record.restored or wanted.record.name,
        )
        promotion.publish(git, commit, record)
        return record


def refuse_unseen(known: Kept | None, kept: list[Kept]) -> None:
    """Two who roll back at once, or one whose command was cut short, mean one step and not two."""
    if kept and kept[-1] != known and kept[-1].record.restored:
        raise Refused(
            f"{kept[-1].record.title}: {kept[-1].author} did so meanwhile. "
            "To go back further, run this again"
        )


def before(environment: str, kept: list[Kept]) -> Kept:
    """The promotion before the one that is now in effect."""
    if not kept:
        raise Refused(f"{environment} has no record yet: nothing was released to it")
    by_name = {each.record.name: each.record for each in kept}
    latest = kept[-1].record
    now = by_name[latest.restored] if latest.restored else latest
    promotions = [each for each in kept if each.record.kind == "promotion"]
    older = [each for each in promotions if each.record.number < now.number]
    if not older:
        raise Refused(f"{environment} has no record before {now.name}: nothing to roll back to")
    return older[-1]


def refuse_the_same(git: Git, environment: str, target: str, wanted: Kept) -> None:
    if git.succeeds("diff", "--quiet", wanted.commit, target, "--", *arrivals.ALL_ELSE):
        raise Refused(
            f"{environment} already is what {wanted.record.name} says: nothing to roll back"
        )


def committed(git: Git, environment: str, target: str, wanted: Kept) -> str:
    """The record's tree after the last commit of the environment; the record is a parent too."""
    tree = arrivals.kept(git, git.run("rev-parse", f"{wanted.commit}^{{tree}}"), target)
    message = f"Roll {environment} back to {wanted.record.name} ({wanted.record.version})"
    return git.run("commit-tree", tree, "-p", target, "-p", wanted.commit, "-m", message)
