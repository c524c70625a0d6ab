"""Tests the CI files of a project: a runner runs GitLab's jobs, and the commands of GitHub's jobs are run."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import production
import small_project
import soak
from baking import TEMPLATE, UNBAKED, Process, Run
from workflows import Event

WORKFLOWS = [*UNBAKED.glob(".github/workflows/*"), *TEMPLATE.glob(".github/workflows/*")]
RUNNER = "gitlab-ci-local@4.61.1"
ROWS = {"november.csv": 30, "a second file.csv": 20}


@pytest.fixture(scope="session")
def gitlab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runner of GitLab's jobs, from npm."""
    for tool in ("npm", "rsync"):
        if not shutil.which(tool):
            pytest.skip(f"GitLab's jobs are not run: there is no {tool}")
    folder = tmp_path_factory.mktemp("gitlab")
    install = [
        "npm",
        "install",
        "--prefix",
        str(folder),
        "--silent",
        "--no-audit",
        "--no-fund",
        RUNNER,
    ]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"GitLab's jobs are not run: npm can't install {RUNNER}: {done.stderr}")
    return folder / "node_modules/.bin/gitlab-ci-local"


def push_data(run: Run, project: Path, environment: str) -> None:
    """Adds two files to the branch of an environment, as docs/batch.md says."""
    run.git("switch", "--quiet", environment, cwd=project)
    for name, rows in ROWS.items():
        small_project.table(rows).to_csv(project / "data/incoming" / name, index=False)
        run("dvc", "add", "--quiet", f"data/incoming/{name}", cwd=project)
    run.git("commit", "--quiet", "--message", "Two files to be scored", cwd=project)
    run("dvc", "push", "--quiet", cwd=project)
    run.git("push", "--quiet", "origin", environment, cwd=project)


@pytest.fixture
def pushed(run: Run, in_production: Path) -> Path:
    """CI's clone of prod, to which data were pushed."""
    if sys.platform != "linux":
        pytest.skip("the jobs of a project are for Linux, with its sed and xargs")
    push_data(run, in_production, "prod")
    place = production.clone(run, in_production, "prod")
    production.install(place)
    return place


@pytest.fixture(scope="module", autouse=True)
def types_are_checked_once(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    run.environment["MYPY_CACHE_DIR"] = str(tmp_path_factory.mktemp("types"))
    yield
    del run.environment["MYPY_CACHE_DIR"]


def database(place: Path) -> Path:
    return place.parent / "predictions.db"


def url(place: Path) -> str:
    return f"sqlite:///{database(place)}"


def scored(place: Path) -> list[tuple[str, int, str, str]]:
    with closing(sqlite3.connect(database(place))) as connection:
        columns = "source, rows, model_version, environment"
        found = connection.execute(f"select {columns} from batches order by rows").fetchall()  # noqa: S608
    return [(Path(source).name, *rest) for source, *rest in found]


BOTH = [(name, rows, "v1.0.0", "prod") for name, rows in sorted(ROWS.items(), key=lambda kv: kv[1])]


def jobs(run: Run, gitlab: Path, place: Path, **variables: str) -> set[str]:
    """Returns the names of the jobs that GitLab would run."""
    given = [f"--variable={name}={value}" for name, value in variables.items()]
    listed = run(gitlab, "--list-json", *given, cwd=place).stdout
    content = listed[listed.index("[\n") :]  # below what it warns of
    return {job["name"] for job in json.loads(content) if job["when"] != "never"}


def test_gitlab_scores_what_is_pushed_and_what_is_due(run: Run, gitlab: Path, pushed: Path) -> None:
    target = {"DATABASE_URL": url(pushed)}
    assert jobs(run, gitlab, pushed) == {"check"}
    assert jobs(run, gitlab, pushed, **target) == {"check", "score"}
    assert jobs(run, gitlab, pushed, **target, CI_PIPELINE_SOURCE="schedule") == {"score"}
    for _ in range(2):
        gitlab_job(run, gitlab, pushed, "score", DATABASE_URL=url(pushed))
        assert scored(pushed) == BOTH


def test_gitlab_scores_nothing_where_no_data_are_pushed(
    run: Run, gitlab: Path, in_production: Path
) -> None:
    for branch in ("dev", "prod"):
        place = production.clone(run, in_production, branch)
        assert jobs(run, gitlab, place, DATABASE_URL=url(place)) == {"check"}


def gitlab_job(
    run: Run, gitlab: Path, place: Path, job: str, *, check: bool = True, **variables: str
) -> Process:
    given = [f"--variable={name}={value}" for name, value in variables.items()]
    return run(gitlab, "--force-shell-executor", *given, job, cwd=place, check=check)


def test_gitlab_checks_the_code_and_the_records(run: Run, gitlab: Path, pushed: Path) -> None:
    for test in set(pushed.glob("tests/test_*")) - {pushed / "tests/test_features.py"}:
        test.unlink()
    run.git("commit", "--all", "--quiet", "--message", "A single test", cwd=pushed)
    checked = gitlab_job(run, gitlab, pushed, "check")
    assert "all well in prod" in checked.stdout
    assert re.search(r"\d passed", checked.stdout)
    (pushed / "branch.yaml").write_text("environment: dev\n")
    run.git("commit", "--all", "--quiet", "--message", "A merge from dev", cwd=pushed)
    refused = gitlab_job(run, gitlab, pushed, "check", check=False)
    assert refused.returncode != 0
    assert "branch.yaml says dev, but this is the branch prod" in refused.stderr


def test_githubs_commands_score_what_is_pushed_and_what_is_due(
    run: Run, pushed: Path, in_production: Path
) -> None:
    events = score_events(pushed)
    assert all(event.starts("score.yaml") for event in events)
    assert not Event("push", "prod", changed=["README.md"]).starts("score.yaml")
    assert not Event("push", "dev", changed=["data/incoming/a.csv.dvc"]).starts("score.yaml")
    assert Event("push", "prod").run(run, "score.yaml", pushed) == []
    default = production.clone(run, in_production, "dev")
    production.install(default)
    for event, place in zip(events, (pushed, default), strict=True):
        succeed(event.run(run, "score.yaml", place))
        assert scored(pushed) == BOTH


def score_events(place: Path) -> list[Event]:
    given = {"DATABASE_URL": url(place)}
    push = Event("push", "prod", changed=["data/incoming/november.csv.dvc"], vars=given)
    return [push, Event("schedule", "dev", vars=given)]


def succeed(steps: list[Process]) -> None:
    assert steps
    assert steps[-1].returncode == 0, steps[-1].stdout + steps[-1].stderr


def test_a_file_that_fails_does_not_hold_up_the_others(run: Run, pushed: Path) -> None:
    run("dvc", "pull", "--quiet", cwd=pushed)
    broken = pushed / "data/incoming/a second file.csv"
    broken.unlink()
    broken.write_text("what is this?\n")
    run("dvc", "add", "--quiet", str(broken), cwd=pushed)
    run.git("commit", "--quiet", "--message", "Broken", cwd=pushed)
    done = score_events(pushed)[0].run(run, "score.yaml", pushed)[-1]
    assert done.returncode != 0
    assert "a second file.csv" in done.stderr
    assert scored(pushed) == BOTH[1:]


@pytest.fixture
def merged(run: Run, in_production: Path) -> Path:
    """The project in production, with a feature on a branch of its own and merged into dev; all is pushed."""
    run.git("switch", "--quiet", "--create", "feature/income", cwd=in_production)
    with (in_production / "science/features.py").open("a") as features:
        features.write(FEATURE)
    run("mlops", "repro", cwd=in_production)
    run.git("commit", "--all", "--quiet", "--message", "A feature", cwd=in_production)
    run.git("switch", "--quiet", "dev", cwd=in_production)
    with (in_production / "README.md").open("a") as readme:
        readme.write("Something else happened on dev.\n")
    run.git("commit", "--all", "--quiet", "--message", "Something else", cwd=in_production)
    run.git("merge", "--quiet", "--no-edit", "feature/income", cwd=in_production)
    run("dvc", "push", "--quiet", "--run-cache", cwd=in_production)
    run.git("push", "--quiet", "origin", "dev", "feature/income", cwd=in_production)
    return in_production


FEATURE = """

@number
def age_squared(age):
    return age * age
"""
BRANCHES = ["dev", "staging", "prod", "feature/income"]
"""Of which dev holds the merge of the feature."""


@pytest.mark.parametrize("branch", BRANCHES if soak.LOG else ["dev"])
def test_githubs_commands_are_green_on_every_branch(run: Run, merged: Path, branch: str) -> None:
    place = production.clone(run, merged, branch)
    production.install(place)
    push = Event("push", branch)
    assert push.starts("check.yaml")
    succeed(push.run(run, "check.yaml", place))
    assert run.git("status", "--porcelain", cwd=place) == ""
    soak.note("CI", forge="GitHub", branch=branch)


@pytest.mark.skipif(not soak.LOG, reason="`make soak` runs it: it takes minutes")
@pytest.mark.parametrize("branch", BRANCHES)
def test_gitlabs_jobs_are_green_on_every_branch(
    run: Run, gitlab: Path, merged: Path, branch: str
) -> None:
    place = production.clone(run, merged, branch)
    production.install(place)
    assert jobs(run, gitlab, place) == {"check"}
    assert re.search(r"\d passed", gitlab_job(run, gitlab, place, "check").stdout)
    soak.note("CI", forge="GitLab", branch=branch)


def test_githubs_commands_check_what_a_pull_request_would_make(run: Run, pushed: Path) -> None:
    run.git("checkout", "--quiet", "--detach", cwd=pushed)
    request = Event("pull_request", "7/merge", base="staging")
    assert request.starts("check.yaml")
    refused = request.run(run, "check.yaml", pushed)[-1]
    assert refused.returncode == 3
    assert "branch.yaml says prod, but this is the branch staging" in refused.stderr


def test_workflows_are_as_github_reads_them(run: Run) -> None:
    schema = ["--builtin-schema", "vendor.github-workflows"]
    run("check-jsonschema", *schema, *WORKFLOWS, cwd=TEMPLATE)


def test_gitlabs_file_is_as_gitlab_reads_it(run: Run) -> None:
    schema = ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"]
    run("check-jsonschema", *schema, UNBAKED / ".gitlab-ci.yml", cwd=TEMPLATE)


def test_workflows_have_no_more_rights_than_they_need(run: Run) -> None:
    run("zizmor", "--offline", "--no-progress", *WORKFLOWS, cwd=TEMPLATE)


def test_the_template_is_checked_by_the_command_that_people_use() -> None:
    (workflow,) = TEMPLATE.glob(".github/workflows/*.yaml")
    jobs = YAML(typ="safe").load(workflow)["jobs"]
    assert jobs["ci"]["steps"][-1] == {"run": ".ci/run"}
    assert os.access(TEMPLATE / ".ci/run", os.X_OK)


def test_the_job_for_windows_bakes_and_names_tests_that_are_there(run: Run, tmp_path: Path) -> None:
    (workflow,) = TEMPLATE.glob(".github/workflows/*.yaml")
    job = YAML(typ="safe").load(workflow)["jobs"]["windows"]
    _, bake, test = (step for step in job["steps"] if "run" in step)
    shell = ("bash", "-eo", "pipefail", "-c")
    run(*shell, bake["run"], cwd=TEMPLATE, RUNNER_TEMP=str(tmp_path), **bake["env"])
    rooms = re.findall(r"tests/\w+", test["run"])
    assert len(rooms) == 4
    assert all((TEMPLATE / room).is_dir() for room in rooms)
