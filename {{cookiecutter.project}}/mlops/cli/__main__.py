"""`mlops`: the door to the rooms, and the only place where they meet.

Exit codes: 0 done; 1 something is missing or broken; 2 wrong usage; 3 refused, the state does not
allow it; 4 a stage or gate said no, a reproduction differs, or too many rows were rejected; 5 what is
elsewhere is out of reach now. After any but 0, nothing is half-done.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mlops.errors import MlopsError
from mlops.release.errors import NotReproduced
from mlops.release.history.git import Git
from mlops.release.history.records import Record
from mlops.release.look import status as environment_status

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train, check and release models on the branches dev, staging and prod.",
)

console = Console(highlight=False, soft_wrap=True)

WIDE = 1000
"""Characters, of a table that is never cut: why a release is refused is said in full."""

Environment = Annotated[str, typer.Argument(help="The environment: staging or prod.")]

Revision = Annotated[
    str, typer.Argument(help="A version (v1.2.0), record, environment, branch or commit.")
]


def main() -> None:
    try:
        app()
    except MlopsError as error:
        print(f"mlops: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


@app.command()
def repro(
    stages: Annotated[list[str] | None, typer.Argument(help="Stages; all by default.")] = None,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Run also what is up to date.")
    ] = False,
) -> None:
    """Run what is not up to date, from a dvc.lock that tells the truth."""
    from mlops.release.data import repro

    repro.repro(Git.here().root, stages or [], force=force)


@app.command()
def check(
    branch: Annotated[
        str | None,
        typer.Option(help="What HEAD shall be, where CI has checked out no branch."),
    ] = None,
    install_hook: Annotated[
        bool, typer.Option("--install-hook", help="Check from now on before each `git push`.")
    ] = False,
) -> None:
    """Refuse a branch whose records are not true, and say how to mend it.

    Every output in the working tree is hashed. The hook checks the commits that are pushed, and not
    the working tree: so no output that DVC carries is hashed, and a push stays quick.
    """
    from mlops.release.prove import check, hook

    git = Git.here()
    if install_hook:
        say(f"wrote {hook.install(git)}; `git push --no-verify` goes past it")
        return
    say(check.check(git.root, branch))


@app.command()
def reproduce(
    version: Annotated[
        str, typer.Argument(help="A version, record (prod/0003), environment, branch or commit.")
    ],
) -> None:
    """Run VERSION again from nothing, with its own libraries, and compare every file."""
    from mlops.release.prove import reproduction

    found = reproduction.reproduce(Git.here(), version, say)
    table = Table("File", "Recorded", "Made anew", "", box=SIMPLE_HEAD)
    for file in found.files:
        hashes = [(md5 or "-")[:7] for md5 in (file.recorded, file.made)]
        table.add_row(file.path, *hashes, "same" if file.same else "DIFFERENT")
    console.print(table)
    verdict = f"{version} ({found.commit[:7]}) is {found.verdict}: {found.ground} ({found.where})"
    if found.verdict == "different":
        raise NotReproduced(verdict)
    say(verdict)


@app.command()
def clean(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    cloud: Annotated[
        bool,
        typer.Option("--cloud", help="In the remote too; what others have not pushed is unknown."),
    ] = False,
) -> None:
    """Delete data that no branch, tag, experiment or working tree names, and leftovers."""
    from mlops.release.prove import clean

    clean.clean(Git.here(), say, lambda: yes or typer.confirm("Delete them?"), cloud=cloud)


@app.command()
def promote(
    environment: Environment,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Make and judge the release; move nothing.")
    ] = False,
    propose: Annotated[
        bool, typer.Option("--propose", help="Push it as a branch for review; move nothing.")
    ] = False,
    accept_incomparable: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Why a missing comparison may be overlooked."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Release what a rollback has withdrawn.")
    ] = False,
) -> None:
    """Make ENVIRONMENT what the branch upstream of it is, if its gates let it pass."""
    from mlops.release.promote import promotion

    record = promotion.promote(
        Git.here(),
        environment,
        say,
        accepted=accept_incomparable,
        again=again,
        dry_run=dry_run,
        as_proposal=propose,
    )
    if record is None:
        say(promotion.why_nothing(Git.here(), environment))
        return
    show_gates(record)
    if propose:
        say(
            f"pushed the branch proposal/{record.name}: merge it into {environment}, then promote again"
        )
    elif not dry_run:
        say(record.title)


def show_gates(record: Record) -> None:
    for metric, result in record.gate.items():
        if metric == "passed":
            continue
        bounds = [f"{name} {result[name]}" for name in ("min", "max") if name in result]
        verdict = "passed" if result["passed"] else "FAILED"
        say(f"gate: {metric} {result['value']} ({', '.join(bounds)}) {verdict}")
    for metric, drop in ((record.comparison or {}).get("metrics") or {}).items():
        say(
            f"gate: {metric} {drop['champion']} -> {drop['challenger']}, advantage {drop['advantage']} "
            f"(95 % interval {drop['interval'][0]} to {drop['interval'][1]}, max drop {drop['max_drop']}) "
            f"{'passed' if drop['passed'] else 'FAILED'}"
        )


@app.command()
def rollback(
    environment: Environment,
    to: Annotated[
        str | None,
        typer.Option(help="A record (prod/0003) or a version; by default what was there before."),
    ] = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why, in a line; `mlops status` shows it.")
    ] = None,
) -> None:
    """Make ENVIRONMENT again what an older record of it says; no stage is run.

    What was there is withdrawn: it comes back only by `mlops promote ENVIRONMENT --again`.
    """
    from mlops.release.promote import rollback

    say(rollback.roll_back(Git.here(), environment, to, say, reason=reason).title)


@app.command()
def status() -> None:
    """Show what each environment holds, and what serves it on this machine."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("Environment", "Version", "Commit", "Model", "Accuracy"):
        table.add_column(name, no_wrap=True)
    table.add_column("% False positives", width=9)
    table.add_column("Gate", no_wrap=True)
    table.add_column("Since", no_wrap=True)
    table.add_column("Serving", no_wrap=True)
    found = environment_status.of_every_environment(Git.here())
    for each in found:
        table.add_row(
            each.environment,
            each.version or "-",
            each.commit or "-",
            each.model[:7] if each.model else "-",
            "-" if each.accuracy is None else f"{each.accuracy:.4f}",
            "-" if each.false_positive_percent is None else f"{each.false_positive_percent:.2f}",
            {True: "passed", False: "failed", None: "-"}[each.gate_passed],
            each.when or "-",
            escape(each.serving or "-"),
        )
    Console(width=WIDE).print(table)
    for each in found:
        if each.rolled_back:
            say(each.rolled_back)


@app.command()
def tracker(
    dataset: Annotated[str | None, typer.Option(help="Only models of this dataset.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="Only such models: running=prod."),
    ] = None,
    sort: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="By a metric, the best first; or a column.")
    ] = None,
    form: Annotated[
        Literal["table", "markdown", "csv", "json"], typer.Option("--format", help="How to print.")
    ] = "table",
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with table and charts.")
    ] = None,
) -> None:
    """Show every model there was: what made it, how good it is, where it runs."""
    from mlops.release.look import tracker, tracker_page

    drawn = tracker.rows(Git.here())
    for condition in [*([f"dataset={dataset}"] if dataset else []), *(where or [])]:
        drawn = tracker.where(drawn, condition)
    rows = tracker.ordered(drawn, sort) if sort else drawn
    columns = tracker.headings(sort)
    if html:
        tracker_page.write(html, rows, columns, drawn)
        say(f"wrote {html}")
    else:
        formats = {
            "table": lambda: tracker.as_text(rows, columns),
            "markdown": lambda: tracker.as_markdown(rows, columns),
            "csv": lambda: tracker.as_csv(rows),
            "json": lambda: tracker.as_json(rows),
        }
        print(formats[form](), end="")


@app.command()
def compare(old: Revision, new: Revision) -> None:
    """Say what differs between two versions, environments or commits."""
    from mlops.release.look import comparison

    for section in comparison.compare(Git.here(), old, new):
        say(section.title)
        for line in section.lines:
            say(f"  {line}")


@app.command()
def show(
    version: Annotated[str, typer.Argument(help="A version (v1.2.0), or an environment for its.")],
) -> None:
    """Show a version's card, with the commands that get its model and data."""
    from mlops.release.look import card

    for line in card.card(Git.here(), version):
        say(line)


@app.command()
def predict(
    row: Annotated[
        str | None,
        typer.Argument(help="The row as a JSON object; the bundle's example by default."),
    ] = None,
    environment: Annotated[
        str, typer.Option(help="The branch, tag or commit whose bundle answers.")
    ] = "prod",
) -> None:
    """Answer for one row with the model that an environment deployed."""
    from mlops.release.follow import deployment

    with deployment.of(Git.here(), environment, say=complain) as deployed:
        asked = [] if row is None else [row]
        code = deployed.run("mlops.service.ask", str(deployed.folder), *asked)
    sys.exit(code)


@app.command()
def image(
    version: Annotated[
        str | None, typer.Option(help="A version, as it was released furthest downstream.")
    ] = None,
    environment: Annotated[
        str | None, typer.Option(help="What this environment holds now; prod by default.")
    ] = None,
    tag: Annotated[
        str | None, typer.Option(metavar="NAME", help="Its name; by default PROJECT:VERSION.")
    ] = None,
) -> None:
    """Build the container image of the service, from a release and never from the working tree."""
    from mlops.release.follow import image

    built = image.build(Git.here(), of_one(environment, version), complain, tag)
    say(f"{built.name}: {built.megabytes:.0f} MB, made by {built.engine}")


@app.command()
def serve(
    environment: Annotated[
        str | None, typer.Option(help="The branch to serve and follow; prod by default.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="A version (v1.2.0) or record to serve; nothing is followed.")
    ] = None,
    host: Annotated[
        str, typer.Option(envvar="SERVE_HOST", help="Address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="SERVE_PORT", min=0, max=65535, help="0 for a free one.")
    ] = 8000,
    every: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How often to ask origin for news.")
    ] = 2.0,
) -> None:
    """Answer over HTTP with what an environment deployed, and follow its branch."""
    from mlops import environments
    from mlops.release.follow import serve as supervisor

    revision = of_one(environment, version)
    if not version:
        environments.known(revision)
    follow = None if version else every
    supervisor.serve(Git.here(), revision, host=host, port=port, follow=follow)


@app.command()
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

    urls.parse(to)
    order = {
        "inputs": inputs,
        "to": to,
        "rejects": os.path.relpath(Git.here().root / "rejects"),
        "max_rejects": max_rejects,
        "key": key,
        "force": force,
        "engine": engine,
        "scheduler": scheduler,
    }
    run_batch("mlops.batch.score", order, of_one(environment, version))


@app.command()
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


@app.command()
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


def of_one(environment: str | None, version: str | None) -> str:
    if environment and version:
        raise typer.BadParameter("give --version or --environment, not both")
    return version or environment or "prod"


def run_batch(module: str, order: Mapping[str, object], revision: str) -> None:
    """Runs a module of mlops/batch, as it was deployed, and ends as it does."""
    from mlops.release.follow import deployment

    with deployment.of(Git.here(), revision, room="batch", say=complain) as deployed:
        # Code of an older release knows fewer keys, and refuses those that it does not know.
        given = {
            name: value for name, value in order.items() if not (value is None or value is False)
        }
        given["release"] = str(deployed.folder)
        code = deployed.run(module, json.dumps(given))
    sys.exit(code)


@app.command()
def watch(
    folder: Annotated[Path, typer.Argument(help="Where files arrive.")],
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
    from mlops import environments
    from mlops.batch.watch import Watch
    from mlops.release import child_environment
    from mlops.tables import urls

    urls.parse(to)
    score = ["score", "--to", to, "--environment", environments.known(environment)]
    score += ["--max-rejects", max_rejects, *(["--key", key] if key else []), "--"]
    command = [sys.executable, "-m", "mlops.cli", *score]
    variables = child_environment.for_python(Path(__file__).parent)
    Watch(folder, command, variables, settle=settle, attempts=attempts, pause=pause).run()


def complain(line: str) -> None:
    print(line, file=sys.stderr)


def say(line: str) -> None:
    console.print(line, markup=False)


if __name__ == "__main__":
    main()
