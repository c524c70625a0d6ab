"""The commands that score files of rows, and that judge what was scored."""

import json
import os
import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from mlops.cli import printing
from mlops.cli.arguments import chosen_revision
from mlops.release.history.git import Git

commands = typer.Typer()


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
        str | None, typer.Option(metavar="COLUMN", help="What a row is known by; else its number.")
    ] = None,
    environment: Annotated[
        str | None, typer.Option(help="Whose model scores; prod by default.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="A version (v1.2.0) or record instead.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what was scored before.")] = False,
    max_rejects: Annotated[
        str, typer.Option(metavar="N|N%", help="More rows that break the contract: none is stored.")
    ] = "1%",
    engine: Annotated[str | None, typer.Option(help="threads by default, or dask.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="URL", help="Of the Dask cluster: tcp://host:8786.")
    ] = None,
) -> None:
    """Score files of rows into a database, once, with the model that an environment has now."""
    from mlops.tables import urls

    urls.parse_url(to)
    order = {
        "inputs": inputs,
        "to": to,
        "rejects": os.path.relpath(Git.of_current_directory().root / "rejects"),
        "max_rejects": max_rejects,
        "key": key,
        "force": force,
        "engine": engine,
        "scheduler": scheduler,
    }
    run_batch("mlops.batch.score", order, chosen_revision(environment, version))


@commands.command()
def watch(
    folder: Annotated[str, typer.Argument(help="Where files arrive.")],
    *,
    to: Annotated[str, typer.Option(metavar="URL", help="Where to, as of `mlops score`.")],
    environment: Annotated[str, typer.Option(help="Whose model scores.")] = "prod",
    key: Annotated[str | None, typer.Option(metavar="COLUMN", help="As of `mlops score`.")] = None,
    max_rejects: Annotated[str, typer.Option(help="As of `mlops score`.")] = "1%",
    settle: Annotated[
        float, typer.Option(metavar="SECONDS", help="A file unchanged so long is complete.")
    ] = 2,
    attempts: Annotated[
        int, typer.Option(help="How often a file may fail before it is set apart.")
    ] = 5,
    pause: Annotated[
        float, typer.Option(metavar="SECONDS", help="Before the second attempt; then it doubles.")
    ] = 10,
) -> None:
    """Score each file that arrives in FOLDER, once, with the model that ENVIRONMENT has then."""
    from pathlib import Path

    from mlops import environments
    from mlops.batch.watch import Watch
    from mlops.release import child_environment
    from mlops.tables import urls

    urls.parse_url(to)
    score = ["score", "--to", to, "--environment", environments.known_environment(environment)]
    score += ["--max-rejects", max_rejects, *(["--key", key] if key else []), "--"]
    command = [sys.executable, "-m", "mlops.cli", *score]
    variables = child_environment.for_python(Path(__file__).parents[2])
    Watch(Path(folder), command, variables, settle=settle, attempts=attempts, pause=pause).run()


@commands.command()
def labels(
    file: Annotated[str, typer.Argument(help="CSV or Parquet: a key and a label in each row.")],
    to: Annotated[str, typer.Option(metavar="URL", help="Where the predictions are.")],
    key: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The row's key; row_key by default.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The truth; the target by default.")
    ] = None,
    environment: Annotated[str, typer.Option(help="Whose model tells the classes.")] = "prod",
) -> None:
    """Load what turned out to be true of rows that were scored; `mlops monitor` compares."""
    order = {"file": file, "to": to, "key": key, "label": label}
    run_batch("mlops.batch.monitoring.labels", order, environment)


@commands.command()
def monitor(
    url: Annotated[str, typer.Argument(help="Where the predictions are: sqlite:///file.db, ...")],
    *,
    environment: Annotated[str, typer.Option(help="Whose batches.")] = "prod",
    days: Annotated[float, typer.Option(min=0.01, help="How far back.")] = 7,
    max_psi: Annotated[
        float,
        typer.Option(min=0, help="A column that moved further, and not by chance, ends it with 4."),
    ] = 0.25,
    min_accuracy: Annotated[
        float | None, typer.Option(min=0, max=1, help="Of the rows with labels.")
    ] = None,
    max_false_positive_percent: Annotated[
        float | None, typer.Option(min=0, max=100, help="Of the rows with labels.")
    ] = None,
    html: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write a page with a chart for each column.")
    ] = None,
) -> None:
    """Hold what was scored against the training, and against labels; 4 where it is out of bounds."""
    order = {
        "url": url,
        "days": days,
        "max_psi": max_psi,
        "min_accuracy": min_accuracy,
        "max_false_positive_percent": max_false_positive_percent,
        "html": html,
    }
    run_batch("mlops.batch.monitoring.monitor", order, environment)


def run_batch(module: str, order: Mapping[str, object], revision: str) -> None:
    """Runs a module of mlops/batch, as it was deployed, and ends as it does."""
    from mlops.release.follow import deployment

    with deployment.open_deployment(
        Git.of_current_directory(), revision, room="batch", say=printing.complain
    ) as deployed:
        # Code of an older release knows fewer keys, and refuses those that it does not know.
        given = {
            name: value for name, value in order.items() if not (value is None or value is False)
        }
        given["release"] = str(deployed.folder)
        code = deployed.run(module, json.dumps(given))
    sys.exit(code)
