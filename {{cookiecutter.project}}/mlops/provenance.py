"""The provenance of a stage's outputs: the hash of each of its dependencies, and its parameters.

The dependencies are those that dvc.yaml lists, so the provenance changes exactly when the stage runs again.
Hashes are MD5, as everywhere in DVC, so they can be looked up in dvc.lock.
"""

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from mlops.params import Strict, read_yaml
from mlops.predict.release import md5_of_file


def write_provenance(
    file: Path, stage: str, parameters: Mapping[str, Strict | Mapping[str, Any]]
) -> None:
    """Writes what made the outputs of a stage as JSON. `parameters` are blocks of params.yaml or of an
    environment, by name."""
    content = {"made_from": made_from(stage), "parameters": parameters}
    file.write_text(
        json.dumps(content, indent=1, default=lambda model: model.model_dump()) + "\n",
        encoding="utf-8",
        newline="\n",
    )


def read_provenance(file: Path) -> dict[str, Any]:
    """Returns what `write_provenance` wrote: `made_from` and `parameters`."""
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def made_from(stage: str) -> dict[str, str]:
    """Returns the MD5 of each file that the stage depends on, by path."""
    dependencies = read_yaml(Path("dvc.yaml"))["stages"][stage]["deps"]
    files = [file for path in dependencies for file in files_in(Path(path))]
    return {file.as_posix(): md5_of_file(file) for file in files}


def files_in(path: Path) -> Iterator[Path]:
    """Yields the path itself if it is not a folder; otherwise every file in it, except for those that
    .dvcignore names, as DVC does."""
    if not path.is_dir():
        yield path
        return
    ignored = ignored_names(Path(".dvcignore"))
    files = (file for file in path.rglob("*") if file.is_file())
    for file in sorted(files, key=lambda file: file.parts):  # Windows would ignore case
        parts = file.relative_to(path).parts
        if not any(fnmatch(part, name) for part in parts for name in ignored):
            yield file


def ignored_names(file: Path) -> list[str]:
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [line.rstrip("/") for line in lines if line and not line.startswith("#")]
