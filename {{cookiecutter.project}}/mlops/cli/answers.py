"""The commands that answer rows one at a time: here, over HTTP, or from a container image."""

import sys
from typing import Annotated

import typer

from mlops.cli import printing
from mlops.cli.arguments import chosen_revision
from mlops.errors import UsageError
from mlops.release.history.git import Git

commands = typer.Typer()


@commands.command()
def predict(
    row: Annotated[
        str | None,
        typer.Argument(help="The row as a JSON object; the bundle's example by default."),
    ] = None,
    environment: Annotated[
        str,
        typer.Option(help="The environment, version, experiment, branch or commit that answers."),
    ] = "prod",
) -> None:
    """Answer one row with the model that an environment deployed."""
    from mlops.release.follow import deployment

    with deployment.open_deployment(
        Git.of_current_directory(), environment, say=printing.complain
    ) as deployed:
        arguments = [] if row is None else [row]
        code = deployed.run("mlops.service.ask", str(deployed.folder), *arguments)
    sys.exit(code)


@commands.command()
def image(
    version: Annotated[
        str | None, typer.Option(help="A version, as it was released furthest downstream.")
    ] = None,
    environment: Annotated[
        str | None, typer.Option(help="The environment to build from; prod by default.")
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The image's name; by default PROJECT:VERSION."),
    ] = None,
) -> None:
    """Build the container image of the service from a release."""
    from mlops.release.follow import image

    built = image.build_image(
        Git.of_current_directory(), chosen_revision(environment, version), printing.complain, tag
    )
    printing.say(f"{built.name}: {built.megabytes:.0f} MB, made by {built.engine}")


@commands.command()
def serve(
    environment: Annotated[
        str | None, typer.Option(help="The branch to serve and follow; prod by default.")
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(
            help="A version (v1.2.0), record or commit to serve, without following a branch."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(envvar="SERVE_HOST", help="Address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            envvar="SERVE_PORT", min=0, max=65535, help="Port to listen on; 0 for a free one."
        ),
    ] = 8000,
    every: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=86_400,
            metavar="SECONDS",
            help="How often to fetch from origin; every 2 s by default.",
        ),
    ] = None,
) -> None:
    """Answer over HTTP with the model that an environment deployed, and follow its branch."""
    from mlops import environments
    from mlops.release.follow import serve as supervisor

    revision = chosen_revision(environment, version)
    if version and every:
        raise UsageError(f"--every {every:g} is for a branch that is followed: leave out --version")
    if not version:
        environments.known_environment(revision)
    follow = None if version else every or 2.0
    supervisor.serve(Git.of_current_directory(), revision, host=host, port=port, follow=follow)
