"""`mlops show`: prints a card, and the commands that get what the model was made of."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mlops.release.history.records import Record
from mlops.release.look.card import Card, Stay
from mlops.release.promote import gate_report


def card_lines(card: Card) -> Iterator[str]:
    """Yields the lines about a version, or about a commit that is no release."""
    yield f"{card.name}: {card.reason or card.subject}"
    yield f"commit {card.commit}{'' if card.version else ', which is no release'}"
    yield f"made by {card.author}, {card.when}"
    about = {what: card.about.get(what, "not stated") for what in ("purpose", "limits")}
    yield from section("about", fact_lines(about), card.faults.get("about"))
    yield from section("made of (MD5)", fact_lines(card.hashes), card.faults.get("raw data"))
    yield from section("parameters", fact_lines(card.parameters), card.faults.get("lock"))
    metrics = card.faults.get("metrics")
    yield from section("metrics of the test rows", fact_lines(card.test), metrics)
    if card.version:
        yield from section("gates", (line for each in card.records for line in gate_lines(each)))
        yield from section("cost", map(cost_line, card.records))
        yield from section("running", map(stay_line, card.stays))
    else:
        yield from section("gates", gate_report.gate_lines(card.gate), card.faults.get("gate"))
    yield from section("get it", card.commands)


def section(title: str, lines: Iterable[str], fault: str | None = None) -> Iterator[str]:
    """Yields the lines below a title, or why they can't be read."""
    yield f"\n{title}"
    yield from (f"  {line}" for line in ([fault] if fault else lines))


def fact_lines(content: Mapping[str, Any]) -> Iterator[str]:
    return (f"{name}: {value}" for name, value in content.items())


def gate_lines(record: Record) -> Iterator[str]:
    compared = gate_report.comparison_lines(record.comparison)
    for line in (*gate_report.gate_lines(record.gate), *compared):
        yield f"{record.name}: {line}"
    if reason := (record.comparison or {}).get("accepted"):
        yield f"{record.name}: released without comparison: {reason}"


def cost_line(record: Record) -> str:
    measured = {
        "ms for one row": record.milliseconds,
        "MB of files": record.megabytes,
        "MB of memory": record.memory_megabytes,
    }
    known = (f"{value} {unit}" for unit, value in measured.items() if value is not None)
    return f"{record.name}: {', '.join(known)}"


def stay_line(stay: Stay) -> str:
    until = f"until {stay.until}" if stay.until else "until now"
    return f"{stay.environment}: from {stay.since} {until} ({stay.record}, a {stay.kind} by {stay.author})"
