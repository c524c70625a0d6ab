"""Bakes a project, trains eight models in it, each as a commit on dev, and prints the table of the models.

First only the architecture changes, then its hyperparameters, and then the data: rows that arrive later.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import walkthrough
from walkthrough import Step, Walk

LATER = ".dvc/tmp/lesson"

# The script runs with the libraries of the project. It keeps a part of the census, and sets some rows aside
# that arrive later. The split of a row depends on the row alone, so each file can change chosen splits.
SET_ROWS_ASIDE = f"""
from pathlib import Path
from mlops import params
from mlops.prepare import position, raw, split_rules

prepare_params, census = params.load_configuration().params.prepare, raw.RAW / "adult.csv"
header, *lines = census.read_text().splitlines(keepends=True)[:10_001]
split_of = split_rules.split_rule(prepare_params)
splits = [split for rows in raw.read_rows(prepare_params)
          for split in split_of(rows, position.input_hashes(rows, prepare_params))]
training, validation = ([n for n in range(len(lines)) if splits[n] == name]
                        for name in ("train", "validation"))
later = {{
    "march.csv": training[:1500],
    "april.csv": training[1500:3000],
    "may.csv": training[3000:4000] + validation[:1000],
}}
first = set(range(len(lines))).difference(*later.values())
Path("{LATER}").mkdir(parents=True)
for file, rows in {{census: sorted(first), **{{Path("{LATER}", n): r for n, r in later.items()}}}}.items():
    file.write_text(header + "".join(lines[row] for row in rows))
    print(f"{{file}}: {{len(rows):,}} rows")
"""


def lesson(project: Path, tool: list[str]) -> Walk:
    """Returns the steps of the lesson in a project; `tool` are options of install.py."""

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
            return f"data/raw/{name} arrives"

        return change

    changes = {
        "Logistic regression": set_to("architecture", "gradient_boosting", "linear"),
        "A random forest": set_to("architecture", "linear", "random_forest"),
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
            Step("Take a part of the census", project, [["python", "-c", SET_ROWS_ASIDE]]),
            *(train_step(project, title, change) for title, change in changes.items()),
            Step("Print the table of the models", project, [["mlops", "tracker"]]),
        ],
        show_result=["mlops", "tracker"],
        afterwards=f"""
Next, in the project (cd {shlex.quote(str(project))} && . .venv/bin/activate):
  mlops tracker --sort recall
  mlops site --open
  mlops compare dev~1 dev""",
    )


def train_step(project: Path, title: str, change: Callable[[], str]) -> Step:
    commands = [["mlops", "repro"], *walkthrough.commit(title)]
    return Step(f"Model: {title}", project, commands, change=change)


if __name__ == "__main__":
    walkthrough.main(__doc__, lesson)
