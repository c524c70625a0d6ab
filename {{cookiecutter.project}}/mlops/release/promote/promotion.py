"""Promotion: makes the target branch the same as its source, but for the environment, if its gates pass.

The release is made in a temporary working tree and committed as one commit with two parents, the target's
last commit and the source. No text is merged. Data are sent first, then branch and tags move together.
Nothing changes before that moment, nor at all if anything fails.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

from mlops import environments
from mlops.errors import MlopsError, Refused
from mlops.release.history import (
    arrivals,
    branches,
    lockfile,
    obstacles,
    records,
    signatures,
    tags,
    unrecorded,
    withdrawals,
)
from mlops.release.history.branches import Position
from mlops.release.history.git import Git
from mlops.release.history.notices import notice
from mlops.release.history.outputs import BUNDLE
from mlops.release.history.records import Record, TaggedRecord
from mlops.release.history.released import Released
from mlops.release.history.settings import Settings, refuse_unreadable
from mlops.release.history.versions import Answers, Version
from mlops.release.places import worktree
from mlops.release.promote import publication, refusals
from mlops.release.promote.worker import Worker, start_worker

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """A promotion that is about to be made.

    `start` is where the target's branch was before the work began, `target_commit` its last commit, and
    `released` what was released until then. `withdrawals` are the rollbacks that still hold.
    `accepted` is the reason to release a challenger that can't be compared, and `again` whether a rollback
    may be overruled.
    """

    environment: str
    source: str
    source_commit: str
    start: Position
    target_commit: str
    released: Released
    withdrawals: Sequence[TaggedRecord]
    accepted: str | None = None
    again: bool = False

    @property
    def release(self) -> str:
        """Returns what is released, such as dev 3523e07."""
        return f"{self.source} {self.source_commit[:7]}"

    @property
    def number(self) -> int:
        """Returns the number of the record to be made."""
        return self.released.next_number(self.environment)

    @property
    def record(self) -> str:
        """Returns the name of the record to be made."""
        return records.NUMBER.format(environment=self.environment, number=self.number)


@dataclass(frozen=True)
class Challenger:
    """A release that was made and has passed the gates, and that no commit contains yet."""

    tree: str
    record: Record


def promote(
    git: Git,
    environment: str,
    say: Say,
    *,
    accepted: str | None = None,
    again: bool = False,
    dry_run: bool = False,
    as_proposal: bool = False,
    hotfix: str | None = None,
) -> Record | None:
    """Promotes to an environment and returns the record, or None if the target has all of its source.

    The source is the environment upstream, or the branch `hotfix`, which starts from the target. What a
    rollback has withdrawn is released only with `again`. Raises Refused, or StageFailed if a stage or gate
    fails; then nothing has changed.
    """
    with worktree.one_release_at_a_time(git), ExitStack() as stack:
        plan = plan_promotion(git, environment, accepted, again, hotfix, dry_run=dry_run)
        if branches.holds_all_of(git, plan.target_commit, plan.source_commit):
            return record_merged_proposal(git, plan)
        notice_unrecorded(git, plan)
        proposal = publication.find_proposal(git, plan.record) if as_proposal else None
        if not dry_run:
            stack.enter_context(
                refusals.remember_refusal(git, environment, plan.source, plan.source_commit)
            )
        refuse_withdrawn(plan, withdrawals.withdrawal_of(plan.withdrawals, plan.source_commit))
        refuse_unready(git, plan.released.settings)
        say_what_comes_back(git, plan, say)
        with (
            worktree.temporary_worktree(git, plan.source_commit) as tree,
            start_worker(tree.root, git.root) as worker,
        ):
            with refusals.explain_refusal(tree, plan.release, environment, plan.target_commit, say):
                challenger = make_challenger(tree, worker, plan, say)
            if dry_run:
                say(f"dry run: {challenger.record.title} would be released; no branch has moved")
                return challenger.record
            say("sending data to the remote")
            if not worker.ask("push", commits=[plan.source_commit, challenger.tree]):
                say("there is no DVC remote: the data stay in this cache alone")
        if proposal:
            commit = commit_challenger(git, plan, challenger, challenger.record.message())
            publication.propose(git, plan.start, proposal, commit, challenger.record)
        else:
            title = f"Promote {plan.source} {plan.source_commit[:7]} to {environment}"
            commit = commit_challenger(git, plan, challenger, f"{title}\n")
            publish_record(git, plan.start, commit, challenger.record, plan.released)
        return challenger.record


def why_nothing(git: Git, environment: str, source: str) -> str:
    """Returns why there is nothing to promote, and what to promote first instead."""
    nothing = f"{environment} has all that {source} has: there is nothing to promote"
    if source not in environments.CHAIN[1:]:
        return nothing
    further = environments.upstream(source)
    wanted = arrivals.release_commit(git, branches.tip_of(git, further))
    if branches.holds_all_of(git, branches.tip_of(git, source), wanted):
        return nothing
    return f"{nothing}. {further} is ahead of {source}: `mlops promote {source}` first"


def plan_promotion(
    git: Git,
    environment: str,
    accepted: str | None,
    again: bool,
    hotfix: str | None,
    *,
    dry_run: bool,
) -> Plan:
    source = hotfix or environments.upstream(environment)
    if not dry_run:
        obstacles.refuse_unfinished(git)
    obstacles.refuse_submodules(git)
    shared = branches.fetch_origin(git)
    branches.refuse_checked_out(git, environment)
    branches.refuse_blocked(git, environment)
    branches.refuse_uncommitted(git, source)
    start = branches.read_position(git, environment)
    target = branches.later_commit(git, start)
    tip = branches.hotfix_tip(git, hotfix, start) if hotfix else branches.tip_of(git, source)
    wanted = arrivals.release_commit(git, tip)
    branches.refuse_empty(git, source, wanted)
    branches.refuse_lacking(git, environment, target, tip)
    released = Released.before_release(git, environment)
    if shared:
        publication.refuse_clash(git, shared, environment)
    if shared and not dry_run:
        publication.share_tags(git, shared, released)
    return Plan(
        environment=environment,
        source=source,
        source_commit=wanted,
        start=branches.catch_up(git, start),
        target_commit=target,
        released=released,
        withdrawals=released.standing_withdrawals(environment),
        accepted=accepted,
        again=again,
    )


def refuse_unready(git: Git, settings: Settings) -> None:
    """Raises Refused, before the work begins, where DVC could not read Git, or Git could not commit."""
    refuse_unreadable(settings)
    signatures.refuse_unable(git, settings)


def refuse_withdrawn(plan: Plan, rollback: TaggedRecord | None) -> None:
    """Raises Refused for a withdrawn source, so that nobody undoes a rollback without knowing it."""
    if rollback and rollback.record.withdrew and not plan.again:
        raise Refused(
            f"{withdrawals.rollback_sentence(rollback)}. {plan.source} {plan.source_commit[:7]} would bring "
            f"{rollback.record.withdrew['version']} back: correct it on {environments.CHAIN[0]} first, or "
            f"release it to {plan.environment} again with `mlops promote {plan.environment} --again`"
        )


def notice_unrecorded(git: Git, plan: Plan) -> None:
    """Says so if something was released to the target, and its last commit is not what was released last."""
    tagged, target = plan.released.records[plan.environment], plan.target_commit
    if tagged and (line := unrecorded.unrecorded_tip(git, plan.environment, tagged, target)):
        notice(git, line)


def say_what_comes_back(git: Git, plan: Plan, say: Say) -> None:
    """Lists the changes that a promotion brings back after a rollback."""
    tagged = plan.released.records[plan.environment]
    latest = tagged[-1].record if tagged else None
    if latest is None or latest.restored is None:
        return
    changes = branches.changes_between(git, latest.source_commit, plan.source_commit)
    say(f"{plan.environment} was rolled back to {latest.restored}; this brings again:")
    for line in changes:
        say(f"  {line}")


def make_challenger(tree: Git, worker: Worker, plan: Plan, say: Say) -> Challenger:
    say(f"running what differs in {plan.environment}, from {plan.release}")
    made = worker.ask(
        "make", source=plan.source, environment=plan.environment, target=plan.target_commit
    )
    say(f"made anew: {', '.join(made) or 'nothing'}")
    made_tree = write_tree(tree, plan)
    comparison = compare_challenger(tree, worker, plan, made_tree, say)
    say("measuring time, size and memory")
    cost = worker.ask("measure")
    return Challenger(made_tree, challenger_record(tree, plan, made_tree, comparison, cost))


def write_tree(tree: Git, plan: Plan) -> str:
    """Writes the working tree to Git, with the arrivals of the target, and returns its hash."""
    tree.run("add", "--all")
    changed = tree.lines("diff", "--cached", "--name-only", plan.source_commit)
    if extra := [path for path in changed if path.split("/")[0] not in branches.REMADE]:
        raise MlopsError(
            f"the stages changed {', '.join(extra)}, which no stage declares: add it to `outs` in "
            "dvc.yaml, or to .gitignore"
        )
    return arrivals.with_arrivals(tree, tree.run("write-tree"), plan.target_commit)


def commit_challenger(git: Git, plan: Plan, challenger: Challenger, message: str) -> str:
    """Commits the challenger; the parents are the last commits of the target and of the source."""
    parents = (plan.target_commit, plan.source_commit)
    whole = f"{message}\n{challenger.record.trailers}"
    return signatures.write_commit(git, plan.released.settings, challenger.tree, parents, whole)


def compare_challenger(
    tree: Git, worker: Worker, plan: Plan, made: str, say: Say
) -> dict[str, Any] | None:
    """Returns the comparison of the challenger with the champion, or None if the target has no champion."""
    champion = lockfile.read_lock(tree, plan.target_commit).outputs.get(BUNDLE)
    if champion is None:
        return None
    if champion == lockfile.read_lock(tree, made).outputs.get(BUNDLE):
        return {"passed": True, "same_bundle": True}
    say("comparing the challenger with the champion")
    comparison: dict[str, Any] = worker.ask("compare", champion=plan.target_commit)
    if reason := comparison.get("incomparable"):
        if plan.accepted is None:
            raise Refused(
                f"the challenger cannot be compared with the model now in {plan.environment}: {reason}. "
                "To release it without a comparison, give a reason: --accept-incomparable REASON"
            )
        return {**comparison, "accepted": plan.accepted}
    if not comparison["passed"] and comparison["stops"]:
        raise refusals.Worse(plan.environment, comparison)
    return comparison


def challenger_record(
    tree: Git,
    plan: Plan,
    made: str,
    comparison: Mapping[str, Any] | None,
    cost: Mapping[str, float],
) -> Record:
    answers = Answers.at_commit(tree, made, read_json(tree, "deploy/schema.json"))
    version = plan.released.version_of(answers)
    rollback = withdrawals.withdrawal_of(plan.withdrawals, plan.source_commit, version.name)
    refuse_withdrawn(plan, rollback)
    return Record(
        environment=plan.environment,
        number=plan.number,
        kind="promotion",
        source=plan.source,
        source_commit=plan.source_commit,
        version=version.name,
        reason=version.reason,
        answers=asdict(answers),
        bundle=lockfile.read_lock(tree, made).required_hash(BUNDLE),
        metrics=read_json(tree, "reports/metrics.json"),
        gate=read_json(tree, "reports/gate.json"),
        comparison=comparison,
        milliseconds=cost["milliseconds"],
        megabytes=cost["megabytes"],
        memory_megabytes=cost["memory_megabytes"],
        again=rollback.record.name if rollback else None,
    )


def read_json(tree: Git, path: str) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads((tree.root / path).read_text(encoding="utf-8"))
    return content


def publish_record(
    git: Git, start: Position, commit: str, record: Record, released: Released
) -> None:
    """Publishes the branch, the record's tag and, for a new version, the version's tag."""
    version = Version.from_content(asdict(record))
    messages = {record.name: record.message()}
    if version.tag not in released.tags:
        messages[version.tag] = version.message()
    written = signatures.write_tags(git, released.settings, commit, messages)
    new_tags = [publication.NewTag(name, made) for name, made in written.items()]
    publication.publish_refs(git, start, commit, new_tags, record)


def record_merged_proposal(git: Git, plan: Plan) -> Record | None:
    """Publishes the record and version of a proposal that was merged into the target, if there is one."""
    target, since = plan.target_commit, f"{plan.source_commit}..{plan.target_commit}"
    title = f"^{plan.environment}/[0-9]*: "
    found = git.lines("rev-list", "-1", f"--grep={title}", since)
    if not found or not git.succeeds("diff", "--quiet", found[0], target, "--", *arrivals.ALL_ELSE):
        return None
    record = Record(**tags.json_in_message(git.run("show", "-s", "--format=%B", found[0])))
    tagged = plan.released.records[plan.environment]
    if any(replace(each.record, number=record.number) == record for each in tagged):
        return None
    if git.commit(
        f"refs/tags/{record.name}"
    ):  # a release took the number before the proposal was merged
        record = replace(record, number=plan.number)
    publish_record(git, plan.start, target, record, plan.released)
    return record
