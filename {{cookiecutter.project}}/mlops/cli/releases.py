"""The commands that release models, and those that show what was released."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlops.cli import printing
from mlops.cli.arguments import Form, Run, permission
from mlops.errors import MlopsError, UsageError
from mlops.release.history.git import Git

if TYPE_CHECKING:
    from mlops.release.history.records import Record

commands = typer.Typer()

Environment = Annotated[str, typer.Argument(help="The environment: staging or prod.")]

Revision = Annotated[
    str,
    typer.Argument(
        help="A version (v1.2.0), record, environment, experiment, branch, commit, or hash of a model."
    ),
]


@commands.command()
def promote(
    environment: Environment,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Make and judge the release without publishing it.")
    ] = False,
    propose: Annotated[
        bool, typer.Option("--propose", help="Push the release as a branch for review.")
    ] = False,
    accept_incomparable: Annotated[
        str | None,
        typer.Option(
            metavar="REASON", help="Why the release needs no comparison with the champion."
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Release again what a rollback has withdrawn.")
    ] = False,
    hotfix: Annotated[
        str | None,
        typer.Option(
            metavar="BRANCH", help="Release this branch, which was made from ENVIRONMENT, instead."
        ),
    ] = None,
    form: Form = "text",
) -> None:
    """Release the branch upstream of ENVIRONMENT to it, if its gates pass."""
    from mlops import environments
    from mlops.release.promote import promotion

    if dry_run and propose:
        raise UsageError("--dry-run pushes nothing: leave it out, or leave out --propose")
    git, reason = Git.of_current_directory(), None
    try:
        with printing.result_alone(form):
            record = promotion.promote(
                git,
                environment,
                printing.say,
                accepted=accept_incomparable,
                again=again,
                dry_run=dry_run,
                as_proposal=propose,
                hotfix=hotfix,
            )
    except MlopsError as error:
        if form == "json":
            judged = {name: getattr(error, name, None) or None for name in ("gate", "comparison")}
            printing.say_json({"published": False, "reason": str(error), "record": None, **judged})
        raise
    if record is None:
        source = hotfix or environments.upstream(environment)
        reason = promotion.why_nothing(git, environment, source)
    if form == "json":
        published = record is not None and not (dry_run or propose)
        printing.say_json(
            {
                "published": published,
                "reason": reason,
                "record": record and {"name": record.name, **asdict(record)},
            }
        )
        return
    if record is None:
        printing.say(str(reason))
        return
    show_gates(record)
    if propose:
        printing.say(
            f"pushed the branch proposal/{record.name}: merge it into {environment}, then promote again"
        )
    elif not dry_run:
        printing.say(record.title)


def show_gates(record: "Record") -> None:
    from mlops.release.promote import gate_report

    for line in gate_report.gate_lines(record.gate):
        printing.say_sentence(f"gate: {line}")
    for line in gate_report.comparison_lines(record.comparison):
        printing.say_sentence(f"gate: {line}")


@commands.command()
def rollback(
    environment: Environment,
    to: Annotated[
        str | None,
        typer.Option(help="A record (prod/0003) or a version; by default the one before."),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The reason in a line, which `mlops status` shows."),
    ] = None,
) -> None:
    """Restore ENVIRONMENT to an older record of it, without running a stage.

    The present release is withdrawn: it comes back only by `mlops promote ENVIRONMENT --again`.
    """
    from mlops.release.promote import rollback

    printing.say(
        rollback.roll_back(
            Git.of_current_directory(), environment, to, printing.say, reason=reason
        ).title
    )


@commands.command()
def status(form: Form = "text") -> None:
    """Show what each environment holds, and what serves it on this machine."""
    from mlops.release.look import status
    from mlops.release.look.tracker import HEADLINES, metric_text

    git = Git.of_current_directory()
    found = status.all_statuses(git)
    if form == "json":
        printing.say_json([asdict(each) for each in found])
        return
    measured = [name for name in HEADLINES if any(name in each.metrics for each in found)]
    rows = [
        (
            each.environment,
            each.version or ("-" if each.commit else "no branch"),
            each.commit or "-",
            each.model[:7] if each.model else "-",
            *(metric_text(each.metrics.get(name), name) for name in measured),
            {True: "passed", False: "failed", None: "-"}[each.gate_passed],
            each.when or "-",
            each.serving or "-",
        )
        for each in found
    ]
    headings = (
        *("Environment", "Version", "Commit", "Model"),
        *(HEADLINES[name] for name in measured),
        *("Gate", "Since", "Serving"),
    )
    printing.say_table(headings, rows)
    for each in found:
        if each.rolled_back:
            printing.say_sentence(each.rolled_back)
        for line in each.notes:
            printing.say(line)
    for line in status.remarks(git):
        printing.say(line)


HISTORY = ("When", "Record", "What", "Version", "From", "Who", "Why")
"""The headings of `mlops history`."""


@commands.command()
def history(environment: Environment, form: Form = "text") -> None:
    """Show every promotion and rollback of ENVIRONMENT, and the promotions that were refused here."""
    from mlops.release.history import branches
    from mlops.release.look import timeline

    git = Git.of_current_directory()
    events = timeline.events_of(git, environment)
    for line in branches.gaps(git):
        printing.complain(line)
    if form == "json":
        printing.say_json([asdict(each) | {"when": each.when.isoformat()} for each in events])
        return
    rows = [
        (
            f"{each.when.astimezone():%Y-%m-%d %H:%M}",
            each.record or "-",
            each.what,
            each.version or "-",
            each.source,
            each.who,
            each.why or "-",
        )
        for each in events
    ]
    printing.say_table(HISTORY, rows, below=("Who", "Why"))


@commands.command()
def tracker(
    *,
    dataset: Annotated[str | None, typer.Option(help="Show only models of this dataset.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Show only these models: running=prod, 'accuracy>=0.85'; = != < <= > >= are known.",
        ),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Sort by a metric, best first, or by another column."),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Say what the numbers of data and parameters stand for."),
    ] = False,
    with_trials: Annotated[
        bool, typer.Option("--trials", help="Show the trials of `mlops search`, too.")
    ] = False,
    form: Annotated[
        Literal["table", "markdown", "csv", "json"], typer.Option("--format", help="How to print.")
    ] = "table",
) -> None:
    """Show every model of the history: its data, its metrics, and where it runs."""
    from mlops.release.history import branches
    from mlops.release.look import conditions, tracker

    if explain and form != "table":
        raise UsageError(f"--explain prints sentences: leave out --format {form}")
    git, numbers = Git.of_current_directory(), tracker.Numbers()
    models = tracker.model_rows(git, numbers, with_trials=with_trials)
    selected = models
    for condition in [*([f"dataset={dataset}"] if dataset else []), *(where or [])]:
        selected = conditions.rows_where(selected, condition)
    column = tracker.column_called(sort, models) if sort else None
    rows = tracker.sorted_rows(selected, column) if column else selected
    if explain:
        from mlops.release.look import explanation

        for line in explanation.explanation_lines(rows, models, numbers):
            printing.say(line)
        return
    columns = tracker.headings(rows, column)
    if form == "table":
        printing.say_table([*columns.values()], tracker.shown_cells(rows, columns), tracker.BELOW)
    elif form == "json":
        printing.say_json(rows)
    else:
        text = tracker.as_csv(rows) if form == "csv" else tracker.as_markdown(rows, columns)
        printing.say(text.removesuffix("\n"))
    for line in (*tracker.remarks(rows), *branches.gaps(git)):
        printing.complain(line)


@commands.command()
def compare(old: Revision, new: Revision, run: Run = False, form: Form = "text") -> None:
    """Show the differences between two versions, environments or commits.

    For the changed predictions, the code of both is run.
    """
    from mlops.release.look import comparison

    git = Git.of_current_directory()
    sections = comparison.compare_states(git, old, new, permission(run))
    if form == "json":
        printing.say_json({section.title: section.lines for section in sections})
        return
    for section in sections:
        printing.say(section.title)
        for line in section.lines:
            printing.say(f"  {line}")


@commands.command()
def show(
    version: Revision,
    form: Annotated[
        Literal["text", "markdown", "json"], typer.Option("--format", help="How to print.")
    ] = "text",
) -> None:
    """Show what is known about a version or commit, and the commands that get its model and data."""
    from mlops.release.look import card

    git = Git.of_current_directory()
    found = card.card_of(git, version)
    if form == "markdown":
        from mlops.site import pages

        printing.say(pages.card_markdown(git, found).removesuffix("\n"))
    elif form == "json":
        printing.say_json({**asdict(found), "commands": found.commands})
    else:
        from mlops.release.look import card_lines

        for line in card_lines.card_lines(found):
            printing.say(line)


@commands.command()
def site(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="Where to write it; by default site/ of the project. A site that is there is replaced."
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write all that is known as a site of static pages: environments, models, history, comparisons."""
    from mlops.site import pages

    git = Git.of_current_directory()
    start = pages.write_site(git, folder or Path(os.path.relpath(git.root / "site")))
    printing.say(f"wrote {start}")
    if show:
        import webbrowser

        webbrowser.open(start.absolute().as_uri())
