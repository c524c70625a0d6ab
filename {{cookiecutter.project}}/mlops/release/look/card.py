"""Cards: what Git says about a model, of a version, an experiment or any other commit.

`cards_of` reads the cards of many models with three processes of Git; `card_of` reads that of one name.
"""

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice, pairwise
from typing import Any

from mlops import environments
from mlops.release.history import (
    arrivals,
    lockfile,
    models,
    objects,
    records,
    reports,
    revisions,
    tags,
    unrecorded,
    versions,
)
from mlops.release.history.core_yaml import parse_yaml
from mlops.release.history.git import Git
from mlops.release.history.lockfile import Lock
from mlops.release.history.models import Model, Read, read_or_fault
from mlops.release.history.outputs import BUNDLE, MODEL, RAW, TESTING, TRAINING, VALIDATION
from mlops.release.history.records import Record, TaggedRecord
from mlops.release.history.tags import Tag
from mlops.release.look.changes import flattened

MADE_OF = {
    MODEL: "model",
    BUNDLE: "bundle",
    RAW: "raw data",
    TRAINING: "training data",
    VALIDATION: "validation data",
    TESTING: "testing data",
}
CODE = {"science": "code of science/", "mlops": "machinery (mlops/)", "requirements": "libraries"}
"""The folders whose hash in Git says by which code and libraries a model was made, and what they hold."""

PARAMETERS, RAW_DVC, SUBGROUPS = "params.yaml", f"{RAW}.dvc", f"{reports.FOLDER}/subgroups.csv"
BLOCKS, INTERVAL = ("test", "validation", "baseline", "class_rows"), "interval"
"""The blocks of reports/metrics.json with a number for each name, and that with a pair."""
ABOUT = re.compile(r"^about:.*(?:\r?\n(?:[ \t#].*)?)*", re.MULTILINE)
"""The block `about` of params.yaml: to parse the whole file takes ten times as long."""


@dataclass(frozen=True)
class Stay:
    """A period in which an environment had a version, by which record; `until` is None if it still has it."""

    environment: str
    record: str
    kind: str
    author: str
    since: str
    until: str | None


@dataclass(frozen=True)
class Card:
    """What is known about a model.

    `version` and `reason`, which explains its number, are None for what was not released. `hashes` are the
    MD5 of the model, of its bundle and of its data, `code` the hashes in Git of CODE, and `parameters` those
    with which the stages ran, by dotted name, of the chosen architecture only. `metrics` and `gate` are the
    content of the reports, and `subgroups` the rows of reports/subgroups.csv by column. `faults` says, by the
    name of a part, what can't be read.
    """

    name: str
    commit: str
    subject: str
    author: str
    when: str
    version: str | None = None
    reason: str | None = None
    running: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    gate: Mapping[str, Any] = field(default_factory=dict)
    subgroups: Sequence[Mapping[str, str]] = ()
    stays: Sequence[Stay] = ()
    records: Sequence[Record] = ()
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def test(self) -> Mapping[str, float | None]:
        """Returns the metrics of the test rows."""
        found: Mapping[str, float | None] = self.metrics.get("test", {})
        return found

    @property
    def commands(self) -> Sequence[str]:
        """Returns the commands that get the model and the data."""
        if self.version is None:
            return [*fetching_commands(self.commit, self.commit[:7])]
        return [
            f"dvc artifacts get . model --rev {self.version} --out model-{self.version}",
            *fetching_commands(f"{versions.PREFIX}{self.version}", self.version),
        ]


def card_of(git: Git, name: str) -> Card:
    """Returns the card of the version that a name stands for, or of its commit if it is no release.

    Raises MlopsError if nothing has this name.
    """
    found = revisions.find_revision(git, name)
    commit = arrivals.release_commit(git, found.commit)
    released = all_records(git)
    made = [each.record.version for each in released if each.commit == commit]
    version = versions.version_name(found.name) or (made[-1] if made else None)
    _, tag = version_tags(git).get(version, (None, None))
    model = models.model_at(git, tag.commit if tag else commit, version if tag else None)
    running = environments_with(git, model.lock.outputs.get(BUNDLE))
    return cards_of(git, [replace(model, running=running)], released)[0]


def environments_with(git: Git, bundle: str | None) -> tuple[str, ...]:
    """Returns the environments whose branch has this bundle now."""
    tips = {name: unrecorded.known_tip(git, name) for name in environments.CHAIN}
    states = models.states_of(git, [tip for tip in tips.values() if tip])
    held = {state.commit for state in states if bundle and state.lock.outputs.get(BUNDLE) == bundle}
    return tuple(name for name, tip in tips.items() if tip in held)


def all_records(git: Git) -> list[TaggedRecord]:
    """Returns the records of all environments, those of each oldest first."""
    return [tagged for each in environments.CHAIN for tagged in records.records_of(git, each)]


def cards_of(git: Git, found: Sequence[Model], released: Sequence[TaggedRecord]) -> list[Card]:
    """Returns the card of each model, in their order; `released` are the records of all environments."""
    commits = [model.commit for model in found]
    authors, tagged, stays = authors_of(git, commits), version_tags(git), stays_of(released)
    by_version: dict[str | None, list[Record]] = {}
    for each in released:
        by_version.setdefault(each.record.version, []).append(each.record)
    cards = []
    for model, (code, read) in zip(found, read_parts(git, found), strict=True):
        version = versions.version_name(model.name)
        reason, tag = tagged.get(version, (None, None))
        author, when = (tag.author, tag.when) if tag else authors[model.commit]
        faults = {part: fault for part, (_, fault) in read.items() if fault}
        parts = {part: content for part, (content, _) in read.items() if content is not None}
        hashes = {**parts.pop("raw data", {}), **model.lock.outputs}
        cards.append(
            Card(
                name=model.name,
                commit=model.commit,
                subject=model.subject,
                author=author,
                when=when,
                version=version,
                reason=reason,
                running=model.running,
                hashes={what: hashes[path] for path, what in MADE_OF.items() if path in hashes},
                code=code,
                parameters=used_parameters(model.lock),
                stays=stays.get(version, ()),
                records=by_version.get(version, ()) if version else (),
                faults=faults | ({"lock": str(model.fault)} if not model.lock.outputs else {}),
                **parts,
            )
        )
    return cards


def about_in(content: bytes) -> Mapping[str, str]:
    block = ABOUT.search(content.decode(errors="replace"))
    about = (parse_yaml(block[0], PARAMETERS).get("about") if block else None) or {}
    if not isinstance(about, dict):
        raise reports.unreadable(PARAMETERS, f"about is {about!r} instead of texts by name")
    return {str(key): str(text).strip() for key, text in about.items() if text}


def metrics_in(content: bytes) -> Mapping[str, Any]:
    """Returns the BLOCKS of reports/metrics.json with finite numbers or None, and the intervals; a pair that
    is none is left out. Raises MlopsError if a metric is neither a number nor null."""
    report = reports.parse_report(content, reports.METRICS)
    found = {name: reports.metrics_in({"test": report.get(name) or {}}) for name in BLOCKS}
    intervals = report.get(INTERVAL)
    pairs = intervals.items() if isinstance(intervals, dict) else ()
    return {**found, INTERVAL: {name: pair for name, pair in pairs if is_interval(pair)}}


def is_interval(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(map(reports.is_finite, pair))


def raw_data_in(content: bytes) -> dict[str, str]:
    return dict(lockfile.added_hashes(RAW_DVC, parse_yaml(content, RAW_DVC)))


def subgroups_in(content: bytes) -> list[dict[str, str]]:
    """Returns the rows of reports/subgroups.csv. Raises MlopsError if it is no table of subgroups."""
    try:
        header, *rows = csv.reader(content.decode(errors="replace").splitlines())
        if header[:2] != ["group", "rows"]:
            raise ValueError(f"its columns are {header}")
        return [dict(zip(header, row, strict=True)) for row in rows]
    except (csv.Error, ValueError) as error:
        raise reports.unreadable(SUBGROUPS, str(error)) from error


PARTS: Mapping[str, tuple[str, Callable[[bytes], Any]]] = {
    "about": (PARAMETERS, about_in),
    "metrics": (reports.METRICS, metrics_in),
    "gate": (reports.GATE, partial(reports.parse_report, path=reports.GATE)),
    "subgroups": (SUBGROUPS, subgroups_in),
    "raw data": (RAW_DVC, raw_data_in),
}
"""Which file of a commit holds each part of a card, and what reads it."""


def read_parts(
    git: Git, found: Sequence[Model]
) -> Iterator[tuple[dict[str, str], dict[str, Read[Any]]]]:
    """Yields the hashes of CODE at the commit of each model, and each of PARTS or why it can't be read."""
    known: dict[tuple[str, str], Read[Any]] = {}
    paths = [*CODE, *(path for path, _ in PARTS.values())]
    blobs = objects.read_objects(git, [f"{each.commit}:{path}" for each in found for path in paths])
    for model in found:
        files = dict(zip(paths, islice(blobs, len(paths)), strict=True))
        read = {}
        for part, (path, parse) in PARTS.items():
            if blob := files[path]:
                key = part, blob.hash
                if key not in known:
                    known[key] = read_or_fault(partial(parse, blob.content))
                read[part] = known[key]
                if path in (reports.METRICS, reports.GATE):
                    read[part] = models.recorded(model.lock, path, blob.content, known[key])
        yield {name: blob.hash for name in CODE if (blob := files[name])}, read


def authors_of(git: Git, commits: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Returns the author and the time (ISO 8601) of each commit."""
    form = ("log", "--no-walk=unsorted", "--stdin", "--format=%H%x00%an <%ae>%x00%aI")
    listed = git.run(*form, given="".join(f"{commit}\n" for commit in commits)).split("\n")
    found = (line.split("\0") for line in listed if line)
    return {commit: (author, when) for commit, author, when in found}


def version_tags(git: Git) -> dict[str | None, tuple[str, Tag]]:
    """Returns why each version has its number, and its tag; a foreign tag is named in a notice."""
    found = tags.tags_matching(git, f"{versions.PREFIX}v*")
    known = {version.tag: version for version in versions.readable_versions(git, found)}
    return {
        known[tag.name].name: (known[tag.name].reason, tag) for tag in found if tag.name in known
    }


def used_parameters(lock: Lock) -> dict[str, Any]:
    """Returns the parameters by dotted name, and of the architectures only the chosen one."""
    values = {
        name: value for used in lock.parameters.values() for name, value in flattened(used).items()
    }
    chosen, every = (
        f"train.architectures.{each}" for each in (f"{values.get('train.architecture')}.", "")
    )
    return {
        name: value
        for name, value in values.items()
        if name.startswith(chosen) or not name.startswith(every)
    }


def stays_of(released: Sequence[TaggedRecord]) -> dict[str | None, list[Stay]]:
    """Returns the periods in which an environment had each version."""
    found: dict[str | None, list[Stay]] = {}
    for one, after in pairwise([*released, None]):
        if one:
            record = one.record
            same = after and after.record.environment == record.environment
            stay = Stay(
                record.environment, record.name, record.kind, one.author, one.when,
                after.when if after and same else None,
            )  # fmt: skip
            found.setdefault(record.version, []).append(stay)
    return found


def fetching_commands(revision: str, name: str) -> Iterator[str]:
    yield f"dvc get . models/model.onnx --rev {revision} --out {name}.onnx"
    yield f"dvc get . {RAW} --rev {revision} --out raw-{name}"
    yield f"dvc get . data/prepared --rev {revision} --out prepared-{name}"
    yield f"git worktree add ../{name} {revision} && cd ../{name} && dvc pull"
