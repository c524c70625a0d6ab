"""Arguments that several groups of commands share."""

import typer


def chosen_revision(environment: str | None, version: str | None) -> str:
    """Returns the environment or version that was given, or prod. Raises BadParameter if both were."""
    if environment and version:
        raise typer.BadParameter("give --version or --environment, not both")
    return version or environment or "prod"
