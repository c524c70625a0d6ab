"""What the pages show: everything that Git's objects and DVC's cache tell, read once for all pages."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import takewhile

from mlops import environments
from mlops.errors import MlopsError
from mlops.release.data import dvc_settings
from mlops.release.history import branches, models, reports, unrecorded
from mlops.release.history.core_yaml import parse_yaml
from mlops.release.history.git import Git
from mlops.release.history.models import Model, Read
from mlops.release.history.records import TaggedRecord
from mlops.release.look import card, monitor_reports, status, timeline, tracker
from mlops.release.look.card import Card
from mlops.release.look.changes import change_lines
from mlops.release.look.monitor_reports import MonitorReport
from mlops.release.look.status import Status
from mlops.release.look.timeline import Event
from mlops.release.look.tracker import Row
from mlops.site.plot_files import Cache

COUNT = "rows"
"""What stands among the metrics of reports/metrics.json and is none."""

PREFIXES = re.compile(r"^(train\.architectures\.\w+|train|prepare)\.")
OF_ENVIRONMENT = re.compile(r"(gate|deploy)\..*")
"""Settings of an environment that make no other model."""

NOT_IN_NAMES = re.compile(r"[^\w.-]+")
CHOICES = "train.architectures."


@dataclass(frozen=True)
class Entry:
    """A model on the site. `page` is the path of its card, `before` the model of the same kind, version or
    experiment, that was made before it, and `changes` says in words what differs from that."""

    model: Model
    card: Card
    row: Row
    page: str
    before: "Entry | None"
    changes: Sequence[str]

    @property
    def released(self) -> bool:
        return self.card.version is not None


@dataclass(frozen=True)
class Lane:
    """An environment: its state, the model that it holds, its latest record and the first one since which it
    has had this version, the model that it had before, the commits upstream that it lacks, and its bounds by
    metric."""

    status: Status
    entry: Entry | None
    latest: TaggedRecord | None
    first: TaggedRecord | None
    before: Entry | None
    newer: Sequence[str]
    bounds: Mapping[str, Mapping[str, float]]

    @property
    def name(self) -> str:
        return self.status.environment


@dataclass(frozen=True)
class Content:
    """Everything that the pages show. `events` are those of all environments, the newest first, and `reports`
    those of the monitor by environment, or why they can't be read."""

    title: str
    made: datetime
    entries: Sequence[Entry]
    lanes: Sequence[Lane]
    events: Sequence[tuple[str, Event]]
    numbers: tracker.Numbers
    remarks: Sequence[str]
    reports: Mapping[str, Read[MonitorReport]]
    cache: Cache
    metrics: Sequence[str] = field(default=())

    def bounds(self, metric: str) -> dict[str, float]:
        """Returns the bounds of a metric by what they are called."""
        return {
            f"{lane.name} {sign} {limit:g}": limit
            for lane in self.lanes
            for end, sign in (("min", "≥"), ("max", "≤"))
            if (limit := lane.bounds.get(metric, {}).get(end)) is not None
        }


def read_content(git: Git) -> Content:
    """Reads everything. Raises MlopsError if no model was committed yet."""
    released, numbers = card.all_records(git), tracker.Numbers()
    entries = read_entries(git, released, numbers)
    if not entries:
        raise MlopsError("no model was committed yet: `mlops repro`, commit, then again")
    own = {
        name: [each for each in released if each.record.environment == name]
        for name in environments.CHAIN
    }
    return Content(
        title=git.root.name,
        made=datetime.now().astimezone(),
        entries=entries,
        lanes=[
            lane_of(git, each, entries, own[each.environment]) for each in status.all_statuses(git)
        ],
        events=sorted(
            ((name, event) for name in own for event in timeline.events_with(git, name, own[name])),
            key=lambda each: each[1].when,
            reverse=True,
        ),
        numbers=numbers,
        remarks=[*status.remarks(git)],
        reports=monitor_reports.read_reports(git),
        cache=Cache(dvc_settings.cache_folder(git.root)),
        metrics=[
            *dict.fromkeys(name for each in entries for name in each.model.metrics if name != COUNT)
        ],
    )


def entry_of(git: Git, found: Card) -> Entry | None:
    """Returns the entry of a card's model, or None if the card is of a commit that made no model."""
    entries = read_entries(git, card.all_records(git), tracker.Numbers())
    return next((each for each in entries if each.card.name == found.name), None)


def read_entries(
    git: Git, released: Sequence[TaggedRecord], numbers: tracker.Numbers
) -> list[Entry]:
    """Returns an entry for every model, in the order in which they were committed."""
    found = models.all_models(git)
    rows = [tracker.model_row(model, numbers) for model in found]
    return [*joined_entries(found, card.cards_of(git, found, released), rows)]


def joined_entries(
    found: Sequence[Model], cards: Sequence[Card], rows: Sequence[Row]
) -> Iterator[Entry]:
    latest: dict[bool, Entry] = {}
    for model, known, row in zip(found, cards, rows, strict=True):
        before = latest.get(known.version is not None)
        changes = [*changes_between(before.card, known)] if before else []
        page = f"models/{NOT_IN_NAMES.sub('-', known.name)}.html"
        entry = Entry(model, known, row, page, before, changes)
        latest[entry.released] = entry
        yield entry


def changes_between(old: Card, new: Card) -> Iterator[str]:
    """Yields in words what of the parameters, the data and the code of two models differs."""
    before, after = dict(old.parameters), dict(new.parameters)
    if before.get("train.architecture") != after.get("train.architecture"):
        before, after = (
            {name: value for name, value in each.items() if not name.startswith(CHOICES)}
            for each in (before, after)
        )
    for line in change_lines(before, after):
        if not OF_ENVIRONMENT.match(line):
            yield PREFIXES.sub("", line)
    for what in ("raw data", "training data", "validation data", "testing data"):
        if old.hashes.get(what) != new.hashes.get(what):
            yield f"other {what}"
    for folder, what in card.CODE.items():
        if old.code.get(folder) != new.code.get(folder):
            yield f"other {what}"


def lane_of(git: Git, each: Status, entries: Sequence[Entry], own: Sequence[TaggedRecord]) -> Lane:
    name = each.environment
    held = [entry for entry in entries if name in entry.model.running]
    first = name == environments.CHAIN[0]
    tip = None if first else unrecorded.known_tip(git, environments.upstream(name))
    newer = branches.changes_between(git, each.commit, tip) if each.commit and tip else []
    latest = own[-1] if own and own[-1].record.name == each.record else None
    bounds = bounds_at(git, each.commit, name) if each.commit else {}
    stay = [] if latest is None else [*takewhile(partial(is_same_version, latest), reversed(own))]
    came = stay[-1] if stay else None
    older = own[-len(stay) - 1].record.version if stay and len(own) > len(stay) else None
    before = next((entry for entry in entries if older and entry.card.version == older), None)
    return Lane(each, held[-1] if held else None, latest, came, before, newer, bounds)


def is_same_version(one: TaggedRecord, other: TaggedRecord) -> bool:
    return one.record.version == other.record.version


def bounds_at(git: Git, commit: str, environment: str) -> Mapping[str, Mapping[str, float]]:
    """Returns the bounds of the gate by metric; there are none if the file is not as it should be."""
    file = f"environments/{environment}.yaml"
    try:
        gate = parse_yaml(git.read_file(commit, file), file).get("gate")
    except MlopsError:
        return {}
    bounds = gate.get("bounds") if isinstance(gate, dict) else None
    return {
        str(metric): {end: float(limit) for end, limit in each.items() if reports.is_finite(limit)}
        for metric, each in (bounds.items() if isinstance(bounds, dict) else ())
        if isinstance(each, dict)
    }
