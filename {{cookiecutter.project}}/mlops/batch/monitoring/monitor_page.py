"""What the monitor found as one page that needs nothing else: a table, and for each column its bins."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

from mlops.batch.monitoring.drift import Drift, shares_of
from mlops.batch.monitoring.monitor_report import Live, Report
from mlops.errors import MlopsError

WIDTH, LINE, LABEL = 320, 16, 110

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif }}
body {{ margin: 2rem auto; max-width: 80rem; padding: 0 1rem }}
table {{ border-collapse: collapse }}
th, td {{ padding: .3rem .7rem; text-align: left; border-bottom: 1px solid #8884 }}
td {{ font-variant-numeric: tabular-nums }}
.drift {{ color: #c33; font-weight: 600 }}
section {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem }}
figure {{ margin: 1rem 0 }}
svg {{ width: 100% }}
.training {{ fill: #9996 }}
.scored {{ fill: #36c }}
text {{ font-size: 9px; fill: #888 }}
</style>
<h1>{title}</h1>
<p>{words}</p>
<h2>Live accuracy</h2>
{live}
<h2>Drift</h2>
<p>Share of the rows in each bin: grey in the training, blue in the batches. What has moved furthest
comes first.</p>
<section>
{charts}
</section>
</html>
"""


def write_monitor_page(file: Path, report: Report, max_psi: float) -> None:
    try:
        file.write_text(render_page(report, max_psi), encoding="utf-8")
    except OSError as error:
        raise MlopsError(f"the page can't be written: {error}") from error


def render_page(report: Report, max_psi: float) -> str:
    title = f"{report.release.environment}, {report.release.name}"
    words = (
        f"{report.batches} batches since {report.since:%Y-%m-%d %H:%M} UTC, {report.rows:,} rows, "
        f"{report.rejected:,} rejected; {report.others} batches by other versions."
    )
    charts = "\n".join(drift_chart(each, max_psi) for each in report.all_drifts)
    return PAGE.format(
        title=escape(title),
        words=escape(words),
        live="\n".join(live_section(report.live)),
        charts=charts or "<p>This version has scored nothing yet.</p>",
    )


def live_section(found: list[Live]) -> Iterator[str]:
    if not found:
        yield "<p>No labels are known for these rows.</p>"
        return
    yield "<table><tr><th>Version<th>Labelled<th>Accuracy<th>% False positives</tr>"
    for each in found:
        wrong = each.false_positive_percent
        cells = (each.version, f"{each.labelled:,}", f"{each.accuracy:.4f}")
        percent = "-" if wrong is None else f"{wrong:.2f}"
        yield f"<tr>{''.join(f'<td>{escape(cell)}' for cell in (*cells, percent))}</tr>"
    yield "</table>"


def drift_chart(drift: Drift, max_psi: float) -> str:
    found = drift.spread
    before, after = shares_of(found.training), shares_of(found.scored)
    largest = max(before.max(), after.max(), 1e-9)
    wide = (WIDTH - LABEL) / largest
    bars = "".join(
        f'<text x="0" y="{line * LINE + 10}">{escape(name[:22])}</text>'
        f'<rect class="training" x="{LABEL}" y="{line * LINE + 2}" width="{old * wide:.1f}" height="12"/>'
        f'<rect class="scored" x="{LABEL}" y="{line * LINE + 5}" width="{new * wide:.1f}" height="6">'
        f"<title>{old:.2%} in the training, {new:.2%} in the batches</title></rect>"
        for line, (name, old, new) in enumerate(zip(found.bins, before, after, strict=True))
    )
    verdict = "" if drift.passes(max_psi) else ' <span class="drift">drift</span>'
    return (
        f"<figure><figcaption>{escape(found.name)}: PSI {drift.psi:.3f}, p {drift.p:.2g}{verdict}"
        f'</figcaption><svg viewBox="0 0 {WIDTH} {len(found.bins) * LINE}" role="img" '
        f'aria-label="{escape(found.name, quote=True)}">{bars}</svg></figure>'
    )
