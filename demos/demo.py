"""Bakes a project, runs it on dev, promotes its model to staging and prod, and asks prod for an answer."""

from __future__ import annotations

import shlex
from pathlib import Path

import walkthrough
from walkthrough import Command, Step, Walk


def demo(project: Path, tool: list[str]) -> Walk:
    """Returns the steps of the demo in a project; `tool` are options of install.py."""

    def step(name: str, title: str, *words: str) -> Step:
        return Step(name, title, project, [Command([*words])])

    steps = [
        step("run", "Run the pipeline on dev", "mlops", "repro"),
        Step("commit", "Commit the run", project, walkthrough.commit("First run")),
        step("staging", "Promote to staging", "mlops", "promote", "staging"),
        step("prod", "Promote to prod", "mlops", "promote", "prod"),
        step("status", "Show what each environment holds", "mlops", "status"),
        step("ask", "Ask the model of prod", "mlops", "predict", "--environment", "prod"),
    ]
    return Walk(
        word="demo",
        project=project,
        steps=[*walkthrough.to_a_project(project, tool), *steps],
        afterwards=f"""
Next, to train another model and bring it to production:
  cd {shlex.quote(str(project))} && . .venv/bin/activate
  edit params.yaml, then: mlops repro
  git commit --all -m "Another model" && mlops promote staging""",
    )


if __name__ == "__main__":
    walkthrough.main(__doc__, demo)
