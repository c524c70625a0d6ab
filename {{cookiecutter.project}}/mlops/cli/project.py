"""The commands about the project as a whole, its template and the machine that it is on."""

import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mlops.cli import printing
from mlops.cli.arguments import Form
from mlops.errors import MlopsError
from mlops.release.history.git import Git
from mlops.text_table import terminal_width

if TYPE_CHECKING:
    from mlops.release.prove.doctor import Finding

commands = typer.Typer()

MARKS = {"ok": "ok", "warning": "warning", "wrong": "WRONG"}
INDENT = " " * 25


@commands.command()
def doctor(form: Form = "text") -> None:
    """Look for what this machine or this clone lacks, and say how to mend it.

    A warning is a thing that works, but not as well as it could; it does not change the exit code.
    """
    from mlops.release.prove import doctor

    found = []
    for subject, finding in doctor.examine(doctor.project_root()):
        found.append((subject, finding))
        if form == "text":
            for line in finding_lines(subject, finding):
                printing.say(line)
    if form == "json":
        printing.say_json([{"subject": subject, **asdict(finding)} for subject, finding in found])
    verdicts = [finding.verdict for _, finding in found]
    wrong, warnings = verdicts.count("wrong"), verdicts.count("warning")
    if wrong:
        raise MlopsError(
            f"subjects that are wrong: {wrong} of {len(verdicts)}; the lines with -> mend them"
        )
    if form == "text":
        printing.say(f"all well; warnings: {warnings}" if warnings else "all well")


def finding_lines(subject: str, finding: "Finding") -> Iterator[str]:
    """Yields the finding in the width of the terminal, then its remedy unbroken, so that it can be copied."""
    head = f"{MARKS[finding.verdict]:<8} {subject:<15} "
    yield from textwrap.wrap(
        finding.words,
        max(terminal_width(), 2 * len(INDENT)),
        initial_indent=head,
        subsequent_indent=INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for step in finding.remedy.splitlines():
        yield f"{INDENT}-> {step}"


@commands.command()
def update(
    ref: Annotated[
        str | None,
        typer.Argument(
            help="A release (1.1.0), branch or commit of the template; by default its newest release, "
            "else its default branch."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what the update would change, and change nothing."),
    ] = False,
) -> None:
    """Bring a newer state of the template into the project, on the branch mlops-update.

    The working tree must be clean. What you have changed is merged, what you have deleted stays deleted,
    and no file of yours changes before you merge the branch.
    """
    from mlops.release.update import update

    update.update_project(Git.of_current_directory(), ref, printing.say, dry_run=dry_run)


@commands.command()
def remote(
    url: Annotated[
        str,
        typer.Argument(help="A directory, ssh://host/path, s3://bucket/path, gs:// or azure://."),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=VALUE", help="Settings of DVC, such as endpointurl=URL."),
    ] = None,
) -> None:
    """Move the storage of data and run records, of every branch, to another place.

    DVC's library for it is added to the library locks and installed. If anything fails, the storage is the
    one before. Credentials are refused, because .dvc/config goes into Git.
    """
    from mlops.release.update import remote

    remote.move_remote(Git.of_current_directory(), url, settings or [], printing.say)
