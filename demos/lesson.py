"""A lesson for a lecture: eight models, their table and releases, a refusal, a rollback, and their answers.

What each step has shown is kept. A lesson that was done at home is shown in class within seconds.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import walkthrough
from walkthrough import Command, Step, Walk

SET_ROWS_ASIDE = Path(__file__).with_name("set_rows_aside.py")

FEATURE = '''@number
def years_from_fifty(age):
    """The years between an age and fifty, at which incomes are highest."""
    return np.abs(age - 50)
'''
QUICK, SLOW = (
    f"{{iterations: {trees}, learning_rate: {rate}, leaves: {leaves}}}"
    for trees, rate, leaves in ((150, 0.1, 31), (300, 0.05, 15))
)
CHART_WIDTH = 28
LOWEST, HIGHEST = 0.84, 0.88


def lesson(project: Path, tool: list[str]) -> Walk:
    """Returns the steps of the lesson in a project; `tool` are options of install.py."""
    port = free_port()
    said_of_container, image = container()

    def step(
        name: str,
        title: str,
        sentence: str,
        *commands: str | Command,
        changes: tuple[Callable[[], str], ...] = (),
        picture: Callable[[Mapping[str, str]], str] | None = None,
    ) -> Step:
        parsed = [
            Command(shlex.split(each)) if isinstance(each, str) else each for each in commands
        ]
        return Step(name, title, project, parsed, sentence, changes, picture)

    def model(
        number: str,
        what: str,
        sentence: str,
        *commands: str,
        changes: tuple[Callable[[], str], ...] = (),
    ) -> Step:
        """Returns the step of a model: changes, a run, a commit, and a promotion to staging."""
        return step(
            number,
            f"Model {number}: {what}",
            sentence,
            *commands,
            Command(["mlops", "repro"], lines=1),
            *walkthrough.commit(f"Model {number}: {what}"),
            Command(["mlops", "promote", "staging"], lines=1),
            changes=changes,
            picture=lambda variables: chart(project, variables),
        )

    def edit(file: str, old: str, new: str) -> Callable[[], str]:
        def change() -> str:
            text = (project / file).read_text()
            if old not in text:
                raise ValueError(f"{file} does not hold {old!r}")
            (project / file).write_text(text.replace(old, new))
            return f"edit {file}: {new.strip()}"

        return change

    def architecture(old: str, new: str) -> Callable[[], str]:
        return edit("params.yaml", f"  architecture: {old} ", f"  architecture: {new} ")

    def hyperparameters(name: str) -> Callable[[], str]:
        return edit("params.yaml", f"{name}: {QUICK}", f"{name}: {SLOW}")

    def add_feature() -> str:
        with (project / "science/features.py").open("a") as file:
            file.write(f"\n\n{FEATURE}")
        return f"at the end of science/features.py:\n\n{FEATURE}"

    steps = [
        step(
            "data",
            "The data",
            "Git stores the hash of the table, and DVC its rows.",
            "dvc commit --force data/raw.dvc",
            "cat data/raw.dvc",
            "dvc dag",
        ),
        step(
            "later",
            "Rows that arrive later",
            "A part of the census is set aside. Dev sees all rows instead of a sample, so that its models "
            "are those of staging, and staging accepts simple models.",
            f"python {shlex.quote(str(SET_ROWS_ASIDE))} ../later",
            "dvc commit --force --quiet data/raw.dvc",
            *walkthrough.commit("Set rows aside that arrive later"),
            changes=(
                edit("environments/dev.yaml", "fraction: 0.3", "fraction: 1.0"),
                edit("environments/staging.yaml", "roc_auc: {min: 0.9}", "roc_auc: {min: 0.89}"),
            ),
        ),
        model(
            "1.0",
            "logistic regression",
            "The first model is the simplest one. A run has five stages, a commit names all that made the "
            "model, and a promotion gives it a version in staging.",
            changes=(architecture("gradient_boosting", "linear"),),
        ),
        step(
            "gate",
            "A gate that refuses",
            "Each environment has bounds in environments/. Prod asks for an accuracy of 0.85, which model "
            "1.0 does not reach: the promotion is refused, and nothing has changed.",
            Command(["mlops", "promote", "prod"], expected=(4,), lines=5),
            "mlops history prod",
            "mlops status",
        ),
        model(
            "1.1",
            "a feature added",
            "Other code: a function in science/features.py is a derived column, in training and in every "
            "prediction alike.",
            changes=(add_feature,),
        ),
        model(
            "1.2",
            "a random forest",
            "Another architecture, with the same data.",
            changes=(architecture("linear", "random_forest"),),
        ),
        model(
            "1.3",
            "gradient boosting",
            "A third architecture, with the same data.",
            changes=(architecture("random_forest", "gradient_boosting"),),
        ),
        model(
            "1.4",
            "more rows to train on",
            "Rows arrive: they are compared with the table, and added to it by a commit of their own.",
            "mlops data add --yes ../later/march.csv",
        ),
        step(
            "prod",
            "To production",
            "A promotion to prod takes the bytes that staging has tested. Nothing is trained again.",
            Command(["mlops", "promote", "prod"], lines=12),
            "mlops status",
        ),
        model(
            "1.5",
            "smaller trees that learn slower",
            "Other hyperparameters: twice as many trees, with half the leaves, each of which counts half.",
            changes=(hyperparameters("gradient_boosting"),),
        ),
        model(
            "1.6",
            "more rows, also to validate with",
            "More rows arrive, for training and for validation. The test rows stay as they were, so that all "
            "models can be compared.",
            "mlops data add --yes ../later/april.csv",
        ),
        model(
            "1.7",
            "LightGBM",
            "A fourth architecture with the same hyperparameters. The gain is so small that chance could "
            "explain it: the card of a model states the interval of each metric.",
            changes=(architecture("gradient_boosting", "lightgbm"), hyperparameters("lightgbm")),
        ),
        step(
            "table",
            "The table of versions",
            "Code, libraries, parameters and data for training, validation and testing must have versions. "
            "The numbers 1.0, 1.1, ... are given by first appearance; --explain says what they stand for.",
            "mlops tracker",
            "mlops tracker --explain",
            "mlops compare v1.6.0 v1.7.0",
        ),
        step(
            "reproduce",
            "Reproducibility",
            "A version leads back to all that made it. It is run again from nothing, in a place of its own, "
            "and every file is compared byte by byte.",
            "mlops reproduce v1.7.0",
        ),
        step(
            "release",
            "The better model goes to production",
            "Prod compares the new model with the one in place, on the same test rows.",
            Command(["mlops", "promote", "prod"], lines=12),
            "mlops status",
        ),
        step(
            "realtime",
            "Deployment in real time",
            "A service answers one person at a time, within milliseconds, with the code and libraries of its "
            "release. It follows its branch.",
            "mlops predict --environment prod",
            *served(port),
        ),
        step(
            "batch",
            "Deployment as a batch",
            "A batch answers many rows at once and writes them into a database. A second run finds the work "
            "done. The monitor compares the rows with those of the training.",
            "mlops score ../later/people.csv --to sqlite:///predictions.db --force",
            "mlops score ../later/people.csv --to sqlite:///predictions.db",
            "mlops monitor sqlite:///predictions.db",
        ),
        step("container", "Deployment as a container", said_of_container, *image),
        step(
            "rollback",
            "A rollback",
            "Something is wrong in production. The release before is restored in seconds, without training, "
            "and the reason is kept.",
            'mlops rollback prod --reason "odd answers for older people"',
            "mlops history prod",
            "mlops status",
        ),
        Step(
            "site",
            "The site",
            project,
            [Command(["mlops", "site", *(["--open"] if can_show_pages() else [])])],
            "All of this as pages that open from a file: environments, models, a card for each, charts.",
            each_time=True,
        ),
    ]
    return Walk(
        word="lesson",
        project=project,
        steps=[*walkthrough.to_a_project(project, tool), *steps],
        afterwards=f"""
Next, in the project (cd {shlex.quote(str(project))} && . .venv/bin/activate):
  mlops tracker --sort recall
  mlops show v1.7.0
  mlops site --open
Exercises: {Path(__file__).with_name("exercises.md")}""",
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def served(port: int) -> list[Command]:
    """Returns the commands that serve staging, whose service needs no key, and ask it."""
    serve = ["mlops", "serve", "--environment", "staging", "--port", str(port)]
    url = f"http://127.0.0.1:{port}/predict"
    ask = ["curl", "--silent", "--retry", "60", "--retry-delay", "1", "--retry-connrefused"]
    ask += ["--header", "Content-Type: application/json", "--write-out", r"\n"]
    ask += ["--data", "@../later/person.json", url]
    return [Command(serve, in_background=True), Command(ask)] if shutil.which("curl") else []


def container() -> tuple[str, list[Command]]:
    """Returns what is said of the container, and the command that builds one, if there is an engine."""
    if not (shutil.which("podman") or shutil.which("docker")):
        return "This step is skipped: neither podman nor docker is on PATH. See `mlops image`.", []
    return (
        "The service is built into an image from what was released, for clouds and clusters. The lesson "
        "goes on without it if the base image is out of reach.",
        [Command(["mlops", "image"], expected=(0, 1, 5), lines=3)],
    )


def chart(project: Path, variables: Mapping[str, str]) -> str:
    """Returns a line for each model: its accuracy as a point on a scale; `|` is the bound of prod."""
    tracker = ["mlops", "tracker", "--format", "json"]
    printed = subprocess.run(
        tracker, cwd=project, env=variables, check=True, stdout=subprocess.PIPE
    ).stdout
    lines = [f"  {'accuracy':>15} {LOWEST:<{CHART_WIDTH - 4}}{HIGHEST} | is prod's bound\n"]
    for row in json.loads(printed):
        line = ["."] * CHART_WIDTH
        line[place(0.85)] = "|"
        line[place(row["accuracy"])] = "o"
        change = row["subject"].partition(": ")[2]
        lines.append(f"  {row['model']:>8} {row['accuracy']:.4f} {''.join(line)} {change}\n")
    return "".join(lines)


def place(accuracy: float) -> int:
    """Returns the position of an accuracy on the scale of the chart."""
    share = (accuracy - LOWEST) / (HIGHEST - LOWEST)
    return round(min(max(share, 0), 1) * (CHART_WIDTH - 1))


def can_show_pages() -> bool:
    """Returns whether there is a person at a terminal, and a display for a browser."""
    display = (
        sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    return sys.stdout.isatty() and bool(display)


if __name__ == "__main__":
    walkthrough.main(__doc__, lesson)
