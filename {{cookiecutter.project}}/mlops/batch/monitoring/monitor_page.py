"""Renders the report of the monitor as one HTML page, with a table and a chart of the bins of each column."""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from string import Template

from mlops.batch.monitoring.drift import Drift, shares_of
from mlops.batch.monitoring.judgement import Judgement
from mlops.batch.monitoring.live_metrics import METRICS, Live, shown_metrics
from mlops.batch.monitoring.monitor_report import Report
from mlops.errors import MlopsError

WIDTH, LINE, LABEL = 320, 16, 110

PAGE = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))


def write_monitor_page(file: Path, report: Report, judged: Judgement, max_psi: float) -> None:
    """Writes the page to a file. Raises MlopsError if the file cannot be written."""
    try:
        file.write_text(render_page(report, judged, max_psi), encoding="utf-8", newline="\n")
    except OSError as error:
        raise MlopsError(
            f"the page can't be written: {error}; name another file (--html)"
        ) from error


def render_page(report: Report, judged: Judgement, max_psi: float) -> str:
    title = f"{report.release.environment}, {report.release.name}"
    words = (
        f"{report.batches} batches since {report.since:%Y-%m-%d %H:%M} UTC, {report.rows:,} rows, "
        f"{report.rejected:,} rejected; {report.others} batches were scored by other versions."
    )
    reasons = "\n".join(
        f"<li>{escape(reason)}</li>" for reason in (*judged.exceeded, *judged.undecided)
    )
    charts = "\n".join(drift_chart(each, max_psi) for each in report.drifts)
    return PAGE.substitute(
        title=escape(title),
        verdict=judged.title,
        reasons=reasons,
        words=escape(words),
        live="\n".join(live_section(report.live)),
        charts=charts or "<p>This version has scored nothing yet.</p>",
    )


def live_section(live: list[Live]) -> Iterator[str]:
    if not live:
        yield "<p>No labels are known for these rows.</p>"
        return
    names = shown_metrics(live)
    yield f"<table><tr><th>Version<th>Labelled{''.join(f'<th>{METRICS[name].words}' for name in names)}</tr>"
    for each in live:
        values = (METRICS[name].text(each.metrics.get(name)) for name in names)
        cells = (each.version, f"{each.labelled:,}", *values)
        yield f"<tr>{''.join(f'<td>{escape(cell)}' for cell in cells)}</tr>"
    yield "</table>"


def drift_chart(drift: Drift, max_psi: float) -> str:
    spread = drift.spread
    before, after = shares_of(spread.training), shares_of(spread.scored)
    largest = max(before.max(), after.max(), 1e-9)
    scale = (WIDTH - LABEL) / largest
    bars = "".join(
        f'<text x="0" y="{line * LINE + 10}">{escape(name[:22])}</text>'
        f'<rect class="training" x="{LABEL}" y="{line * LINE + 2}" width="{old * scale:.1f}" height="12"/>'
        f'<rect class="scored" x="{LABEL}" y="{line * LINE + 5}" width="{new * scale:.1f}" height="6">'
        f"<title>{old:.2%} in the training, {new:.2%} in the batches</title></rect>"
        for line, (name, old, new) in enumerate(zip(spread.bins, before, after, strict=True))
    )
    verdict = drift.verdict(max_psi)
    shown = {
        "drift": ' <span class="drift">drift</span>',
        "too few rows": " (too few rows to tell)",
        "no drift": "",
    }[verdict]
    return (
        f"<figure><figcaption>{escape(spread.name)}: PSI {drift.psi:.3f}, p {drift.p:.2g}{shown}"
        f'</figcaption><svg viewBox="0 0 {WIDTH} {len(spread.bins) * LINE}" role="img" '
        f'aria-label="{escape(spread.name, quote=True)}">{bars}</svg></figure>'
    )
