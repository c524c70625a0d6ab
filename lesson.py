"""Bake a project and train eight models in it, as commits on dev; then print the table of them.

First only the architecture changes, then its parameters, then the data: rows that come in later.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import walkthrough
from walkthrough import Step, Walk

LATER = ".dvc/tmp/lesson"

# Runs with the project's libraries: a part of the census, of which some rows come in later. Which
# split a row is in depends on the row alone, so that each file can change the splits it shall.
DEAL = f"""
from pathlib import Path
from mlops import params
from mlops.prepare import prepare, raw

options, census = params.load_configuration().params.prepare, raw.RAW / "adult.csv"
header, *lines = census.read_text().splitlines(keepends=True)[:10_001]
splits = prepare.split_names(raw.read_raw_file(census, options)[: len(lines)], options)
training, validation = ([n for n in range(len(lines)) if splits.iloc[n] == name]
                        for name in ("train", "validation"))
later = {{
    "march.csv": training[:1500],
    "april.csv": training[1500:3000],
    "may.csv": training[3000:4000] + validation[:1000],
}}
known = set(range(len(lines))).difference(*later.values())
Path("{LATER}").mkdir(parents=True)
for file, rows in {{census: sorted(known), **{{Path("{LATER}", n): r for n, r in later.items()}}}}.items():
    file.write_text(header + "".join(lines[row] for row in rows))
    print(f"{{file}}: {{len(rows):,}} rows")
"""


def lesson(project: Path, tool: list[str]) -> Walk:
    def set_to(key: str, old: str, new: str) -> Callable[[], str]:
        def change() -> str:
            params = project / "params.yaml"
            text = params.read_text()
            params.write_text(text.replace(f"{key}: {old}", f"{key}: {new}"))
            return f"params.yaml: {key}: {new}"

        return change

    def add(name: str) -> Callable[[], str]:
        def change() -> str:
            shutil.move(project / LATER / name, project / "data/raw" / name)
            return f"data/raw/{name} comes in"

        return change

    changes = {
        "Logistic regression": set_to("architecture", "gradient_boosting", "logistic_regression"),
        "A random forest": set_to("architecture", "logistic_regression", "random_forest"),
        "Gradient boosting": set_to("architecture", "random_forest", "gradient_boosting"),
        "Slower learning": set_to("learning_rate", "0.1", "0.05"),
        "Smaller trees": set_to("leaves", "31", "15"),
        "More rows to train on": add("march.csv"),
        "Still more rows to train on": add("april.csv"),
        "More rows to train on and to validate with": add("may.csv"),
    }
    return Walk(
        word="lesson",
        project=project,
        steps=[
            *walkthrough.to_a_project(project, tool),
            Step("Take a part of the census", project, [["python", "-c", DEAL]]),
            *(trained(project, title, change) for title, change in changes.items()),
            Step("The table of the models", project, [["mlops", "tracker"]]),
        ],
        look=["mlops", "tracker"],
        afterwards=f"""
Next, in the project (cd {shlex.quote(str(project))} && . .venv/bin/activate):
  mlops tracker --sort recall
  mlops tracker --html models.html
  mlops compare dev~1 dev""",
    )


def trained(project: Path, title: str, change: Callable[[], str]) -> Step:
    commands = [["mlops", "repro"], *walkthrough.commit(title)]
    return Step(f"Model: {title}", project, commands, change=change)


if __name__ == "__main__":
    walkthrough.main(__doc__, lesson)
