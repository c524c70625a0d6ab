"""Tests the CI files of a project: a runner runs GitLab's jobs, and the commands of GitHub's jobs are run."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import production
import small_project
from baking import TEMPLATE, UNBAKED, Process, Run

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
    push_data(run, in_production, "prod")
    place = production.clone(run, in_production, "prod")
    production.install(place)
    return place


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


def steps(workflow: str) -> list[dict[str, Any]]:
    """Returns the steps that are commands."""
    text = (UNBAKED / ".github/workflows" / workflow).read_text()
    (job,) = YAML(typ="safe").load(text)["jobs"].values()
    return [step for step in job["steps"] if "run" in step]


def score(run: Run, place: Path) -> Process:
    """Runs the steps of the scoring workflow, and returns the result of the last one."""
    for step in steps("score.yaml"):
        shell = ("bash", "-e", "-c", step["run"])
        done = run(*shell, cwd=place, check=False, ENVIRONMENT="prod", DATABASE_URL=url(place))
    return done


def test_githubs_commands_score_what_is_pushed(run: Run, pushed: Path) -> None:
    for _ in range(2):
        assert score(run, pushed).returncode == 0
        assert scored(pushed) == BOTH


def test_a_file_that_fails_does_not_hold_up_the_others(run: Run, pushed: Path) -> None:
    run("dvc", "pull", "--quiet", cwd=pushed)
    broken = pushed / "data/incoming/a second file.csv"
    broken.unlink()
    broken.write_text("what is this?\n")
    run("dvc", "add", "--quiet", str(broken), cwd=pushed)
    run.git("commit", "--quiet", "--message", "Broken", cwd=pushed)
    done = score(run, pushed)
    assert done.returncode != 0
    assert "a second file.csv" in done.stderr
    assert scored(pushed) == BOTH[1:]


def test_githubs_commands_check_what_a_pull_request_would_make(run: Run, pushed: Path) -> None:
    (records,) = (step["run"] for step in steps("check.yaml") if "mlops check" in step["run"])
    shell = ("bash", "-e", "-c", records)
    run(*shell, cwd=pushed, GITHUB_REF_NAME="prod")
    run.git("checkout", "--quiet", "--detach", cwd=pushed)
    request = run(
        *shell, cwd=pushed, check=False, GITHUB_REF_NAME="7/merge", GITHUB_BASE_REF="staging"
    )
    assert request.returncode == 3
    assert "branch.yaml says prod, but this is the branch staging" in request.stderr


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
    assert workflow.read_text().endswith("- run: .ci/run\n")
    assert os.access(TEMPLATE / ".ci/run", os.X_OK)
