"""The tracker's table as one self-contained page: sortable, with a chart for each metric."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from mlops.errors import MlopsError
from mlops.release.history.models import CANDIDATE
from mlops.release.look.tracker import Row, metrics_of, shown_cell

WIDTH, HEIGHT, MARGIN, LEFT = 300, 110, 12, 48

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>Models</title>
<style>
:root {{ color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif }}
body {{ margin: 2rem auto; max-width: 90rem; padding: 0 1rem }}
table {{ border-collapse: collapse }}
th, td {{ padding: .3rem .7rem; text-align: left; border-bottom: 1px solid #8884 }}
th button {{ all: unset; cursor: pointer; font-weight: 600 }}
th button:focus-visible {{ outline: 2px solid }}
th[aria-sort=ascending] button::after {{ content: " \\2191" }}
th[aria-sort=descending] button::after {{ content: " \\2193" }}
td {{ font-variant-numeric: tabular-nums; white-space: nowrap }}
main {{ overflow-x: auto }}
section {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); gap: 1rem }}
figure {{ margin: 1rem 0 }}
svg {{ width: 100%; overflow: visible }}
polyline {{ fill: none; stroke: #36c; stroke-width: 1.5 }}
line {{ stroke: #8884 }}
circle {{ fill: #36c }}
circle.candidate {{ fill: transparent; stroke: #999 }}
text {{ font-size: 9px; fill: #888 }}
</style>
<h1>Models</h1>
<main><table>
<thead><tr>{headings}</tr></thead>
<tbody>
{rows}
</tbody>
</table></main>
<h2>Metrics of the test rows</h2>
<p>In the order in which the models were committed: versions are full and joined, candidates hollow.</p>
<section>
{charts}
</section>
<script>
const body = document.querySelector("tbody"), heads = [...document.querySelectorAll("th")];
const compare = new Intl.Collator("en", {{ numeric: true }}).compare;
for (const [column, head] of heads.entries()) head.onclick = () => {{
  const down = head.ariaSort === "ascending";
  for (const each of heads) each.ariaSort = "none";
  head.ariaSort = down ? "descending" : "ascending";
  const cell = row => row.cells[column].textContent;
  const sorted = [...body.rows].sort((a, b) => compare(cell(a), cell(b)) * (down ? -1 : 1));
  body.append(...sorted);
}};
</script>
</html>
"""


def write_tracker_page(
    file: Path, rows: Sequence[Row], columns: Mapping[str, str], drawn: Sequence[Row]
) -> None:
    try:
        file.write_text(render_page(rows, columns, drawn), encoding="utf-8")
    except OSError as error:
        raise MlopsError(f"the page can't be written: {error}") from error


def render_page(rows: Sequence[Row], columns: Mapping[str, str], drawn: Sequence[Row]) -> str:
    """Returns the page; `rows` are in the order of the table, `drawn` in that of the charts."""
    charts = (metric_chart(drawn, metric) for metric in metrics_of(drawn))
    return PAGE.format(
        headings="".join(f"<th><button>{escape(name)}</button></th>" for name in columns.values()),
        rows="\n".join(table_row(row, columns) for row in rows),
        charts="\n".join(charts),
    )


def table_row(row: Row, columns: Mapping[str, str]) -> str:
    cells = "".join(f"<td>{escape(shown_cell(row, name))}</td>" for name in columns)
    return f"<tr>{cells}</tr>"


def metric_chart(rows: Sequence[Row], metric: str) -> str:
    measured = [row for row in rows if isinstance(row.get(metric), int | float)]
    values = [float(row[metric] or 0) for row in measured]
    points = list(chart_positions(values))
    line = " ".join(
        f"{x},{y}" for (x, y), row in zip(points, measured, strict=True) if is_released(row)
    )
    dots = "".join(dot(row, metric, *at) for at, row in zip(points, measured, strict=True))
    scale = "".join(
        f'<line x1="0" x2="{WIDTH}" y1="{y}" y2="{y}"/><text x="0" y="{y - 3}">{value:.4g}</text>'
        for value, y in ((max(values), MARGIN), (min(values), HEIGHT))
    )
    return (
        f"<figure><figcaption>{escape(metric)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(metric)}">'
        f'{scale}<polyline points="{line}"/>{dots}</svg></figure>'
    )


def chart_positions(values: Sequence[float]) -> Iterator[tuple[float, float]]:
    """Yields x and y of each value, evenly from left to right, with the largest value at the top."""
    low, high = min(values), max(values)
    step = (WIDTH - LEFT - MARGIN) / max(len(values) - 1, 1)
    room = HEIGHT - MARGIN
    for number, value in enumerate(values):
        height = room * (value - low) / (high - low) if high > low else room / 2
        yield round(LEFT + step * number, 1), round(HEIGHT - height, 1)


def dot(row: Row, metric: str, x: float, y: float) -> str:
    kind = "released" if is_released(row) else "candidate"
    name = escape(f"{row['model']}: {shown_cell(row, metric)}")
    return f'<circle class="{kind}" cx="{x}" cy="{y}" r="3"><title>{name}</title></circle>'


def is_released(row: Row) -> bool:
    return not str(row["model"]).startswith(CANDIDATE)
