"""Tests that somebody commits on the source or the target of a release, here or on origin, while it is made.

`make soak` does so at each call of Git; without it only a few moments are tested.
"""

from pathlib import Path

import pytest
from test_faults import RELEASES, in_a_soak, prepared

import instant_project
import soak
import truth
from fault import Command, meanwhile
from instant_project import promote
from mlops.errors import Refused
from mlops.release.history.git import Git
from mlops.release.promote import promotion
from truth import refs

__all__ = ["prepared"]

COMMIT = """\
tree() {{ "$GIT" -C {place} ls-tree {branch}; printf '100644 blob %s\\tnotes.txt\\n' "$blob"; }}
blob=$(echo {branch} | "$GIT" -C {place} hash-object -w --stdin)
made=$("$GIT" -C {place} commit-tree $(tree | "$GIT" -C {place} mktree) -p {branch} -m 'A colleague')
"$GIT" -C {place} update-ref refs/heads/{branch} $made && echo $made > {said}
"""
"""A commit that adds a file, as a colleague's; its hash is written down once the branch has it."""


@pytest.fixture(autouse=True)
def tester(monkeypatch: pytest.MonkeyPatch) -> None:
    instant_project.speak_as_tester(monkeypatch)


FETCHED = """{commit}"$GIT" -C {project} fetch --quiet origin
"""
"""The same, and `mlops serve` or the user learns of it here."""


class Race:
    """A release during which somebody commits on a branch, at a moment of it."""

    def __init__(self, prepared: Path, folder: Path, release: str) -> None:
        self.project = instant_project.copied(prepared, folder)
        self.origin = self.project.parent / "origin.git"
        self.release = release
        self.said = folder / "commit"

    def run(self, moment: str, branch: str, where: str, *, fetched: bool = False) -> str:
        """Runs the release, checks that the colleague's commit is on its branch, and returns the output."""
        place = {"here": self.project, "on origin": self.origin}[where]
        before = refs(self.project), refs(self.origin)
        fault = COMMIT.format(place=place, branch=branch, said=self.said)
        if fetched:
            fault = FETCHED.format(commit=fault, project=self.project)
        command = Command(self.project, self.release, "staging", moment=moment, fault=fault)
        words = command.ended()
        self.code = command.process.returncode
        assert "Traceback" not in words
        assert self.code in (0, 3), words
        if self.code:
            expected = [dict(each) for each in before]
            expected[where == "on origin"] |= self.committed(branch)
            assert [refs(self.project), refs(self.origin)] == expected, words
        for ref, made in self.committed(branch).items():
            assert Git(place).succeeds("merge-base", "--is-ancestor", made, ref), words
        truth.check(self.origin, self.project.parent / "storage")
        return words

    def committed(self, branch: str) -> dict[str, str]:
        """Returns the branch and its commit, or nothing if Git has refused the commit because the ref was
        locked."""
        return {f"refs/heads/{branch}": self.said.read_text().strip()} if self.said.exists() else {}

    def calls(self) -> int:
        """Returns how many calls of Git a release without a race makes."""
        undisturbed = Command(self.project, self.release, "staging")
        undisturbed.ended()
        return len(undisturbed.calls.read_text().splitlines())


@pytest.mark.parametrize("where", ["here", "on origin"])
@pytest.mark.parametrize(
    ("release", "moment"), [("promote", "* add --all"), ("rollback", "* update-ref *")]
)
def test_a_commit_on_the_target_is_kept_and_the_release_refused(
    prepared: Path, tmp_path: Path, release: str, moment: str, where: str
) -> None:
    race = Race(prepared, tmp_path / "race", release)
    said = race.run(moment, "staging", where)
    assert race.code == 3
    assert f"staging was changed {where} while this release was made" in said
    assert "A colleague, by A. Tester). The release is not published" in said
    assert race.committed("staging")


def test_a_commit_on_origin_that_was_fetched_meanwhile_is_kept(
    prepared: Path, tmp_path: Path
) -> None:
    race = Race(prepared, tmp_path / "race", "promote")
    race.run("* add --all", "staging", "on origin", fetched=True)
    assert race.code == 3
    made = race.committed("staging")["refs/heads/staging"]
    assert Git(race.project).commit("refs/remotes/origin/staging") == made


def test_a_commit_on_the_source_waits_for_the_next_promotion(
    prepared: Path, tmp_path: Path
) -> None:
    race = Race(prepared, tmp_path / "race", "promote")
    race.run("* add --all", "dev", "here")
    assert race.code == 0
    assert race.committed("dev")
    Git(race.project).run("reset", "--quiet", "--hard")
    record = promote(race.project, "staging")
    assert record
    assert record.source_commit == race.committed("dev")["refs/heads/dev"]


def test_refs_are_locked_while_origin_takes_them(prepared: Path, tmp_path: Path) -> None:
    race = Race(prepared, tmp_path / "race", "promote")
    race.run("* push *", "staging", "here")
    assert race.code == 0
    assert not race.committed("staging")
    assert refs(race.project) == refs(race.origin)


@in_a_soak
@pytest.mark.parametrize("where", ["here", "on origin"])
@pytest.mark.parametrize("branch", ["dev", "staging"])
@pytest.mark.parametrize("release", RELEASES)
def test_a_commit_at_every_call_of_git(
    prepared: Path, tmp_path: Path, release: str, branch: str, where: str
) -> None:
    for number in range(1, Race(prepared, tmp_path / "undisturbed", release).calls() + 1):
        race = Race(prepared, tmp_path / str(number), release)
        race.run(f"{number} *", branch, where)
        made = "kept" if race.committed(branch) else "refused by Git's lock"
        ended = "refused" if race.code else "released"
        soak.note("race", release=release, branch=branch, where=where, commit=made, ended=ended)


def test_a_proposal_drops_no_commit_of_a_reviewer(prepared: Path, tmp_path: Path) -> None:
    project = instant_project.copied(prepared, tmp_path / "copy")
    git, branch = Git(project), "proposal/staging/0004"
    origin = Git(project.parent / "origin.git")
    proposed = [
        promotion.promote(git, "staging", print, as_proposal=True) and origin.commit(branch)
        for _ in range(2)
    ]
    assert all(proposed)
    git.run("fetch", "--quiet", "origin")
    mine = git.run("commit-tree", f"origin/{branch}^{{tree}}", "-p", f"origin/{branch}", "-m", "My")
    git.run("push", "--quiet", "origin", f"{mine}:refs/heads/{branch}")
    with pytest.raises(Refused, match=f"origin/{branch} holds commits that are no proposal"):
        promotion.promote(git, "staging", print, as_proposal=True)
    assert origin.commit(branch) == mine


def test_a_proposal_is_refused_where_the_target_was_changed_meanwhile(
    prepared: Path, tmp_path: Path
) -> None:
    race = Race(prepared, tmp_path / "race", "promote")
    place, fault = race.origin, COMMIT.format(place=race.origin, branch="staging", said=race.said)
    words = ("promote", "staging", "--propose")
    command = Command(race.project, *words, moment="* add --all", fault=fault)
    assert "staging was changed on origin while this release was made" in command.ended()
    assert command.process.returncode == 3
    assert Git(place).commit("proposal/staging/0004") is None


def test_the_loser_is_told_who_was_first_and_what_running_again_would_do(
    prepared: Path, tmp_path: Path
) -> None:
    """A colleague rolls back while a promotion of the withdrawn version, or another rollback, is made."""
    for release, rerun in (
        ("promote", "the same command is refused, unless with `--again`"),
        (
            "rollback",
            "without `--to`, the same command is refused once, and would then go back further",
        ),
    ):
        project = instant_project.copied(prepared, tmp_path / release)
        git, said = Git(project), tmp_path / f"{release}.txt"
        git.run("clone", "--quiet", "../origin.git", "../colleague")
        git.run("reset", "--quiet", "--hard", "staging^2")
        (project / "notes.txt").write_text("the same model")
        git.run("add", "--all")
        git.run("commit", "--quiet", "-m", "The same model")
        git.run("push", "--quiet", "--force", "origin", "dev")
        colleague = meanwhile(project.parent / "colleague", "rollback", "staging", said=said)
        moment = "* add --all" if release == "promote" else "* var *"
        command = Command(project, release, "staging", moment=moment, fault=colleague)
        words = command.ended()
        assert command.process.returncode == 3, words
        assert said.exists(), words
        assert "exit code 0" in said.read_text()
        assert (
            "staging was changed on origin while this release was made (staging was rolled back"
            in words
        )
        assert "by A. Tester" in words
        assert rerun in words
        if release == "promote":
            with pytest.raises(Refused, match="staging was rolled back from"):
                promote(project, "staging")
