"""The READMEs, done word for word: their commands, their worked examples, their trees."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from baking import NAME, TEMPLATE, UNBAKED, Run

ENVIRONMENTS = ("dev", "staging", "prod")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(readme: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(readme.read_text()) if kind == language]


def script(run: Run, cwd: Path, *parts: str) -> str:
    """One shell for all parts, as a reader would have; the first command that fails ends it."""
    return run("bash", "-ec", "\n".join(parts), cwd=cwd, COLUMNS="120").stdout


def named_in_tree(readme: Path) -> list[str]:
    (tree,) = (text for text in blocks(readme, "") if "dvc.yaml" in text or "hooks/" in text)
    return [name for line in tree.splitlines() for name in line.split("   ")[0].split()]


def rows(status: str) -> dict[str, list[str]]:
    """Version, commit, model, accuracy, % false positives, gate, ... of each environment."""
    lines = [line.split() for line in status.splitlines()]
    return {line[0]: line[1:] for line in lines if line and line[0] in ENVIRONMENTS}


@pytest.fixture(scope="session")
def demonstrated(run: Run, checkout: Path) -> tuple[Path, str]:
    """The directory of a demo, and all that it printed."""
    (command,) = (text for text in blocks(TEMPLATE / "README.md", "sh") if "make demo" in text)
    return checkout / "demo" / NAME, script(run, checkout, command)


def test_the_demo_ends_with_a_model_in_production(demonstrated: tuple[Path, str]) -> None:
    _, printed = demonstrated
    status = rows(printed)
    assert status["staging"][2] == status["prod"][2] != status["dev"][2]
    assert status["staging"][0] == status["prod"][0] == "v1.0.0"
    assert [status[name][5] for name in ENVIRONMENTS] == ["passed"] * 3
    assert re.search(r'"income": "[<>]=?50K"', printed)
    assert re.search(r"Done in \d+ s, beside \d+ s of installing", printed)


def test_a_second_demo_says_what_is_there_and_how_to_begin_again(
    run: Run, checkout: Path, demonstrated: tuple[Path, str]
) -> None:
    project, _ = demonstrated
    before = run.git("for-each-ref", cwd=project)
    assert "rm -rf" in script(run, checkout, "make demo")
    assert run.git("for-each-ref", cwd=project) == before


def test_what_the_readme_of_the_project_says_can_be_done(
    run: Run, bake: Callable[..., Path], tmp_path: Path
) -> None:
    readme = UNBAKED / "README.md"
    project = bake(tmp_path)
    printed = script(run, project, *blocks(readme, "sh"))
    assert "identical" in printed
    status = rows(script(run, project, ". .venv/bin/activate", "mlops status"))
    assert status["staging"][2] == status["prod"][2]
    assert (project / "dvc_plots" / "index.html").exists()
    assert run.git("status", "--porcelain", cwd=project) == ""
    for text in blocks(readme, "python"):
        place, code = text.split("\n", 1)
        with (project / place.removeprefix("# ")).open("a") as file:
            file.write(f"\n\n{code}")
    (block,) = blocks(readme, "yaml")
    params = project / "params.yaml"
    params.write_text(
        params.read_text().replace(
            "  architectures:\n", f"  architectures:\n{block.split(chr(10), 1)[1]}"
        )
    )
    experiment = "dvc exp run -S train.architecture=extra_trees && ruff check"
    script(run, project, ". .venv/bin/activate", experiment)
    schema = json.loads((project / "deploy/schema.json").read_text())
    assert "capital_share_of_age" in schema["derived"]
    assert "extra_trees" in (project / "models/provenance.json").read_text()


@pytest.mark.parametrize("root", [TEMPLATE, UNBAKED], ids=["template", "project"])
def test_the_tree_is_the_one_that_is_there(root: Path) -> None:
    made = {"models/", "deploy/", "reports/"}
    names = named_in_tree(root / "README.md")
    assert len(names) > 5
    assert [name for name in names if name not in made and not (root / name).exists()] == []
