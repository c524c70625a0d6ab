"""Arguments that several groups of commands share."""

import typer


def chosen_revision(environment: str | None, version: str | None) -> str:
    """The one of the two that was given, prod where none was; raises BadParameter for both."""
    if environment and version:
        raise typer.BadParameter("give --version or --environment, not both")
    return version or environment or "prod"
