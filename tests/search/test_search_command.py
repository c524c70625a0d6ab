"""Tests the command `mlops search` in a baked project, with real DVC."""

import re
from pathlib import Path

from baking import Run


def test_the_best_trial_becomes_parameters_and_an_experiment(run: Run, project: Path) -> None:
    order = ("mlops", "search", "--trials", "2", "--architecture", "linear", "--workers", "1")
    printed = run(*order, cwd=project).stdout
    assert re.search(r"^1 +[12] +linear +0\.\d+ +inverse_penalty", printed, re.MULTILINE)
    (saved,) = re.findall(r"saved trial \d as the experiment (search-\S+)", printed)
    record = project / f"reports/searches/{saved.removeprefix('search-')[:-2]}.jsonl"
    assert f"All trials are in reports/searches/{record.name}. The values of the best" in printed
    assert len(record.read_text().splitlines()) == 3
    changed = run.git("diff", "--stat", "--", "params.yaml", cwd=project)
    assert "1 insertion" in changed or "2 insertions" in changed

    again = run("mlops", "repro", cwd=project).stdout
    assert "Stage 'train' is cached" in again  # the run of the experiment is the run of the winner
    table = run("mlops", "tracker", "--trials", "--format", "csv", cwd=project).stdout
    assert f"trial {record.stem}/2,linear" in table
    assert f",{saved}," in table
