"""Tests that the parts of docs/deletable.md can be deleted and that everything else still works."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

import running_service
import small_batch
import soak
from baking import NAME, TEMPLATE, UNBAKED, Run
from cutting import cut
from markdown_pages import DOCS, SPAN, rows
from mlops.predict import schema


@dataclass(frozen=True)
class Part:
    """A part that can be deleted: files and folders, functions of mlops/cli, and libraries of
    pyproject.toml."""

    name: str
    paths: list[str]
    commands: list[str]
    libraries: list[str]

    @property
    def is_code(self) -> bool:
        return any(path.startswith("mlops/") for path in self.paths)


PARTS = [
    Part(cells[0], *map(SPAN.findall, cells[1:])) for cells in rows(DOCS / "deletable.md", "Part")
]
NEEDED = {
    *(
        "GitHub",
        "GitLab",
        "cron",
        "Dev container",
        "pre-commit",
        "Notebooks",
        "Coding agents",
        "Container",
        "Search",
        "Watch",
        "Monitoring",
        "Dask",
        "PostgreSQL",
        "Redis",
    ),
    "Parquet as a destination",
}
UNKNOWN = "is not a destination of this project: use sqlite://"
REFUSALS: dict[str, tuple[dict[str, str], str]] = {
    "PostgreSQL": ({"to": "postgresql://somebody@localhost/predictions"}, UNKNOWN),
    "Redis": ({"to": "redis://localhost"}, UNKNOWN),
    "Parquet as a destination": ({"to": "folder"}, UNKNOWN),
    "Dask": ({"to": "sqlite:///other.db", "engine": "dask"}, "this project has no --engine dask"),
}
"""What a batch that needs the part is told once it is deleted."""


def delete(project: Path, part: Part) -> None:
    for name in part.paths:
        path = project / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for command in part.commands:
        cut(module_of(project, command), command)
    pyproject = project / "pyproject.toml"
    for library in part.libraries:
        text, found = re.subn(
            rf'^    "{library}",\n', "", pyproject.read_text(), flags=re.MULTILINE
        )
        assert found == 1, library
        pyproject.write_text(text)


def module_of(project: Path, command: str) -> Path:
    (module,) = (
        file
        for file in (project / "mlops/cli").glob("*.py")
        if re.search(rf"^@.*\.command\(.*\)\ndef {command}\(", file.read_text(), re.MULTILINE)
    )
    return module


def scored(run: Run, folder: Path, *, code: int = 0, **order: str) -> str:
    """Scores rows.csv with the code of the folder, checks the exit code, and returns the output."""
    done = run(
        *small_batch.command(folder, **order),
        cwd=folder.parent,
        check=False,
        PYTHONPATH=str(folder),
        PYTHONSAFEPATH="1",
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_the_page_names_them() -> None:
    assert {part.name for part in PARTS} == NEEDED


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Returns the commands that check a project; types that were checked once are cached."""
    mypy = f"mypy --cache-dir {tmp_path_factory.mktemp('mypy')}"
    return ["ruff check", "ruff format --check", mypy, "mlops --help"]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_what_is_deleted_is_not_missed(
    run: Run, project: Path, finished: Path, arrived: Path, *, checks: list[str], part: Part
) -> None:
    delete(project, part)
    for check in [*(checks if part.is_code else []), *(["python -m pytest"] if soak.LOG else [])]:
        run(*check.split(), cwd=project)
    if part.is_code:
        folder = small_batch.release(finished / "deploy", arrived / "release", code=project)
        assert "scored 200 rows" in scored(run, folder, to="sqlite:///p.db")
    if refusal := REFUSALS.get(part.name):
        order, words = refusal
        assert words in scored(run, folder, code=2, **order)


def test_the_least_that_is_left_is_baked_checked_scores_and_serves(
    run: Run, finished: Path, checks: list[str], arrived: Path, tmp_path: Path
) -> None:
    template = tmp_path / "template"
    listed = run.git("ls-files", "-z", "-co", "--exclude-standard", cwd=TEMPLATE).split("\0")
    for name in filter(lambda name: name and (TEMPLATE / name).is_file(), listed):
        (template / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TEMPLATE / name, template / name)
    for part in PARTS:
        delete(template / UNBAKED.name, part)
    done = run.cookiecutter(tmp_path, template=template)
    assert done.returncode == 0, done.stderr
    project = tmp_path / NAME
    assert [path for part in PARTS for path in part.paths if (project / path).exists()] == []
    for check in [*checks, "python -m pytest"]:
        run(*check.split(), cwd=project)
    folder = small_batch.release(finished / "deploy", tmp_path / "release", code=project)
    assert "scored 200 rows" in scored(run, folder, to="sqlite:///p.db")
    place = running_service.deployment(tmp_path / "service", finished / "deploy")
    with running_service.running(place, code=project) as service:
        row = schema.read_schema(place / "deploy/schema.json").example()
        assert service.predict(row).status_code == 200
