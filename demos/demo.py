"""Bakes a project, runs it on dev, promotes its model to staging and prod, and asks prod for an answer."""

from __future__ import annotations

import shlex
from pathlib import Path

import walkthrough
from walkthrough import Step, Walk


def demo(project: Path, tool: list[str]) -> Walk:
    """Returns the steps of the demo in a project; `tool` are options of install.py."""
    steps = [
        Step("Run the pipeline on dev", project, [["mlops", "repro"]]),
        Step("Commit the run", project, walkthrough.commit("First run")),
        Step("Promote to staging", project, [["mlops", "promote", "staging"]]),
        Step("Promote to prod", project, [["mlops", "promote", "prod"]]),
        Step("Show what each environment holds", project, [["mlops", "status"]]),
        Step("Ask the model of prod", project, [["mlops", "predict", "--environment", "prod"]]),
    ]
    return Walk(
        word="demo",
        project=project,
        steps=[*walkthrough.to_a_project(project, tool), *steps],
        show_result=["mlops", "status"],
        afterwards=f"""
Next, to train another model and bring it to production:
  cd {shlex.quote(str(project))} && . .venv/bin/activate
  edit params.yaml, then: mlops repro
  git commit --all -m "Another model" && mlops promote staging""",
    )


if __name__ == "__main__":
    walkthrough.main(__doc__, demo)
