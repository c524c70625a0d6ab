"""Runs the commands and worked examples of the READMEs and docs/ as they stand there, and checks their
trees."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from baking import NAME, TEMPLATE, UNBAKED, Run
from markdown_pages import DOCS, blocks, pages

ENVIRONMENTS = ("dev", "staging", "prod")
ACTIVATE = ". .venv/bin/activate"


def script(run: Run, cwd: Path, *parts: str) -> str:
    """Runs all parts in one shell, as a reader does; the first command that fails ends it."""
    return run("bash", "-ec", "\n".join(parts), cwd=cwd, COLUMNS="120").stdout


def named_in_tree(readme: Path) -> list[str]:
    (tree,) = (text for text in blocks(readme, "") if "dvc.yaml" in text or "hooks/" in text)
    return [name for line in tree.splitlines() for name in line.split("   ")[0].split()]


def rows(status: str) -> dict[str, list[str]]:
    """Returns version, commit, model, accuracy, % false positives, gate, ... of each environment."""
    lines = [line.split() for line in status.splitlines()]
    return {line[0]: line[1:] for line in lines if line and line[0] in ENVIRONMENTS}


@pytest.fixture(scope="session")
def demonstrated(run: Run, checkout: Path) -> tuple[Path, str]:
    """Returns the directory of a demo, and its output."""
    (command,) = (text for text in blocks(TEMPLATE / "README.md", "sh") if "make demo" in text)
    return checkout / "demo" / NAME, script(run, checkout, command)


def test_the_demo_ends_with_a_model_in_production(demonstrated: tuple[Path, str]) -> None:
    _, printed = demonstrated
    status = rows(printed)
    assert status["staging"][2] == status["prod"][2] != status["dev"][2]
    assert status["staging"][0] == status["prod"][0] == "v1.0.0"
    assert [status[name][5] for name in ENVIRONMENTS] == ["passed"] * 3
    assert re.search(r'"prediction": "[<>]=?50K"', printed)
    assert re.search(r"Done in \d+ s, beside \d+ s of installing", printed)


def test_a_second_demo_says_what_is_there_and_how_to_begin_again(
    run: Run, checkout: Path, demonstrated: tuple[Path, str]
) -> None:
    project, _ = demonstrated
    before = run.git("for-each-ref", cwd=project)
    assert "rm -rf" in script(run, checkout, "make demo")
    assert run.git("for-each-ref", cwd=project) == before


def test_what_readme_and_docs_of_the_project_say_can_be_done(
    run: Run, bake: Callable[..., Path], tmp_path: Path
) -> None:
    project = bake(tmp_path)
    printed = script(run, project, *blocks(UNBAKED / "README.md", "sh"))
    assert "identical" in printed
    status = rows(script(run, project, ACTIVATE, "mlops status"))
    assert status["staging"][2] == status["prod"][2]
    assert (project / "dvc_plots" / "index.html").exists()
    assert run.git("status", "--porcelain", cwd=project) == ""
    for page in sorted(DOCS.glob("*.md")):
        if commands := blocks(page, "sh"):
            script(run, project, ACTIVATE, *commands)
            assert run.git("status", "--porcelain", cwd=project) == "", page.name
    for page in pages():
        for text in blocks(page, "python"):
            add_code(project, text)
        for text in blocks(page, "yaml"):
            add_block(project, text)
    script(run, project, ACTIVATE, "dvc exp run -S train.architecture=extra_trees && ruff check")
    schema = json.loads((project / "deploy/schema.json").read_text())
    assert "capital_share_of_age" in schema["derived"]
    assert "extra_trees" in (project / "models/provenance.json").read_text()
    assert "sex: Female" in json.loads((project / "reports/gate.json").read_text())


def add_code(project: Path, text: str) -> None:
    """Adds a worked example, whose first line names the file that it belongs to."""
    place, code = text.split("\n", 1)
    path = project / place.removeprefix("# ")
    path.write_text(f"{path.read_text()}\n\n{code}" if path.exists() else code)


def add_block(project: Path, text: str) -> None:
    """Adds a block of YAML in place of one of its name, or else first below the key that its comment
    names."""
    place, block = text.split("\n", 1)
    file, key = place.removeprefix("# ").split(", under ")
    path, name = project / file, block.split(":", 1)[0]
    depth = len(name) - len(name.lstrip())
    old = re.compile(rf"^{name}:.*\n(?:(?: {{{depth + 1}}}.*)?\n)*", re.MULTILINE)
    rest = old.sub("", path.read_text())
    before, heading, after = rest.partition(f"{key.rpartition('.')[2]}:\n")
    assert heading, f"{file} has no {key}"
    path.write_text(f"{before}{heading}{block}{after}")


def test_the_first_model_of_the_template_is_that_of_the_project() -> None:
    (begin,) = (text for text in blocks(TEMPLATE / "README.md", "text") if "mlops promote" in text)
    steps = [line.split("  ")[0] for line in begin.splitlines()]
    known = "\n".join(blocks(UNBAKED / "README.md", "sh"))
    assert [step for step in steps if step not in known] == []


@pytest.mark.parametrize("root", [TEMPLATE, UNBAKED], ids=["template", "project"])
def test_the_tree_is_the_one_that_is_there(root: Path) -> None:
    made = {"models/", "deploy/", "reports/"}
    names = named_in_tree(root / "README.md")
    assert len(names) > 5
    assert [name for name in names if name not in made and not (root / name).exists()] == []
