"""Tests random histories: two people, each with a clone, work as Git lets them, and the invariants hold.

They commit on dev and on feature branches, with the merge driver of dvc.lock or without it, merge and
rebase, promote, roll back, correct prod and cherry-pick the fix, push directly to an environment, merge
downstream with plain Git, bring new data, add and remove stages. Tags are deleted, moved and made by others.
`mlops` may refuse a step; anything else that goes wrong is a failure. No commit is lost, and no number is
used twice. `make soak` runs hundreds of histories.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

import instant_project
import soak
import truth
from mlops import environments
from mlops.errors import MlopsError, Refused
from mlops.release.data import dvc, push, repro
from mlops.release.errors import StageFailed
from mlops.release.history import arrivals, branches, lock_merge, lockfile, records
from mlops.release.history.git import Git
from mlops.release.history.records import Record
from mlops.release.look import card, status, timeline, tracker
from mlops.release.promote import promotion, refusals, rollback
from mlops.release.prove import check

DRIVER = Path(lock_merge.__file__)
SETTINGS = settings(
    max_examples=int(os.environ.get("HISTORIES", "5")),
    stateful_step_count=12 if soak.LOG else 4,
    deadline=None,
    database=None,
    derandomize=not soak.LOG,
    phases=[Phase.generate],  # a step takes a second: the story of what failed is told as it was
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)

STAGES = "stages:\n"
EXTRA = """\
  extra:
    cmd: cp models/model.onnx models/extra
    deps: [models/model.onnx]
    outs: [models/extra]
"""


class Person:
    """A person's clone. Between two methods dev is checked out, and nothing is uncommitted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / ".dvc/cache"
        self.git = Git(folder)

    def write(self, path: str, change: Callable[[str], str]) -> None:
        file = self.folder / path
        file.write_text(change(file.read_text()))

    def fetch(self) -> None:
        branches.fetch_origin(self.git)

    def switch(self, branch: str) -> None:
        self.git.run("switch", "--quiet", branch)
        self.check_out_data()

    def check_out_data(self) -> None:
        with dvc.open_repo(self.folder) as repo, dvc.quiet_dvc():
            repo.pull(["data/raw.dvc"], force=True)

    def commit(self, message: str) -> None:
        self.git.run("add", "--all")
        self.git.run("commit", "--quiet", "--allow-empty", "--message", message)

    def reproduce(self) -> None:
        self.check_out_data()
        repro.run_repro(self.folder)
        self.commit("Reproduce")

    def send(self) -> None:
        with dvc.open_repo(self.folder) as repo, dvc.quiet_dvc():
            repo.push(run_cache=True)

    def merge(self, other: str, side: str, *options: str) -> None:
        if not self.git.succeeds("merge", "--quiet", "--no-edit", *options, other):
            self.take(side)
            self.git.run("commit", "--quiet", "--allow-empty", "--no-edit")
        elif "--squash" in options:
            self.commit(f"Squash {other}")

    def rebase(self, onto: str, side: str) -> None:
        done = self.git.succeeds("rebase", "--quiet", onto)
        while not done:
            self.take(side)
            done = self.git.succeeds("-c", "core.editor=true", "rebase", "--continue")

    def pick(self, commit: str, side: str) -> None:
        if not self.git.succeeds("cherry-pick", "-x", commit):
            self.take(side)
            message = self.git.run("show", "-s", "--format=%B", commit).strip()
            self.commit(f"{message}\n\n(cherry picked from commit {commit})")

    def take(self, side: str) -> None:
        """Resolves every conflict with one side of it."""
        for path in self.git.lines("diff", "--name-only", "--diff-filter=U"):
            if not self.git.succeeds("checkout", f"--{side}", "--", path):
                self.git.run("rm", "--quiet", "--", path)
        self.git.run("add", "--all")

    def bring(self, branch: str, side: str = "theirs") -> None:
        """Merges the branch of origin with the local one."""
        self.fetch()
        if self.git.commit(f"refs/heads/{branch}") is None:
            self.git.run("branch", branch, f"origin/{branch}")
        self.git.run("switch", "--quiet", branch)
        self.merge(f"origin/{branch}", side)
        self.check_out_data()


def parameter(person: Person, number: int, quality: float) -> None:
    person.write("params.yaml", lambda text: f"quality: {quality}\n")


def script(person: Person, number: int, quality: float) -> None:
    person.write("gate.py", lambda text: f"{text}# {number}\n")


def bound(person: Person, number: int, quality: float) -> None:
    gate = f"gate: {quality - 0.1:.2f}"
    person.write("environments/staging.yaml", lambda text: re.sub("gate: .*", gate, text))


def schema(person: Person, number: int, quality: float) -> None:
    person.write("schema.json", lambda text: re.sub('"x[0-9]*"', f'"x{number}"', text))


def library(person: Person, number: int, quality: float) -> None:
    person.write("requirements/serve.txt", lambda text: f"{text}library{number}\n")


def stage(person: Person, number: int, quality: float) -> None:
    """Adds a stage, or removes it if it is there."""
    person.write(
        "dvc.yaml",
        lambda text: (
            text.replace(EXTRA, "") if EXTRA in text else text.replace(STAGES, STAGES + EXTRA)
        ),
    )


def data(person: Person, number: int, quality: float) -> None:
    person.write("data/raw", lambda text: f"{text}row {number}\n")
    with dvc.open_repo(person.folder) as repo, dvc.quiet_dvc():
        repo.add("data/raw")
        repo.push(["data/raw.dvc"])


CHANGES = (parameter, script, bound, schema, library, stage, data)
PEOPLE = ("project", "colleague")
ROOMS = environments.CHAIN[1:]
SIDES = ("ours", "theirs")


class History(RuleBasedStateMachine):
    """A history of steps. Each step is drawn from its own seed, so that histories differ from the first step
    on."""

    def __init__(self, prepared: Path, place: Path, seed: str) -> None:
        super().__init__()
        self.seed = seed
        self.root = Path(tempfile.mkdtemp(dir=place))
        self.prepared = prepared
        self.count = 0
        self.records: dict[str, Record] = {}
        self.versions: dict[str, Mapping[str, Any]] = {}
        self.features: list[tuple[str, str]] = []
        self.fixes: list[str] = []
        self.story: list[str] = []

    @initialize(driver=st.booleans())
    def begin(self, driver: bool) -> None:
        folder = instant_project.copied(self.prepared, self.root / "copy")
        self.storage, self.origin = folder.parent / "storage", folder.parent / "origin.git"
        Git(folder).run("clone", "--quiet", "../origin.git", "../colleague")
        self.people = {name: Person(folder.with_name(name)) for name in PEOPLE}
        if driver:
            merge = f"python3 '{DRIVER}' %O %A %B %P"
            for person in self.people.values():
                person.git.run("config", "merge.binary.driver", merge)
        for each in truth.every_record(Git(self.origin)):
            self.note_number(each.record)

    @rule(seed=st.integers(0, 2**64 - 1))
    def go_on(self, seed: int) -> None:
        chance = Random(f"{self.seed} {seed} {len(self.story)}")  # noqa: S311 (no secret)
        (step,) = chance.choices([*STEPS], weights=[*STEPS.values()])
        before = truth.refs(self.origin)
        step(self, chance)
        self.check_kept(before)

    def check_kept(self, before: Mapping[str, str]) -> None:
        """Checks that every branch of an environment on origin has all commits that it had."""
        for name in environments.CHAIN:
            old = before[f"refs/heads/{name}"]
            assert Git(self.origin).succeeds("merge-base", "--is-ancestor", old, name)

    def note_number(self, record: Record) -> None:
        """Checks that no record and no version had this number before, unless it was the same version."""
        assert record.name not in self.records
        self.records[record.name] = record
        assert self.versions.setdefault(record.version, record.answers) == record.answers

    def commit_on_dev(self, chance: Random) -> None:
        """Commits on dev, perhaps after a run, and perhaps pushes the commit."""
        who, person = self.someone(chance)
        kind = self.change(person, chance)
        run, share = chance.random() < 0.8, chance.random() < 0.8
        self.finish(person, f"Change {kind}", run, share)
        self.tell(who, f"changes {kind} on dev{'' if run else ', runs nothing'}")

    def begin_feature(self, chance: Random) -> None:
        who, person = self.someone(chance)
        branch = f"feature-{self.number()}"
        person.git.run("switch", "--quiet", "--create", branch)
        kind = self.change(person, chance)
        person.commit(f"Change {kind}")
        if chance.random() < 0.8:
            person.reproduce()
        person.switch("dev")
        self.features.append((who, branch))
        self.tell(who, f"changes {kind} on a feature branch")

    def finish_feature(self, chance: Random) -> None:
        if not self.features:
            self.begin_feature(chance)
            return
        who, branch = self.features.pop(chance.randrange(len(self.features)))
        how, side = chance.choice(["merge", "rebase", "squash"]), chance.choice(SIDES)
        person = self.at(who)
        if how == "rebase":
            person.git.run("switch", "--quiet", branch)
            person.rebase("dev", side)
            person.git.run("switch", "--quiet", "dev")
        person.merge(branch, side, *(["--squash"] if how == "squash" else []))
        self.finish(person, f"After {branch}", run=chance.random() < 0.8, share=True)
        self.tell(who, f"brings a feature to dev by {how}")

    def merge_downstream(self, chance: Random) -> None:
        """Merges with `git merge` and `dvc repro`, without `mlops`; if a gate fails, the merge is undone."""
        environment = chance.choice(ROOMS)
        who, person = self.someone(chance)
        upstream = f"origin/{environments.upstream(environment)}"
        person.bring(environment)
        person.merge(upstream, chance.choice(SIDES))
        kept = self.keep_or_undo(person, environment)
        person.switch("dev")
        self.tell(who, f"merges into {environment} by plain Git{'' if kept else ', undone'}")

    def mend_prod(self, chance: Random) -> None:
        """Makes a fix that starts from prod: the code in one commit, and what it changes in another."""
        if self.fixes:
            self.pick_fix(chance)
            return
        who, person = self.someone(chance)
        person.bring("prod")
        number = self.number()
        person.write("gate.py", lambda text: f"# mended {number}\n{text}")
        person.commit(f"Mend {number}")
        fix = person.git.run("rev-parse", "HEAD")
        if self.keep_or_undo(person, "prod"):
            self.fixes.append(fix)
        person.switch("dev")
        self.tell(who, "mends prod")

    def push_directly(self, chance: Random) -> None:
        """Commits to an environment's branch, and pushes it without `mlops`."""
        who, person = self.someone(chance)
        environment = chance.choice(ROOMS)
        person.bring(environment)
        person.write("gate.py", lambda text: f"# by hand {self.number()}\n{text}")
        person.commit("By hand")
        person.git.run("push", "--quiet", "origin", environment)
        self.fixes.append(person.git.run("rev-parse", "HEAD"))
        person.switch("dev")
        self.tell(who, f"pushes directly to {environment}")

    def push_by_mlops(self, chance: Random) -> None:
        """Commits on dev, which somebody else may have pushed to, and runs `mlops push`."""
        who = chance.choice(PEOPLE)
        person = self.people[who]
        kind = self.change(person, chance)
        person.commit(f"Change {kind}")
        person.reproduce()
        with self.refusable(who, f"changes {kind} on dev and pushes by mlops"):
            push.push_branches(person.git, [], print)
            tip = Git(self.origin).commit("dev")
            assert tip == person.git.commit("dev")
            for name in lockfile.carried_hashes(person.git, "dev").values():
                assert truth.is_whole(self.storage, name)

    def delete_tag(self, chance: Random) -> None:
        """Deletes the tag of a record or version, in one clone, on origin, or everywhere."""
        who, place, name = self.tag_to_spoil(chance)
        for git in place:
            if git.commit(f"refs/tags/{name}"):
                git.run("tag", "--delete", name)
        self.tell(who, f"deletes a tag in {len(place)} places")

    def move_tag(self, chance: Random) -> None:
        """Moves the tag of a record or version to another commit, as `git tag --force` does."""
        who, place, name = self.tag_to_spoil(chance)
        for git in place:
            git.run("tag", "--force", name, "staging~1" if git.commit("staging~1") else "HEAD")
        self.tell(who, f"moves a tag in {len(place)} places")

    def make_foreign_tag(self, chance: Random) -> None:
        """Makes a tag with the name of the next record or version, and perhaps pushes it."""
        who, person = self.someone(chance)
        number, room = len(self.records) + 1, chance.choice(ROOMS)
        name = chance.choice([f"{room}/{number:04d}", f"model@v1.{number}.0", f"{room}/mine"])
        form = chance.choice([[], ["--annotate", "--message", "mine"]])
        person.git.run("tag", "--force", *form, name)
        if pushed := chance.random() < 0.5:
            person.git.succeeds("push", "--quiet", "origin", f"refs/tags/{name}")
        self.tell(who, f"makes a foreign tag{' on origin' if pushed else ''}")

    def tag_to_spoil(self, chance: Random) -> tuple[str, list[Git], str]:
        who = chance.choice(PEOPLE)
        own, origin = self.people[who].git, Git(self.origin)
        everywhere = [origin, *(each.git for each in self.people.values())]
        names = origin.lines("tag", "--list") or [*self.records]
        return who, chance.choice([[own], [origin], everywhere]), chance.choice(names)

    def look(self, chance: Random) -> None:
        """Looks at everything; `mlops check` may refuse, and nothing else may fail."""
        who, person = self.someone(chance)
        git = person.git
        assert len(status.all_statuses(git)) == len(environments.CHAIN)
        assert all([*status.remarks(git)])
        assert tracker.model_rows(git)
        for environment in ROOMS:
            with self.left_without_records(git, environment):
                timeline.events_of(git, environment)
            assert card.card_of(git, environment)
        with self.refusable(who, "looks at everything and checks"):
            check.check_tree(person.folder)
            assert [*check.release_findings(git, "dev")] == []

    @contextmanager
    def left_without_records(self, git: Git, environment: str) -> Iterator[None]:
        """Expects a sentence about the tag that is missing if the environment has no record any more."""
        if records.records_of(git, environment) or refusals.refusals_of(git, environment):
            yield
            return
        with pytest.raises(MlopsError, match="no record stands behind the last commit"):
            yield

    def pick_fix(self, chance: Random) -> None:
        if not self.fixes:
            self.mend_prod(chance)
            return
        who, person = self.someone(chance)
        person.pick(self.fixes.pop(0), chance.choice(SIDES))
        self.finish(person, "After the fix", run=True, share=True)
        self.tell(who, "picks the fix of prod to dev")

    def promote(self, chance: Random) -> None:
        who, _ = self.someone(chance)
        again = chance.random() < 0.5
        self.release(who, chance.choice(ROOMS), chance.choice([None, "agreed"]), again)

    def release(self, who: str, environment: str, accepted: str | None, again: bool) -> None:
        person = self.people[who]
        source = environments.upstream(environment)
        with self.refusable(who, f"promotes {source} to {environment}"):
            record = promotion.promote(
                person.git, environment, print, accepted=accepted, again=again
            )
            target, tip = (branches.tip_of(person.git, name) for name in (environment, source))
            assert branches.holds_all_of(
                person.git, target, arrivals.release_commit(person.git, tip)
            )
            self.check(person, record)

    def roll_back(self, chance: Random) -> None:
        who, person = self.someone(chance)
        kept = {room: records.records_of(person.git, room) for room in ROOMS}
        able = [room for room in ROOMS if len({each.record.version for each in kept[room]}) > 1]
        if not able:
            self.promote(chance)
            return
        environment = chance.choice(able)
        to = chance.choice([None, *(each.record.name for each in kept[environment])])
        with self.refusable(who, f"rolls {environment} back"):
            record = rollback.roll_back(person.git, environment, to, print)
            restored = self.records[record.restored or ""]
            assert (record.model, record.bundle) == (restored.model, restored.bundle)
            self.check(person, record)

    def teardown(self) -> None:
        """Releases all that is on dev in the end, if the gates pass."""
        if not self.story:
            return  # the first that hypothesis draws, for each seed, has no step
        self.finish(self.at("project"), "The end", run=True, share=True)
        for environment in ROOMS:
            self.release("project", environment, "agreed", again=True)
        truth.check(self.origin, self.storage)
        runs = [self.storage / "runs", *(each.cache / "runs" for each in self.people.values())]
        for folder in (self.origin, *(each.folder for each in self.people.values())):
            truth.check_locks(folder, runs)
        soak.note("history", story=self.story)
        shutil.rmtree(self.root)

    def someone(self, chance: Random) -> tuple[str, Person]:
        who = chance.choice(PEOPLE)
        return who, self.at(who)

    def at(self, who: str) -> Person:
        person = self.people[who]
        person.bring("dev")
        return person

    def number(self) -> int:
        self.count += 1
        return self.count

    def tell(self, who: str, what: str) -> None:
        self.story.append(f"{who} {what}")
        print(self.story[-1])

    def change(self, person: Person, chance: Random) -> str:
        change = chance.choice(CHANGES)
        change(person, self.number(), chance.randint(70, 99) / 100)
        return change.__name__

    def finish(self, person: Person, message: str, run: bool, share: bool) -> None:
        """Commits what was changed on dev."""
        person.commit(message)
        if run:
            person.reproduce()
        if share:
            person.send()
        person.git.run("push", "--quiet", "origin", "dev")

    def keep_or_undo(self, person: Person, branch: str) -> bool:
        try:
            person.reproduce()
        except StageFailed:
            person.git.run("reset", "--quiet", "--hard", f"origin/{branch}")
            return False
        person.git.run("push", "--quiet", "origin", branch)
        return True

    @contextmanager
    def refusable(self, who: str, release: str) -> Iterator[None]:
        """Runs a step that may be refused; if it is, checks that origin has what it had.

        Records that origin has lost may come back before a release is refused.
        """
        before = truth.refs(self.origin)
        try:
            yield
        except (Refused, StageFailed) as error:
            after = truth.refs(self.origin)
            assert before.items() <= after.items()
            assert all(ref.startswith("refs/tags/") for ref in after.keys() - before.keys())
            self.check_what_is_lacked(str(error))
            self.tell(who, f"{release}: {type(error).__name__}: {error}")
        else:
            self.tell(who, release)

    def check_what_is_lacked(self, refusal: str) -> None:
        """Checks that no fix is asked for that was cherry-picked and has come to the source."""
        origin = Git(self.origin)
        for source in re.findall(r"has changes that (\w+) lacks", refusal):
            picked = origin.run("log", source, "--format=%b")
            for short in re.findall(r"^  (\w{7,}) ", refusal, re.MULTILINE):
                commit = origin.run("rev-parse", short)
                assert f"(cherry picked from commit {commit})" not in picked

    def check(self, person: Person, record: Record | None) -> None:
        """Checks that all that was released is whole on origin, in the storage and in the cache of the person
        who released it."""
        assert person.git.run("status", "--porcelain") == ""
        if record:
            self.note_number(record)
            released = records.records_of(Git(self.origin), record.environment)
            kept = records.find_record(released, record.name)
            assert kept.commit == Git(self.origin).commit(record.environment)
        truth.check(self.origin, self.storage)
        assert record is None or truth.is_whole(person.cache, record.bundle)


STEPS: dict[Callable[[History, Random], None], int] = {
    History.commit_on_dev: 3,
    History.begin_feature: 1,
    History.finish_feature: 3,
    History.merge_downstream: 1,
    History.mend_prod: 1,
    History.pick_fix: 3,
    History.promote: 6,
    History.roll_back: 5,
    History.push_directly: 1,
    History.push_by_mlops: 2,
    History.delete_tag: 2,
    History.move_tag: 1,
    History.make_foreign_tag: 1,
    History.look: 2,
}
"""How often each is drawn, in proportion."""


@pytest.fixture(scope="module")
def prepared(reproduced_on_dev: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that is released to prod, with all its data in the storage and its branches on origin."""
    folder = tmp_path_factory.mktemp("histories") / "copy"
    with pytest.MonkeyPatch.context() as monkeypatch:
        instant_project.speak_as_tester(monkeypatch)
        person = Person(instant_project.copied(reproduced_on_dev, folder))
        person.write("models/.gitignore", lambda text: f"{text}/extra\n")
        person.commit("A stage may come, and go")
        instant_project.give_origin(person.folder)
        person.send()
        instant_project.promote(person.folder, *ROOMS)
    return person.folder


def test_histories(
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    seed = str(request.config.getoption("--hypothesis-seed"))
    instant_project.speak_as_tester(monkeypatch)

    class Here(History):
        def __init__(self) -> None:
            super().__init__(prepared, tmp_path, seed)

    run_state_machine_as_test(Here, settings=SETTINGS)
