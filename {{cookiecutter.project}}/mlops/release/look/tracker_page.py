"""Writes the tracker's table as one self-contained page, sortable and with a chart for each metric."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from mlops.errors import MlopsError
from mlops.release.history.models import EXPERIMENT
from mlops.release.look.tracker import Row, metrics_of, shown_cell

WIDTH, HEIGHT, MARGIN, LEFT = 300, 110, 12, 48

PAGE = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))


def write_tracker_page(
    file: Path, rows: Sequence[Row], columns: Mapping[str, str], charted: Sequence[Row]
) -> None:
    try:
        file.write_text(render_page(rows, columns, charted), encoding="utf-8", newline="\n")
    except OSError as error:
        raise MlopsError(f"the page can't be written: {error}") from error


def render_page(rows: Sequence[Row], columns: Mapping[str, str], charted: Sequence[Row]) -> str:
    """Returns the page; `rows` are in the order of the table, `charted` in that of the charts."""
    charts = (metric_chart(charted, metric) for metric in metrics_of(charted))
    return PAGE.substitute(
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
    kind = "released" if is_released(row) else "experiment"
    name = escape(f"{row['model']}: {shown_cell(row, metric)}")
    return f'<circle class="{kind}" cx="{x}" cy="{y}" r="3"><title>{name}</title></circle>'


def is_released(row: Row) -> bool:
    return not str(row["model"]).startswith(EXPERIMENT)
