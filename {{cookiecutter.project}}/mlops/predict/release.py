"""Reads release.json, which describes a release and is written before the service starts."""

import hashlib
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from mlops.predict.errors import BundleError

FILE = "release.json"
REFUSED = "refused.json"
BUNDLE = "deploy"


class ServeSettings(msgspec.Struct, frozen=True):
    """The block `serve` of an environment's file: how a service of that environment answers."""

    api_key_required: bool = False
    max_rows: Annotated[int, Meta(gt=0, le=1_000_000)] = 1000
    max_body_megabytes: Annotated[float, Meta(gt=0, le=1000)] = 1
    max_seconds: Annotated[float, Meta(gt=0, le=3600)] = 5


class Release(msgspec.Struct, frozen=True):
    """The content of release.json. Unknown keys are ignored, since older code may read a newer file."""

    environment: str
    commit: str
    bundle: str
    files: dict[str, str]
    version: str | None = None
    record: str | None = None
    released: str | None = None
    author: str | None = None
    metrics: dict[str, Any] = {}
    milliseconds: float | None = None
    megabytes: float | None = None
    memory_megabytes: float | None = None
    serve: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """Returns the version, or the short commit if there is none."""
        return self.version or self.commit[:7]


class Model(Release, frozen=True):
    """A release, and in `refused` what is known of a newer one that did not start."""

    refused: dict[str, Any] | None = None


def read_release(folder: Path) -> Release:
    """Returns the release in a folder. Raises BundleError if release.json is missing or broken."""
    path = folder / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Release)
    except FileNotFoundError:
        raise BundleError(
            f"{path} is missing: start with `mlops serve`, which writes it, or in such a folder"
        ) from None
    except msgspec.DecodeError as error:
        raise BundleError(
            f"{path} does not describe a release ({error}): start with `mlops serve`"
        ) from None


def model_facts(release: Release, folder: Path) -> Model:
    """Returns the release, with what the folder says of a newer one that did not start."""
    path = folder / REFUSED
    refused = msgspec.json.decode(path.read_bytes()) if path.exists() else None
    return Model(**msgspec.structs.asdict(release), refused=refused)


def verify_bundle(release: Release, bundle: Path) -> None:
    """Raises BundleError unless the bundle is, byte for byte, the one that was released."""
    found = {
        file.relative_to(bundle).as_posix(): md5_of_file(file)
        for file in bundle.rglob("*")
        if file.is_file()
    }
    faults = [
        *(f"{name} is missing" for name in release.files if name not in found),
        *(f"{name} was not released" for name in found if name not in release.files),
        *(
            f"{name} has the hash {found[name]}, not {expected}"
            for name, expected in release.files.items()
            if found.get(name, expected) != expected
        ),
    ]
    if faults:
        raise BundleError(
            f"{bundle} is not what {release.name} released: {'; '.join(faults)}. "
            f"Delete {bundle.parent.resolve()} and start again"
        )


def md5_of_file(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
