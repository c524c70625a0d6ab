"""Builds a container image of the service from a release, and never from the working tree.

Dockerfile, serving code and lock are those of the release's commit; the bundle is the one that it deployed.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlops.errors import MlopsError, Refused
from mlops.release import child_environment
from mlops.release.follow import deployment
from mlops.release.follow.deployment import Deployment
from mlops.release.history.git import Git
from mlops.release.history.outputs import BUNDLE
from mlops.release.places import engines, process

RECIPE = "container/Dockerfile"
OF_THE_COMMIT = (RECIPE, "requirements/serve.txt", *deployment.SERVICE)
OPTIONS = {
    "docker": (),
    "podman": ("--timestamp", "0"),  # without a clock, what is built again has the same layers
}
SETTINGS = {
    "DOCKER_BUILDKIT": "1",
    "BUILDAH_FORMAT": "docker",  # podman's own format has no HEALTHCHECK
}


@dataclass(frozen=True)
class Image:
    name: str
    engine: str
    megabytes: float


def build_image(
    git: Git, revision: str, say: Callable[[str], None], name: str | None = None
) -> Image:
    """Builds the image of an environment or version; its default name is PROJECT:VERSION.

    Raises Refused for a commit that was not released, and MlopsError if no engine can build.
    """
    engine = engines.engine_at_hand()
    with (
        deployment.open_deployment(git, revision, say=say) as deployed,
        TemporaryDirectory() as folder,
    ):
        release = deployed.release
        refuse_unreleased(git, revision, release)
        image = name or f"{image_name(git)}:{release['version']}"
        write_build_context(git, deployed, Path(folder))
        say(f"building {image} from {release['record']} with {engine}")
        command = [
            engine,
            "build",
            *OPTIONS[engine],
            *secret_options(),
            *label_options(git, release),
        ]
        try:
            variables = child_environment.for_command() | SETTINGS
            process.run_watched(
                [*command, "--file", RECIPE, "--tag", image, "."], Path(folder), variables, say
            )
        except subprocess.CalledProcessError as error:
            raise MlopsError(
                f"{engine} could not build {image}:\n{process.last_lines(error)}"
            ) from error
    return Image(image, engine, image_megabytes(engine, image))


def refuse_unreleased(git: Git, revision: str, release: Mapping[str, Any]) -> None:
    if release["version"] is None:
        raise Refused(
            f"{revision} ({release['commit'][:7]}) is not a release, and an image needs one: "
            "`mlops promote`, then name staging, prod or a version"
        )
    if git.read_file(release["commit"], RECIPE) is None:
        raise MlopsError(
            f"{release['version']} was released without a {RECIPE}: bring one to dev and promote it"
        )


def write_build_context(git: Git, deployed: Deployment, context: Path) -> None:
    """Writes all files that the engine can see to the folder `context`."""
    git.export(deployed.commit, OF_THE_COMMIT, context)
    shutil.copytree(deployed.folder / BUNDLE, context / BUNDLE)
    shutil.copy(deployed.folder / deployment.RELEASE, context)


def secret_options() -> list[str]:
    """Returns options that pass pip's settings, such as another index, to the build alone."""
    settings = os.environ.get("PIP_CONFIG_FILE", os.devnull)
    return ["--secret", f"id=pip,src={settings}"] if Path(settings).is_file() else []


def label_options(git: Git, release: Mapping[str, Any]) -> Iterator[str]:
    labels = {
        "org.opencontainers.image.title": image_name(git),
        "org.opencontainers.image.version": release["version"],
        "org.opencontainers.image.revision": release["commit"],
        "org.opencontainers.image.created": release["released"],
        "mlops.record": release["record"],
        "mlops.bundle": release["bundle"],
        "mlops.model": release["files"]["model.onnx"],
    }
    for label, value in labels.items():
        yield from ("--label", f"{label}={value}")


def image_name(git: Git) -> str:
    """Returns the name of the project's directory in the letters that the name of an image may have."""
    return re.sub("[^a-z0-9]+", "-", git.root.name.lower()).strip("-") or "model"


def image_megabytes(engine: str, image: str) -> float:
    answer = subprocess.run(
        [engine, "image", "inspect", image],
        env=child_environment.for_command(),
        capture_output=True,
        check=True,
    )
    size: int = json.loads(answer.stdout)[0]["Size"]
    return size / 1e6
