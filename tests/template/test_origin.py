"""What .template.yaml says of a project that was just made, on each way to the template."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from test_hooks import post_gen

from baking import NAME, TEMPLATE, Run
from template_states import Template


def origin(project: Path) -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe", pure=True).load(project / ".template.yaml")
    return content


def test_it_names_template_state_answers_and_machinery_on_every_branch(
    run: Run, first_release: Path
) -> None:
    project, template = first_release / NAME, first_release / "template"
    said = origin(project)
    assert list(said) == ["address", "version", "commit", "answers", "without", "machinery"]
    assert said["address"] == str(template)
    assert said["version"] == "1.0.0"
    assert said["commit"] == run.git("rev-parse", "v1.0.0^{commit}", cwd=template)
    questions = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    assert said["answers"].keys() == {key for key in questions if key[0] != "_"}
    assert said["answers"]["project"] == NAME
    assert said["machinery"] == run.git("rev-parse", "dev:mlops", cwd=project)
    for branch in ("dev", "staging", "prod"):
        assert run.git("log", "--format=%s", branch, "--", ".template.yaml", cwd=project) == (
            "Begin on dev"
        )


@pytest.mark.parametrize("kind", ["clone", "zip", "uncommitted"])
def test_the_address_is_where_the_template_comes_from(
    run: Run, first_release: Path, tmp_path: Path, kind: str
) -> None:
    shutil.copytree(first_release / "template", tmp_path / "template")
    template = Template(run, tmp_path / "template")
    address = str(template.root)
    if kind == "clone":
        address = f"file://{template.root}"
    if kind == "zip":
        address = str(tmp_path / "template.zip")
        run.git("archive", "--prefix=template/", f"--output={address}", "v1.0.0", cwd=template.root)
    if kind == "uncommitted":
        (template.root / "NOTES").write_text("mine\n")
    (tmp_path / "made").mkdir()
    given = f"git+{address}" if kind == "clone" else address
    done = run.cookiecutter(tmp_path / "made", template=given)
    assert done.returncode == 0, done.stderr
    said = origin(tmp_path / "made" / NAME)
    commit = run.git("rev-parse", "HEAD", cwd=template.root)
    assert said["address"] == address
    assert said["commit"] == ("" if kind == "zip" else commit)
    dirty = f"changes that are not committed; .template.yaml names {commit[:7]}"
    assert (dirty in done.stdout) == (kind == "uncommitted")
    assert (f"{address} has no history of Git; docs/updating.md" in done.stdout) == (kind == "zip")


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://me:secret@example.com/t.git", "https://example.com/t.git"),
        ("https://secret@example.com/t.git", "https://example.com/t.git"),
        ("ssh://git:secret@example.com/t.git", "ssh://git@example.com/t.git"),
        ("ssh://git@example.com:22/t.git", "ssh://git@example.com:22/t.git"),
        ("git@example.com:me/t.git", "git@example.com:me/t.git"),
        ("/home/me@work:here/t", "/home/me@work:here/t"),
    ],
)
def test_an_address_is_written_without_its_secrets(url: str, written: str) -> None:
    assert post_gen.without_secrets(url) == written
