"""The commands that score files of rows, and that judge what was scored."""

import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from mlops.cli import arguments, clock, printing
from mlops.errors import Refused, UsageError
from mlops.release.history.git import Git

commands = typer.Typer()

MOST_DAYS = 36_525
"""A hundred years, so that the day from which on rows count is one of the calendar."""


@commands.command()
def score(
    inputs: Annotated[
        list[str], typer.Argument(help="CSV and Parquet files, folders, patterns, URLs.")
    ],
    *,
    to: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="sqlite:///file.db, postgresql://user@host/db, redis://host, or a folder for Parquet.",
        ),
    ],
    key: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="The column that identifies a row; by default rows are numbered."
        ),
    ] = None,
    environment: Annotated[
        str | None, typer.Option(help="The environment whose model scores; prod by default.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="A version (v1.2.0) or record to score with instead.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what was scored before.")] = False,
    max_rejects: Annotated[
        str,
        typer.Option(
            metavar="N|N%", help="Store nothing if more rows than this break the contract."
        ),
    ] = "1%",
    engine: Annotated[
        str | None, typer.Option(help="What scores: threads (by default) or dask.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="URL", help="The Dask scheduler: tcp://host:8786.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Report what becomes of each file as JSON.")
    ] = False,
) -> None:
    """Score each file of rows into a database, once, with the present model of an environment."""
    from mlops.tables import urls

    urls.parse_url(to)
    if scheduler and engine != "dask":
        raise UsageError(f"--scheduler {scheduler} is for --engine dask: add it, or leave it out")
    order = {
        "inputs": inputs,
        "to": to,
        "rejects": os.path.relpath(Git.of_current_directory().root / "rejects"),
        "max_rejects": max_rejects,
        "key": key,
        "force": force,
        "engine": engine,
        "scheduler": scheduler,
        "json": json,
    }
    run_batch("mlops.batch.score", order, arguments.chosen_revision(environment, version))


@commands.command()
def watch(
    folder: Annotated[str, typer.Argument(help="The folder in which files arrive.")],
    *,
    to: Annotated[
        str, typer.Option(metavar="URL", help="Where predictions go, as for `mlops score`.")
    ],
    environment: Annotated[str, typer.Option(help="The environment whose model scores.")] = "prod",
    key: Annotated[str | None, typer.Option(metavar="COLUMN", help="As for `mlops score`.")] = None,
    max_rejects: Annotated[str, typer.Option(help="As for `mlops score`.")] = "1%",
    settle: Annotated[
        float,
        typer.Option(
            min=0.1,
            max=86_400,
            metavar="SECONDS",
            help="A file that has not changed for so long is complete.",
        ),
    ] = 2,
    attempts: Annotated[
        int, typer.Option(min=1, help="How often a file may fail before it is moved to failed/.")
    ] = 5,
    pause: Annotated[
        float,
        typer.Option(
            min=0.1,
            max=300,
            metavar="SECONDS",
            help="The pause before the second attempt; it doubles each time, up to 300.",
        ),
    ] = 10,
) -> None:
    """Score each file that arrives in FOLDER, once, with the model of ENVIRONMENT at that time."""
    from mlops import environments
    from mlops.batch.watch import Watch
    from mlops.release import child_environment
    from mlops.tables import urls

    urls.parse_url(to)
    refuse_project_files(Path(folder))
    score = ["score", "--to", to, "--environment", environments.known_environment(environment)]
    score += ["--max-rejects", max_rejects, *(["--key", key] if key else []), "--json", "--"]
    command = [sys.executable, "-m", "mlops.cli", *score]
    variables = child_environment.for_python(Path(__file__).parents[2])
    Watch(Path(folder), command, variables, settle=settle, attempts=attempts, pause=pause).run()


def refuse_project_files(folder: Path) -> None:
    """Raises Refused for a folder of files that belong to a project: a watch would move them."""
    git, place = Git.of_current_directory(), folder.resolve()
    is_project = any((place / name).exists() for name in (".git", "dvc.yaml"))
    tracked = [place] if is_project or Path(f"{place}.dvc").exists() else []
    if not tracked and place.is_relative_to(git.root):
        files = [Path(name) for name in git.run("ls-files", "-z", "--", str(place)).split("\0")]
        tracked = [
            each for each in files if each.suffix != ".dvc" and each.name[:1] not in ("", ".")
        ]
    if tracked:
        raise Refused(
            f"{folder}: Git or DVC tracks what is here ({tracked[0].name}), and a watch moves the files of "
            "its folder: name a folder in which only files to be scored arrive"
        )


@commands.command()
def remove_batches(
    url: Annotated[
        str, typer.Argument(help="Where the predictions are, as for `mlops score --to`.")
    ],
    *,
    older_than: Annotated[
        float,
        typer.Option(
            metavar="DAYS",
            min=0,
            max=MOST_DAYS,
            help="Remove what was scored so many days ago.",
        ),
    ],
    environment: Annotated[
        str, typer.Option(help="The environment whose predictions are removed.")
    ] = "prod",
) -> None:
    """Remove the predictions of old batches; their files are not scored again."""
    from mlops.tables import urls

    urls.parse_url(url)
    run_batch("mlops.batch.removal", {"url": url, "days": older_than}, environment)


@commands.command()
def labels(
    file: Annotated[str, typer.Argument(help="CSV or Parquet: a key and a label in each row.")],
    to: Annotated[str, typer.Option(metavar="URL", help="Where the predictions are.")],
    key: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column of keys; row_key by default.")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column of labels; the target by default."),
    ] = None,
    environment: Annotated[
        str, typer.Option(help="The environment whose model the labels are for.")
    ] = "prod",
) -> None:
    """Load the true labels of rows that were scored, for `mlops monitor`."""
    order = {"file": file, "to": to, "key": key, "label": label}
    run_batch("mlops.batch.monitoring.labels", order, environment)


@commands.command()
def monitor(
    url: Annotated[str, typer.Argument(help="Where the predictions are: sqlite:///file.db, ...")],
    *,
    environment: Annotated[
        str, typer.Option(help="The environment whose batches are judged.")
    ] = "prod",
    days: Annotated[
        float, typer.Option(min=0.01, max=MOST_DAYS, help="How many days to look back.")
    ] = 7,
    max_psi: Annotated[
        float,
        typer.Option(min=0, help="Exit with 4 if a column has drifted further, and not by chance."),
    ] = 0.25,
    label_days: Annotated[
        float,
        typer.Option(
            min=0.01, max=MOST_DAYS, help="How many days to look back for rows with labels."
        ),
    ] = 90,
    min_labels: Annotated[
        int | None,
        typer.Option(
            min=1, help="The number of labels from which their bounds are judged; 30 by default."
        ),
    ] = None,
    min_accuracy: Annotated[
        float | None, typer.Option(min=0, max=1, help="The lowest accuracy for rows with labels.")
    ] = None,
    max_false_positive_percent: Annotated[
        float | None, typer.Option(min=0, max=100, help="The highest share for rows with labels.")
    ] = None,
    min_worst_recall: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="The lowest recall of any of more than two classes."),
    ] = None,
    max_mae: Annotated[
        float | None, typer.Option(min=0, help="The highest mean absolute error of a number.")
    ] = None,
    max_rmse: Annotated[
        float | None, typer.Option(min=0, help="The highest root mean squared error of a number.")
    ] = None,
    form: arguments.Form = "text",
) -> None:
    """Compare scored rows with those of the training and with labels; exit with 4 beyond a bound.

    The latest report on each environment is a page of `mlops site`.
    """
    from mlops import environments
    from mlops.release.look import monitor_reports

    bounds = {
        "min_accuracy": min_accuracy,
        "max_false_positive_percent": max_false_positive_percent,
        "min_worst_recall": min_worst_recall,
        "max_mae": max_mae,
        "max_rmse": max_rmse,
    }
    if min_labels and all(bound is None for bound in bounds.values()):
        raise UsageError(
            f"--min-labels {min_labels} is for bounds that are judged by labels: add one, such as "
            "--min-accuracy, or leave it out"
        )
    git = Git.of_current_directory()
    known = environment in environments.CHAIN
    order = {
        "url": url,
        "days": days,
        "max_psi": max_psi,
        "label_days": label_days,
        "min_labels": min_labels,
        **bounds,
        "report": str(monitor_reports.report_file(git, environment)) if known else None,
        "as_json": form == "json",
    }
    run_batch("mlops.batch.monitoring.monitor", order, environment)


def run_batch(module: str, order: Mapping[str, object], revision: str) -> None:
    """Runs a module of mlops/batch, as it was deployed, and exits with its exit code."""
    from mlops.release.follow import deployment

    with deployment.open_deployment(
        Git.of_current_directory(), revision, room="batch", say=printing.complain
    ) as deployed:
        # Code of an older release knows fewer keys, and refuses those that it does not know.
        given = {
            name: value for name, value in order.items() if not (value is None or value is False)
        }
        given["release"] = str(deployed.folder)
        # The process of a score shows a bar.
        with clock.paused_clock() if module.endswith(".score") else nullcontext():
            code = deployed.run(module, dumps(given))
    sys.exit(code)
