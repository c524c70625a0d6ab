"""What editors, agents, pre-commit and dev containers read: it names what is there, and it works."""

import json
import re
import sys
from pathlib import Path

import pytest

from baking import TEMPLATE, UNBAKED, Run


@pytest.mark.parametrize("root", [TEMPLATE, UNBAKED], ids=["template", "project"])
def test_a_dev_container_ends_in_a_target_of_the_makefile(run: Run, root: Path) -> None:
    folder = root / ".devcontainer"
    settings = json.loads((folder / "devcontainer.json").read_text())
    recipe = folder / settings["build"]["dockerfile"]
    assert run("hadolint", recipe, cwd=root).stdout == ""
    (base,) = re.findall(r"^FROM (\S+)$", recipe.read_text(), re.MULTILINE)
    assert "/" not in base
    assert f"--shell /bin/bash {settings['remoteUser']}" in recipe.read_text()
    make, target, *_ = settings["postCreateCommand"].split()
    assert make == "make"
    assert f"\n{target}:" in (root / "Makefile").read_text()


def test_pre_commit_runs_the_checks_of_the_project(run: Run, project: Path, tmp_path: Path) -> None:
    pytest.importorskip("pre_commit", reason="pre-commit is not installed: make install")
    (project / ".venv/bin").mkdir(parents=True)
    for tool in ("ruff", "mypy"):
        (project / ".venv/bin" / tool).symlink_to(Path(sys.prefix, "bin", tool))
    alone = Run({**run.environment, "PRE_COMMIT_HOME": str(tmp_path / "home"), "PIP_NO_INDEX": "1"})
    alone(sys.executable, "-m", "pre_commit", "install", cwd=project)
    alone(sys.executable, "-m", "pre_commit", "run", "--all-files", cwd=project)
    (project / "science/wrong.py").write_text("import os\nx  = y\n")
    (project / "mlops/wrong.py").write_text('x: int = "a"\n')
    explore = project / "notebooks/explore.ipynb"
    output = '{"name": "stdout", "output_type": "stream", "text": ["a row"]}'
    content = json.loads(explore.read_text().replace('"outputs": []', f'"outputs": [{output}]'))
    explore.write_text(json.dumps(content, indent=1))
    run.git("add", "--all", cwd=project)
    done = alone("git", "commit", "-m", "Wrong", cwd=project, check=False)
    assert done.returncode == 1
    assert re.search(
        r"F821(.|\n)*ruff format --check\.+Failed(.|\n)*notebooks without outputs\.+Failed(.|\n)*"
        "mlops/wrong.py:1: error",
        done.stderr,
    )


def test_the_page_for_agents_is_one_screen_and_names_what_is_there(run: Run, baked: Path) -> None:
    text = (UNBAKED / "AGENTS.md").read_text()
    assert len(text.splitlines()) <= 40
    targets = re.findall(r"^make (\w+)", text, re.MULTILINE)
    assert len(targets) > 3
    makefile = (UNBAKED / "Makefile").read_text()
    assert [target for target in targets if f"\n{target}:" not in makefile] == []
    made = {"data/prepared/", "models/", "deploy/", "reports/", "dvc.lock"}
    paths = set(re.findall(r"`([\w./]+(?:/|\.yaml|\.toml|\.lock))`", text)) - made
    assert len(paths) > 6
    assert [path for path in paths if not (baked / path).exists()] == []
    commands = run("mlops", "--help", cwd=baked, COLUMNS="200").stdout
    for command in re.findall(r"`?mlops ([a-z]+) ", text):
        assert f" {command} " in commands, command


def test_editorconfig_agrees_with_the_formatter() -> None:
    text = (UNBAKED / ".editorconfig").read_text()
    length = re.search(
        r"^line-length = (\d+)", (UNBAKED / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert length
    assert f"max_line_length = {length[1]}\n" in text
