"""What a team may not need is deleted as README.md says, and everything else still passes."""

import re
import shutil
from pathlib import Path

import pytest

import soak
from baking import UNBAKED, Run
from cutting import cut

LINE = re.compile(r"^rm -r (?P<paths>[^#\n]+?) *# (?P<words>.*)$", re.MULTILINE)
COMMAND = re.compile(r"`(\w+)`(?=[^#]* in mlops/cli)")
README = (UNBAKED / "README.md").read_text().replace("\\\n", "")
PARTS = [found.groupdict() for found in LINE.finditer(README)]


def delete(project: Path, part: dict[str, str]) -> None:
    for name in part["paths"].split():
        path = project / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for command in COMMAND.findall(part["words"]):
        cut(project / "mlops/cli/__main__.py", command)


def test_the_readme_names_them() -> None:
    words = " ".join(part["words"] for part in PARTS)
    assert all(part in words for part in ("watch", "Dask", "monitor", "GitHub", "GitLab"))


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Commands; types that were checked once are remembered."""
    mypy = f"mypy --cache-dir {tmp_path_factory.mktemp('mypy')}"
    return ["ruff check", "ruff format --check", mypy, "mlops --help"]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part["paths"].split()[0])
def test_what_is_deleted_is_not_missed(
    run: Run, project: Path, checks: list[str], part: dict[str, str]
) -> None:
    delete(project, part)
    for check in [*checks, *(["python -m pytest"] if soak.LOG else [])]:
        run(*check.split(), cwd=project)


def test_the_least_that_is_left_passes_its_tests(
    run: Run, project: Path, checks: list[str]
) -> None:
    for part in PARTS:
        delete(project, part)
    for check in [*checks, "python -m pytest"]:
        run(*check.split(), cwd=project)
