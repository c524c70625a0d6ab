"""Random histories: two people, each with a clone, work as Git lets them; what must hold holds.

They commit on dev and on feature branches, with the merge driver of dvc.lock or without it, merge and
rebase, promote, roll back, mend prod and pick the fix, merge downstream by plain Git, bring new data,
add and remove stages. What `mlops` refuses is refused; anything else that goes wrong is a failure.
`make soak` runs hundreds of them.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import instant_project
import pytest
import soak
import truth
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from release import branches, dvc, environments, promotion, records, repro, rollback
from release.errors import Refused, StageFailed
from release.git import Git

DRIVER = Path(repro.__file__).with_name("lock_merge.py")
SETTINGS = settings(
    max_examples=int(os.environ.get("HISTORIES", "5")),
    stateful_step_count=12 if soak.LOG else 6,
    deadline=None,
    database=None,
    derandomize=not soak.LOG,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)

EXTRA = """\
  extra:
    cmd: cp models/model.onnx models/extra
    deps: [models/model.onnx]
    outs: [models/extra]
"""


class Person:
    """Someone's clone. On dev, with nothing uncommitted, between two of the methods."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / ".dvc/cache"
        self.git = Git(folder)

    def write(self, path: str, change: Callable[[str], str]) -> None:
        file = self.folder / path
        file.write_text(change(file.read_text()))

    def fetch(self) -> None:
        branches.fetch(self.git)

    def switch(self, branch: str) -> None:
        self.git.run("switch", "--quiet", branch)
        self.check_out_data()

    def check_out_data(self) -> None:
        with dvc.opened(self.folder) as repo, dvc.quiet():
            repo.pull(["data/raw.dvc"], force=True)

    def commit(self, message: str) -> None:
        self.git.run("add", "--all")
        self.git.run("commit", "--quiet", "--allow-empty", "--message", message)

    def reproduce(self) -> None:
        self.check_out_data()
        repro.repro(self.folder)
        self.commit("Reproduce")

    def send(self) -> None:
        with dvc.opened(self.folder) as repo, dvc.quiet():
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
        """Resolves every conflict by one side of it."""
        for path in self.git.lines("diff", "--name-only", "--diff-filter=U"):
            if not self.git.succeeds("checkout", f"--{side}", "--", path):
                self.git.run("rm", "--quiet", "--", path)
        self.git.run("add", "--all")

    def bring(self, branch: str, side: str = "theirs") -> None:
        """The branch, from origin, with what is here."""
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
    """Added, or removed where it is there."""
    person.write(
        "dvc.yaml", lambda text: text.replace(EXTRA, "") if EXTRA in text else text + EXTRA
    )
    (person.folder / "models/.gitignore").write_text("/model.onnx\n/schema.json\n/extra\n")


def data(person: Person, number: int, quality: float) -> None:
    person.write("data/raw", lambda text: f"{text}row {number}\n")
    with dvc.opened(person.folder) as repo, dvc.quiet():
        repo.add("data/raw")
        repo.push(["data/raw.dvc"])


CHANGES = {
    change.__name__: change for change in (parameter, script, bound, schema, library, stage, data)
}
people = st.sampled_from(["project", "colleague"])
rooms = st.sampled_from(environments.CHAIN[1:])
sides = st.sampled_from(["ours", "theirs"])
changes = st.sampled_from(sorted(CHANGES))
qualities = st.integers(60, 99).map(lambda percent: percent / 100)


class History(RuleBasedStateMachine):
    features = Bundle("features")
    fixes = Bundle("fixes")

    def __init__(self, prepared: Path, place: Path) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(dir=place))
        self.prepared = prepared
        self.count = 0
        self.story: list[str] = []

    @initialize(driver=st.booleans())
    def begin(self, driver: bool) -> None:
        folder = instant_project.copied(self.prepared, self.root / "copy")
        self.storage, self.origin = folder.parent / "storage", folder.parent / "origin.git"
        Git(folder).run("clone", "--quiet", "../origin.git", "../colleague")
        colleague = folder.with_name("colleague")
        self.people = {"project": Person(folder), "colleague": Person(colleague)}
        for person in self.people.values():
            if driver:
                merge = f"python3 '{DRIVER}' %O %A %B %P"
                person.git.run("config", "merge.binary.driver", merge)

    def at(self, who: str) -> Person:
        person = self.people[who]
        person.bring("dev")
        return person

    def number(self) -> int:
        self.count += 1
        return self.count

    def finish(self, person: Person, message: str, run: bool, share: bool) -> None:
        """Commit what was changed on dev; perhaps run it and share it, perhaps not."""
        person.commit(message)
        if run:
            person.reproduce()
        if share:
            person.send()
        person.git.run("push", "--quiet", "origin", "dev")

    def change(self, person: Person, kind: str, quality: float) -> str:
        number = self.number()
        CHANGES[kind](person, number, quality)
        return f"{kind} {number}"

    @rule(who=people, kind=changes, quality=qualities, run=st.booleans(), share=st.booleans())
    def commit_on_dev(self, who: str, kind: str, quality: float, run: bool, share: bool) -> None:
        person = self.at(who)
        message = self.change(person, kind, quality)
        self.finish(person, message, run, share)
        self.story.append(f"commit on dev: {kind}")

    @rule(target=features, who=people, kind=changes, quality=qualities, run=st.booleans())
    def begin_feature(self, who: str, kind: str, quality: float, run: bool) -> tuple[str, str]:
        person = self.at(who)
        branch = f"feature-{self.number()}"
        person.git.run("switch", "--quiet", "--create", branch)
        person.commit(self.change(person, kind, quality))
        if run:
            person.reproduce()
        person.switch("dev")
        self.story.append("feature begun")
        return who, branch

    @rule(
        feature=consumes(features),
        how=st.sampled_from(["merge", "rebase", "squash"]),
        side=sides,
        run=st.booleans(),
    )
    def finish_feature(self, feature: tuple[str, str], how: str, side: str, run: bool) -> None:
        who, branch = feature
        person = self.at(who)
        if how == "rebase":
            person.git.run("switch", "--quiet", branch)
            person.rebase("dev", side)
            person.git.run("switch", "--quiet", "dev")
        person.merge(branch, side, *(["--squash"] if how == "squash" else []))
        self.finish(person, f"After {branch}", run, True)
        self.story.append(f"feature finished by {how}")

    @rule(who=people, environment=rooms, side=sides)
    def merge_downstream(self, who: str, environment: str, side: str) -> None:
        """`git merge` and `dvc repro`, and no `mlops`; a gate may say no, then it is undone."""
        person = self.at(who)
        upstream = environments.upstream(environment)
        if person.git.read(f"origin/{upstream}", "dvc.lock") is None:
            return
        person.bring(environment)
        person.merge(f"origin/{upstream}", side)
        self.keep_or_undo(person, environment)
        person.switch("dev")
        self.story.append(f"plain merge to {environment}")

    def keep_or_undo(self, person: Person, branch: str) -> bool:
        try:
            person.reproduce()
        except StageFailed:
            person.git.run("reset", "--quiet", "--hard", f"origin/{branch}")
            return False
        person.git.run("push", "--quiet", "origin", branch)
        return True

    @rule(target=fixes, who=people)
    def mend_prod(self, who: str) -> object:
        """A fix that starts from prod: code in one commit, what it changes in another."""
        person = self.at(who)
        if person.git.read("origin/prod", "dvc.lock") is None:
            return multiple()
        person.bring("prod")
        number = self.number()
        person.write("gate.py", lambda text: f"# mended {number}\n{text}")
        person.commit(f"Mend {number}")
        fix = person.git.run("rev-parse", "HEAD")
        kept = self.keep_or_undo(person, "prod")
        person.switch("dev")
        self.story.append("hotfix")
        return fix if kept else multiple()

    @rule(fix=consumes(fixes), who=people, side=sides)
    def pick_fix(self, fix: str, who: str, side: str) -> None:
        person = self.at(who)
        person.pick(fix, side)
        self.finish(person, "After the fix", True, True)
        self.story.append("hotfix picked")

    @rule(who=people, environment=rooms, accepted=st.sampled_from([None, "agreed"]))
    def promote(self, who: str, environment: str, accepted: str | None) -> None:
        person = self.at(who)
        source = environments.upstream(environment)
        with self.refusable(f"promotion to {environment}"):
            record = promotion.promote(person.git, environment, print, accepted=accepted)
            same = ("diff", "--quiet", record.source_commit if record else source, environment)
            assert person.git.succeeds(*same, "--", *branches.BUT_REMADE)
            self.check(person)

    @rule(who=people, environment=rooms, back=st.integers(0, 3))
    def roll_back(self, who: str, environment: str, back: int) -> None:
        person = self.at(who)
        kept = records.of(person.git, environment)
        to = kept[-back].record.name if 0 < back <= len(kept) else None
        with self.refusable(f"rollback of {environment}"):
            record = rollback.roll_back(person.git, environment, to, print)
            assert person.git.succeeds("diff", "--quiet", record.restored or "", environment)
            self.check(person)

    @contextmanager
    def refusable(self, release: str) -> Iterator[None]:
        """Done or refused; if refused, origin is as it was."""
        before = truth.refs(self.origin)
        try:
            yield
        except (Refused, StageFailed) as error:
            assert truth.refs(self.origin) == before
            self.story.append(f"{release} refused: {error}")
        else:
            self.story.append(release)

    def check(self, person: Person) -> None:
        """What was released is whole on origin, in the storage and in the cache of who did it."""
        assert person.git.run("status", "--porcelain") == ""
        truth.check(self.origin, self.storage)
        for environment in environments.CHAIN[1:]:
            latest = records.latest(person.git, environment)
            assert latest is None or truth.is_whole(person.cache, latest.record.bundle)

    def teardown(self) -> None:
        """In the end all that is on dev is released, if the gates let it pass."""
        self.finish(self.at("project"), "The end", run=True, share=True)
        for environment in environments.CHAIN[1:]:
            self.promote("project", environment, "agreed")
        truth.check(self.origin, self.storage)
        runs = [self.storage / "runs", *(each.cache / "runs" for each in self.people.values())]
        for folder in (self.origin, *(each.folder for each in self.people.values())):
            truth.check_locks(folder, runs)
        soak.note("history", story=self.story)
        shutil.rmtree(self.root)


@pytest.fixture(scope="module")
def prepared(reproduced_on_dev: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose dev is reproduced, with all its data in the storage and its branches on origin."""
    folder = tmp_path_factory.mktemp("histories") / "copy"
    with pytest.MonkeyPatch.context() as monkeypatch:
        instant_project.speak_as_tester(monkeypatch)
        person = Person(instant_project.copied(reproduced_on_dev, folder))
        person.git.run("init", "--quiet", "--bare", "--initial-branch", "dev", "../origin.git")
        person.git.run("remote", "add", "origin", "../origin.git")
        person.git.run("push", "--quiet", "origin", "dev", "staging", "prod")
        person.send()
    return person.folder


def test_histories(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instant_project.speak_as_tester(monkeypatch)

    class Here(History):
        def __init__(self) -> None:
            super().__init__(prepared, tmp_path)

    run_state_machine_as_test(Here, settings=SETTINGS)
