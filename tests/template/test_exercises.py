"""Does the exercises for students: each grading fails before its solution, and passes after it."""

import re
from pathlib import Path

import markdown_pages
import soak
from baking import TEMPLATE, Process, Run

PAGE = TEMPLATE / "demos/exercises.md"
IN_CI = 4
"""The number of exercises that are done without `make soak`, which does all."""

HEADING = re.compile(r"^## ", re.MULTILINE)


def exercises() -> list[tuple[str, str, str, str]]:
    """Returns of each exercise its title, what is typed first, the grading and the solution."""
    found = []
    for text in HEADING.split(PAGE.read_text())[1:]:
        *first, grading, solution = (code for _, code in markdown_pages.BLOCK.findall(text))
        found.append((text.splitlines()[0], "".join(first), grading, solution))
    return found


def test_each_exercise_is_graded(run: Run, in_production: Path) -> None:
    def shell(text: str, *, check: bool = True) -> Process:
        return run("bash", "-ec", text, cwd=in_production, check=check)

    shell("git remote remove origin")  # as after `make demo`
    assert len(exercises()) == 10
    for title, first, grading, solution in exercises()[: None if soak.LOG else IN_CI]:
        shell(first)
        before = shell(grading, check=False)
        assert before.returncode, f"{title}: the grading passes before\n{before.stdout}"
        shell(solution)
        after = shell(grading, check=False)
        assert after.returncode == 0, f"{title}\n{after.stdout}\n{after.stderr}"
