"""`mlops site`: renders the pages from the templates, and puts them in the place of an older site."""

import json
import math
import shlex
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mlops import environments
from mlops.errors import MlopsError, Refused, counted, printable_text
from mlops.release.history.git import Git
from mlops.release.history.models import Read
from mlops.release.history.outputs import SCHEMA
from mlops.release.look import card, explanation, markdown, tracker
from mlops.release.look.card import Card
from mlops.release.look.monitor_reports import MonitorReport
from mlops.site import charts, judged, plot_files, searches
from mlops.site.charts import ModelChart, Point, Span, TimeLine
from mlops.site.content import COUNT, Content, Entry, entry_of, read_content
from mlops.site.searches import FoundSearch

TEMPLATES = Path(__file__).with_name("templates")
ASSETS = ("site.css", "site.js")
OWN = {
    *(f"{page}.html" for page in ("index", "history", "models", "compare", "drift", "searches")),
    "models",
    *ASSETS,
}
"""What there is in the folder of a site."""

CHARTED = 100
"""The largest number of models in a chart: the latest."""

GROUPS = 8
"""The largest number of sets of test rows that are charted."""

EXPLAINED = 500
"""The largest number of models for which the numbers of data and parameters are explained."""


def write_site(git: Git, folder: Path) -> Path:
    """Writes the site into the folder, in the place of an older one, and returns its start page.

    Raises Refused if the folder holds anything else, and MlopsError if no model was committed yet or if
    the folder can't be written.
    """
    if folder.exists() and not (folder.is_dir() and is_site(folder)):
        raise Refused(
            f"{folder} holds something else than a site: name another folder, or remove it"
        )
    content = read_content(git)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".site-", dir=folder.parent) as scratch:
            made = Path(scratch, "site")
            (made / "models").mkdir(parents=True)
            for name, text in rendered_pages(content, git.root):
                (made / name).write_text(text, encoding="utf-8", newline="\n")
            for name in ASSETS:
                shutil.copyfile(TEMPLATES / name, made / name)
            if folder.exists():
                folder.rename(Path(scratch, "old"))
            made.rename(folder)
    except OSError as error:
        raise MlopsError(f"the site can't be written: {error}; name another folder") from error
    return folder / "index.html"


def is_site(folder: Path) -> bool:
    """Returns whether the folder is empty, or has the stylesheet of a site and nothing that no site has."""
    names = {each.name for each in folder.iterdir()}
    return not names or (ASSETS[0] in names and names <= OWN)


def rendered_pages(content: Content, root: Path) -> Iterator[tuple[str, str]]:
    """Yields the path and the text of each page."""
    templates = open_templates(page_text)
    pages = {entry.card.name: entry.page for entry in content.entries}
    found = [*searches.read_searches(root, content.entries, content.numbers)]
    given = {
        "content": content,
        "pages": pages,
        "root": "",
        "searches": found,
        "found_by": found_by(found),
    }
    rows = [entry.row for entry in content.entries]
    explained = len(rows) <= EXPLAINED
    yield (
        "index.html",
        templates.get_template("index.html").render(
            given, page="index", line=releases_line(content)
        ),
    )
    yield "history.html", templates.get_template("history.html").render(given, page="history")
    yield (
        "models.html",
        templates.get_template("models.html").render(
            given,
            page="models",
            columns=tracker.headings(rows),
            groups=[*chart_groups(content)],
            baselines=any(entry.card.metrics.get("baseline") for entry in content.entries),
            remarks=[*tracker.remarks(rows)],
            explanation=[*explanation.explanation_lines(rows, rows, content.numbers)]
            if explained
            else [],
        ),
    )
    yield (
        "compare.html",
        templates.get_template("compare.html").render(
            given, page="compare", facts=facts_of(content.entries), **compared_first(content)
        ),
    )
    yield "drift.html", templates.get_template("drift.html").render(given, page="drift")
    if found:
        yield (
            "searches.html",
            templates.get_template("searches.html").render(given, page="searches"),
        )
    template = templates.get_template("model.html")
    for entry in content.entries:
        yield entry.page, template.render(given, page="model", **card_values(entry, content))


def found_by(
    found: Sequence[tuple[str, Read[FoundSearch]]],
) -> Mapping[str, Sequence[tuple[int, str, int]]]:
    """Returns for the page of each model the position and name of the searches, and the number of the trial,
    that had its parameters."""
    by_page = defaultdict[str, list[tuple[int, str, int]]](list)
    for place, (name, (search, _)) in enumerate(found, 1):
        for each in search.tried if search else ():
            for entry in each.models:
                by_page[entry.page].append((place, name, each.trial.number))
    return by_page


def compared_first(content: Content) -> dict[str, str]:
    """Returns the names of the two models that are compared until others are chosen: those of the last two
    environments, or the last two."""
    names = [entry.card.name for entry in content.entries]
    held = [lane.entry.card.name for lane in content.lanes if lane.entry]
    old, new = (held[-1], held[-2]) if len({*held[-2:]}) > 1 else (*names[-2:], names[-1])[:2]
    return {"old": old, "new": new}


def facts_of(entries: Sequence[Entry]) -> dict[str, Any]:
    """Returns the names of all facts, the texts of their values, and for each model the position of each
    fact's text, or -1. Most texts are those of many models."""
    by_model = {entry.card.name: dict(card_facts(entry.card)) for entry in entries}
    names = sorted({name for facts in by_model.values() for name in facts})
    texts = dict.fromkeys(text for facts in by_model.values() for text in facts.values())
    places = {text: place for place, text in enumerate(texts)}
    models = {
        model: [places[facts[name]] if name in facts else -1 for name in names]
        for model, facts in by_model.items()
    }
    return {
        "names": [printable_text(name) for _, name in names],
        "values": [*texts],
        "models": models,
    }


def card_facts(found: Card) -> Iterator[tuple[tuple[int, str], str]]:
    """Yields what of a card is compared with others: the number of its group, its name, and its text."""
    for metric, value in found.test.items():
        yield (0, judged.metric_name(metric)), judged.metric_text(value, metric)
    for group, facts in enumerate((found.parameters, found.hashes), 1):
        for name, fact in facts.items():
            yield (group, name), printable_text(str(fact))
    for folder, tree in found.code.items():
        yield (3, card.CODE[folder]), tree[:12]


def card_values(entry: Entry, content: Content) -> dict[str, Any]:
    """Returns what the template of a card is given beside what all templates are."""
    found, outputs = entry.card, entry.model.lock.outputs
    numbered = {
        "training data": "training",
        "validation data": "validation",
        "testing data": "testing",
    }
    return {
        "entry": entry,
        "gates": gates_of(found),
        "grouped": judged.subgroup_columns(found),
        "same_test": has_same_test(entry),
        "numbered": {what: entry.row[name] for what, name in numbered.items()},
        "code": card.CODE,
        "plots": plot_files.plots_of(content.cache.read_folder(outputs.get(plot_files.PLOTS))),
        "example": shlex.quote(json.dumps(example_row(content.cache.read(outputs.get(SCHEMA))))),
    }


def has_same_test(entry: Entry) -> bool:
    """Returns whether a model was measured on the test rows of the one before it."""
    return entry.before is not None and entry.before.row["testing"] == entry.row["testing"]


def gates_of(found: Card) -> list[tuple[str, Mapping[str, Any]]]:
    """Returns the reports of the gates with the records that hold them, or that of the commit."""
    released = [(record.name, record.gate) for record in found.records]
    return released or [("its commit", found.gate)]


def example_row(schema: bytes | None) -> Mapping[str, Any]:
    """Returns the example of each column of an input schema; it is empty if the schema is not here."""
    try:
        return {each["name"]: each["example"] for each in json.loads(schema or b"{}")["columns"]}
    except (ValueError, KeyError, TypeError):
        return {}


def card_markdown(git: Git, found: Card) -> str:
    """Returns the card in Markdown, with what differs from the model before."""
    entry = entry_of(git, found)
    before = entry.before if entry else None
    return (
        open_templates(markdown_text)
        .get_template("card.md")
        .render(
            card=found,
            before=before and before.card,
            changes=entry.changes if entry else (),
            same_test=entry is not None and has_same_test(entry),
            gates=gates_of(found),
            code=card.CODE,
        )
    )


def open_templates(finalize: Callable[[object], object]) -> Environment:
    """Returns the templates; `finalize` is applied to each value that a page shows."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )
    found.filters |= {
        "advantage": judged.advantage_text,
        "bounded": judged.bounded_metrics,
        "bare_metric": tracker.metric_text,
        "beside": judged.metrics_beside,
        "bound": judged.bound_text,
        "cell": tracker.shown_cell,
        "counted": counted,
        "day_charts": day_charts,
        "direction": judged.direction,
        "metric": judged.metric_text,
        "minute": minute,
        "moved_columns": judged.moved_columns,
        "number": judged.number_in,
        "person": lambda author: author.partition(" <")[0],
        "words": judged.metric_name,
        "worst_group": judged.worst_group,
    }
    return found


def page_text(value: object) -> object:
    """Returns a value without the characters that have no place in a page; the template escapes the rest."""
    if isinstance(value, str) and not value.isprintable() and not isinstance(value, Markup):
        return printable_text(value)
    return value


def markdown_text(value: object) -> object:
    """Returns a value as Markdown that shows nothing but its characters."""
    if isinstance(value, Markup):
        return value
    return Markup(markdown.markdown_text(str(value)))  # noqa: S704


def minute(when: str | datetime) -> str:
    """Returns a time, or its text in ISO 8601, to the minute in the zone of this machine."""
    known = when if isinstance(when, datetime) else datetime.fromisoformat(when)
    return f"{known.astimezone():%Y-%m-%d %H:%M}"


def chart_groups(content: Content) -> Iterator[dict[str, Any]]:
    """Yields the charts of each set of test rows on which two models or more were measured, the latest
    set first."""
    by_test: dict[object, list[Entry]] = {}
    for entry in reversed(content.entries):
        by_test.setdefault(entry.row["testing"], []).insert(0, entry)
    several = ((name, group) for name, group in by_test.items() if len(group) > 1 and name)
    for name, group in islice(several, GROUPS):
        shown = group[-CHARTED:]
        yield {
            "name": name,
            "rows": int(shown[-1].card.test.get(COUNT) or 0),
            "count": len(group),
            "shown": len(shown),
            "charts": [*metric_charts(content, shown)],
        }


def metric_charts(content: Content, group: Sequence[Entry]) -> Iterator[ModelChart]:
    for metric in content.metrics:
        points = [
            point_of(entry, metric, value)
            for entry in group
            if (value := entry.card.test.get(metric)) is not None
        ]
        if points:
            yield charts.model_chart(
                metric,
                judged.direction(metric),
                points,
                content.bounds(metric),
                judged.limits_of(metric),
            )


def point_of(entry: Entry, metric: str, value: float) -> Point:
    measured = entry.card.metrics
    low, high = measured.get(card.INTERVAL, {}).get(metric, (None, None))
    between = (
        f" ({judged.metric_text(low, metric)} to {judged.metric_text(high, metric)})"
        if low is not None
        else ""
    )
    return Point(
        entry.card.name,
        entry.page,
        f"{entry.card.name}: {judged.metric_text(value, metric)}{between}",
        entry.released,
        value,
        low,
        high,
        measured.get("baseline", {}).get(metric),
    )


def day_charts(report: MonitorReport) -> Iterator[ModelChart]:
    """Yields for each column that has moved the chart of its PSI by day."""
    moved, _ = judged.moved_columns(report)
    for column in (drift.column for drift in moved):
        points = [
            Point(each.day[5:], f"#{report.environment}", text, True, size)
            for each in report.days
            if (size := each.psi.get(column)) is not None
            for text in [f"{each.day}: PSI {size:.3f} of {counted(each.rows, 'row')}"]
        ]
        if points:
            allowed = {f"at most {report.max_psi:g}": report.max_psi}
            yield charts.model_chart(f"{column}: PSI", "", points, allowed, (0, math.inf))


def releases_line(content: Content) -> TimeLine | None:
    """Returns the time line of the environments to which something is released."""
    spans: dict[str, list[Span]] = {name: [] for name in environments.CHAIN[1:]}
    for entry in content.entries:
        for stay in entry.card.stays:
            since = datetime.fromisoformat(stay.since)
            until = datetime.fromisoformat(stay.until) if stay.until else content.made
            title = f"{entry.card.name} in {stay.environment} since {minute(since)} ({stay.record})"
            spans[stay.environment].append(Span(entry.card.name, title, since, until))
    refusals = {
        name: [
            (event.when, f"refused on {minute(event.when)}: {event.why}")
            for where, event in content.events
            if where == name and event.what == "refused"
        ]
        for name in spans
    }
    ordered = {name: sorted(lane, key=lambda span: span.since) for name, lane in spans.items()}
    return charts.time_line(ordered, refusals)
