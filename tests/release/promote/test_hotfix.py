"""Tests the hotfix of docs/environments.md, which a colleague makes in a clone of their own."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import instant_project
from instant_project import promote, reproduce
from machinery import MLOPS
from markdown_pages import DOCS, blocks
from mlops.errors import Refused
from mlops.release.data import push
from mlops.release.follow import deployment
from mlops.release.history import records
from mlops.release.history.git import Git
from mlops.release.promote import promotion
from tiny_pipeline import git

NOBODY = 65534


AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
MAY_RUN = "import dvc, os, sys; sys.exit(not os.access(sys.executable, os.X_OK))"


@dataclass(frozen=True)
class Colleague:
    """A clone of somebody whose new files are closed to all others, and who is another user if `user`, the
    first words of a command, says so."""

    clone: Path
    user: Sequence[str]

    def run(self, *command: str) -> str:
        done = subprocess.run(
            [*self.user, *command],
            cwd=self.clone,
            env={**os.environ, "HOME": str(self.clone.parent / "home")},
            umask=0o077,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def mlops(self, *words: str) -> str:
        return self.run(sys.executable, "-c", MLOPS, *words)

    def shell(self, line: str) -> str:
        mlops = shlex.join([sys.executable, "-c", MLOPS])
        return self.run("sh", "-ec", f'mlops() {{ {mlops} "$@"; }}\n{line}')


def can_be_nobody() -> bool:
    """Returns whether this is root, and this Python and its libraries are not in a folder of root's alone."""
    if os.getuid() or not shutil.which("setpriv"):
        return False
    asked = [*AS_NOBODY, sys.executable, "-c", MAY_RUN]
    try:
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def documented_hotfix() -> list[str]:
    """Returns the commands of the hotfix in docs/environments.md."""
    page = DOCS / "environments.md"
    (block,) = (text for text in blocks(page, "text") if "--hotfix" in text)
    return [line.partition("  #")[0] for line in block.splitlines()]


@pytest.fixture
def project(in_prod: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project in prod, with an origin and a storage that every user may write."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        project = instant_project.copied(in_prod, place / "team")
        project.parent.chmod(0o755)
        git(project.parent, "init", "--quiet", "--bare", "--shared=0666", "-b", "dev", "origin.git")
        git(project, "remote", "add", "origin", "../origin.git")
        git(project, "push", "--quiet", "origin", "dev", "staging", "prod", "--tags")
        shared = [project.parent / "origin.git", project.parent / "storage"]
        subprocess.run(["chmod", "-R", "a+rwX", *shared], check=True)
        trusting = place / "gitconfig"
        trusting.write_text("[safe]\n\tdirectory = *\n")
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(trusting))
        yield project


@pytest.fixture
def colleague(project: Path) -> Colleague:
    other = can_be_nobody()
    places = [project.parent / "colleague", project.parent / "home"]
    for place in places:
        place.mkdir()
        if other:
            shutil.chown(place, NOBODY, NOBODY)
    found = Colleague(places[0], AS_NOBODY if other else ())
    found.run("git", "clone", "--quiet", "../origin.git", ".")
    return found


def test_a_hotfix_of_a_colleague_is_a_release_that_all_can_use(
    project: Path, colleague: Colleague
) -> None:
    switch, reproduce_it, release, *_ = documented_hotfix()
    colleague.shell(switch)
    (colleague.clone / "params.yaml").write_text("quality: 0.95\n")
    colleague.run("git", "commit", "--quiet", "--all", "--message", "Correct the quality")
    fix = colleague.run("git", "rev-parse", "HEAD").strip()
    colleague.shell(reproduce_it)
    said = colleague.shell(release)
    assert said.splitlines()[-1].startswith("prod/0002: v1.1.0, from hotfix ")
    for path in (project.parent / "storage").rglob("*"):
        assert path.stat().st_mode & (0o777 if path.is_dir() else 0o444) in (0o777, 0o444), path

    with deployment.open_deployment(Git(project), "prod") as deployed:
        assert deployed.release["version"] == "v1.1.0"
        assert (deployed.folder / "deploy/model.onnx").read_text() == "quality: 0.95\n"
    record = records.find_record(records.records_of(Git(project), "prod"), "v1.1.0").record
    assert (record.kind, record.source) == ("promotion", "hotfix")

    instant_project.refused(project, "prod", rf"git cherry-pick -x {fix[:7]}")
    git(project, "cherry-pick", "-x", fix)
    reproduce(project, "Reproduce")
    push.push_branches(Git(project), [], print)
    staging = promote(project, "staging")
    prod = promote(project, "prod")
    assert staging
    assert prod
    assert staging.version == prod.version == "v1.1.0"
    colleague.run("git", "fetch", "--quiet", "origin")
    colleague.run("git", "switch", "--quiet", "--detach", "origin/dev")
    assert "Everything was up to date." in colleague.mlops("repro").splitlines()


def test_what_does_not_start_from_the_environment_is_refused(
    in_prod: Path,
) -> None:
    def refused(branch: str, words: str) -> None:
        before = instant_project.state(in_prod)
        with pytest.raises(Refused, match=words):
            promotion.promote(Git(in_prod), "prod", print, hotfix=branch)
        assert instant_project.state(in_prod) == before

    refused("nosuch", "there is no branch 'nosuch' here: `git switch -c nosuch prod`")
    git(in_prod, "branch", "elsewhere", "dev")
    refused("elsewhere", "elsewhere lacks commits of prod, and would undo them")
    git(in_prod, "switch", "--quiet", "--create", "misnamed", "prod")
    instant_project.name_environment(in_prod, "dev")
    git(in_prod, "commit", "--quiet", "--all", "--message", "Back to dev")
    refused("misnamed", "misnamed is a branch of dev, as its branch.yaml says")
    git(in_prod, "switch", "--quiet", "--create", "unrun", "prod")
    (in_prod / "params.yaml").write_text("quality: 0.95\n")
    refused("unrun", "unrun has uncommitted work: params.yaml")
    git(in_prod, "commit", "--quiet", "--all", "--message", "Not run")
    refused("unrun", "unrun is not reproduced; not up to date: train.*on unrun, `mlops repro`")
