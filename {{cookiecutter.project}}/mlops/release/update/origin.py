"""The file .template.yaml: which state of which template a project was made from.

The template's hook writes the same layout when a project is generated.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlops.errors import MlopsError
from mlops.release.history import core_yaml
from mlops.release.history.git import Git
from mlops.release.update import trees

FILE = ".template.yaml"
MACHINERY = "mlops"
NAMES = {"address", "version", "commit", "machinery"}
HEAD = "# Where this project came from; `mlops update` reads and writes it: docs/updating.md\n"


@dataclass(frozen=True)
class Origin:
    """The template's `address`, and the `version` and `commit` of it that the project has now.

    `without` are paths that the owner has deleted and that no update brings back. `machinery` is Git's
    hash of the folder mlops/ as it was shipped.
    """

    address: str
    version: str = ""
    commit: str = ""
    answers: Mapping[str, object] = field(default_factory=dict)
    without: list[str] = field(default_factory=list)
    machinery: str = ""

    def text(self) -> str:
        """Returns the content of .template.yaml; each value is JSON, which is YAML too."""
        lines = []
        for key, value in vars(self).items():
            if isinstance(value, Mapping) and value:
                lines += [f"{key}:", *(f"  {name}: {as_json(value[name])}" for name in value)]
            else:
                lines.append(f"{key}: {as_json(value)}")
        return HEAD + "".join(f"{line}\n" for line in lines)


def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def read_origin(root: Path) -> Origin:
    """Returns the origin of the project at `root`. Raises MlopsError if nothing valid says it."""
    path = root / FILE
    if not path.exists():
        raise MlopsError(
            f"{path} is missing, and it says which template this project was made from: bring it "
            "back from Git, or write it as docs/updating.md describes"
        )
    content = core_yaml.parse_yaml(path.read_bytes(), FILE)
    known = {key: value for key, value in content.items() if value is not None}
    try:
        return Origin(**known | {key: str(known[key]) for key in NAMES & known.keys()})
    except TypeError as error:
        raise MlopsError(
            f"{path} has not the keys that docs/updating.md lists ({error}): correct it and commit"
        ) from error


def machinery_changes(git: Git) -> Iterator[str]:
    """Yields each file of the machinery that is not as it was shipped, and how it differs.

    Yields the folder where Git does not have the shipped one, as in a clone without history.
    """
    if not (git.root / FILE).exists():
        return
    tree = read_origin(git.root).machinery
    if not tree:
        return
    if not git.succeeds("cat-file", "-e", f"{tree}^{{tree}}"):
        yield f"{MACHINERY}/ (this clone does not have it as it was shipped)"
        return
    shipped = {f"{MACHINERY}/{name}": blob for name, blob in trees.blobs(git, tree).items()}
    listed = git.run("ls-files", "-z", "--", MACHINERY).split("\0")
    present = [name for name in listed if (git.root / name).is_file()]
    hashes = git.run("hash-object", "--stdin-paths", given="".join(f"{n}\n" for n in present))
    found = dict(zip(present, hashes.splitlines(), strict=True))
    for name in sorted(shipped.keys() | found.keys()):
        if name not in found:
            yield f"{name} (deleted)"
        elif name not in shipped:
            yield f"{name} (added)"
        elif found[name] != shipped[name]:
            yield name
