"""The geometry of charts: where a template draws what. Positions are in the units of an SVG's viewBox."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WIDTH, HEIGHT = 360, 170
LEFT, RIGHT, TOP, BOTTOM = 46, 84, 10, 22
"""The margins of a chart of models: for its scale, the names of its bounds, and the names of its models."""

NAME = 44
"""How far apart the names below a chart are at least."""

LINE = 12
"""How far apart two lines of text are at least."""

TICKS = 5
NARROW = 0.1
"""The smallest length of a scale, as a share of its largest value: or chance would look like progress."""


@dataclass(frozen=True)
class Axis:
    """A scale from `low` to `high`, with the values at which it has ticks and their texts."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]

    @classmethod
    def over(
        cls, values: Iterable[float], limits: tuple[float, float] = (-math.inf, math.inf)
    ) -> "Axis":
        """Returns a scale that holds the values and begins and ends at a tick. It goes beyond the limits
        only as far as to the next tick."""
        found = [*values]
        low, high = min(found), max(found)
        lack = NARROW * (max(abs(low), abs(high)) or 1) - (high - low)
        if lack > 0:
            low = min(low, max(low - lack / 2, limits[0]))
            high = max(high, min(high + lack / 2, limits[1]))
        rough = (high - low) / TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = power * next(each for each in (1, 2, 5, 10) if each * power >= rough * 0.999)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        ticks = [(each * step, f"{each * step:,.{digits}f}") for each in range(first, last + 1)]
        return cls(first * step, last * step, ticks)

    def at(self, value: float, start: float, end: float) -> float:
        """Returns the position of a value between those of `low` and `high`."""
        return round(start + (end - start) * (value - self.low) / (self.high - self.low), 1)


@dataclass(frozen=True)
class Point:
    """A model in a chart. `low`, `high` and `baseline` are None where they are not known."""

    name: str
    link: str
    text: str
    released: bool
    value: float
    low: float | None = None
    high: float | None = None
    baseline: float | None = None


@dataclass(frozen=True)
class Dot:
    point: Point
    x: float
    y: float
    low: float | None
    high: float | None
    named: bool


@dataclass(frozen=True)
class Level:
    """A horizontal line with a name; `text_y` keeps its name apart from the others."""

    name: str
    y: float
    text_y: float


@dataclass(frozen=True)
class ModelChart:
    """A chart of one metric, a dot for each model from left to right. `line` joins the versions, and
    `baseline` the values of the baselines, as far as the scale goes."""

    metric: str
    direction: str
    ticks: Sequence[tuple[float, str]]
    dots: Sequence[Dot]
    line: str
    baseline: str
    levels: Sequence[Level]


def model_chart(
    metric: str,
    direction: str,
    points: Sequence[Point],
    bounds: Mapping[str, float],
    limits: tuple[float, float],
) -> ModelChart:
    """Returns the chart of a metric; `bounds` are its bounds by their names. There is at least one point."""
    ends = (end for each in points for end in (each.value, each.low, each.high))
    axis = Axis.over([*(end for end in ends if end is not None), *bounds.values()], limits)

    def height(value: float) -> float:
        return axis.at(value, HEIGHT - BOTTOM, TOP)

    step = (WIDTH - LEFT - RIGHT - 12) / max(len(points) - 1, 1)
    dots, free = [], 0.0
    for number, point in enumerate(points):
        x = round(LEFT + 6 + step * number, 1)
        named = point.released and x >= free
        free = x + NAME if named else free
        low, high = (None if end is None else height(end) for end in (point.low, point.high))
        dots.append(Dot(point, x, height(point.value), low, high, named))
    return ModelChart(
        metric=metric,
        direction=direction,
        ticks=[(height(value), text) for value, text in axis.ticks],
        dots=dots,
        line=joined((dot.x, dot.y) for dot in dots if dot.point.released),
        baseline=joined(
            (dot.x, height(base))
            for dot in dots
            if (base := dot.point.baseline) is not None and axis.low <= base <= axis.high
        ),
        levels=[*levels_of({name: height(value) for name, value in bounds.items()})],
    )


def levels_of(heights: Mapping[str, float]) -> Iterator[Level]:
    """Yields the levels from the top, with their names at least LINE apart."""
    free = 0.0
    for name, y in sorted(heights.items(), key=lambda each: each[1]):
        free = max(y + 4, free + LINE)
        yield Level(name, y, free)


def joined(positions: Iterable[tuple[float, float]]) -> str:
    """Returns positions as the attribute `points` of a polyline."""
    return " ".join(f"{x:g},{y:g}" for x, y in positions)


SIDE, EDGE = 240, 36
"""The width and height of a plot of two numbers, and its margin."""

CURVE, DOTS = 80, 300
"""The largest number of points of a line and of a cloud."""

OF_ONE_KIND = ("true_positive_rate", "observed")
"""Shares that are plotted over a share of their own kind, so that equal ones have a meaning."""


@dataclass(frozen=True)
class Curve:
    """A plot of two numbers: a `line`, or `dots` if the points are in no order. `diagonal` says whether equal
    numbers have a meaning in it."""

    title: str
    x: str
    y: str
    across: Sequence[tuple[float, str]]
    up: Sequence[tuple[float, str]]
    line: str
    dots: str
    diagonal: bool


def curve(title: str, names: Sequence[str], points: Sequence[tuple[float, float]]) -> Curve:
    """Returns the plot of at least one point; shares have the whole scale from 0 to 1."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    shares, same = all(0 <= each <= 1 for each in (*xs, *ys)), "actual" in names
    across, up = (Axis.over([0, 1] if shares else (*xs, *ys) if same else own) for own in (xs, ys))
    ordered = xs in (sorted(xs), sorted(xs, reverse=True))
    number = CURVE if ordered else DOTS
    chosen = sorted({round(each * (len(points) - 1) / number) for each in range(number + 1)})
    start, end = SIDE - EDGE, 8
    places = [
        (across.at(xs[each], EDGE, SIDE - end), up.at(ys[each], start, end)) for each in chosen
    ]
    return Curve(
        title,
        names[0].replace("_", " "),
        names[1].replace("_", " "),
        [(across.at(value, EDGE, SIDE - end), text) for value, text in across.ticks],
        [(up.at(value, start, end), text) for value, text in up.ticks],
        joined(places) if ordered else "",
        "" if ordered else "".join(f"M{x:g},{y:g}h0" for x, y in places),
        same or (shares and names[1] in OF_ONE_KIND),
    )


@dataclass(frozen=True)
class Bar:
    """A bar from `start` to `end`, each a share of the width from 0 to 100."""

    name: str
    text: str
    start: float
    end: float


def bars(values: Sequence[tuple[str, float]]) -> list[Bar]:
    """Returns a bar for each value on one scale that holds 0."""
    low, high = (extreme([0.0, *(value for _, value in values)]) for extreme in (min, max))
    width = (high - low) or 1

    def place(value: float) -> float:
        return round(100 * (value - low) / width, 1)

    return [Bar(name, f"{value:.4g}", *sorted((place(0), place(value)))) for name, value in values]


LONG, LANE, MARGIN = 720, 34, 64
"""The width of the time line, the height of a lane, and the room for the names of the lanes."""


@dataclass(frozen=True)
class Period:
    """A version in an environment, from `x` on for `width`; `text` is empty where its name has no room."""

    x: float
    width: float
    name: str
    text: str
    title: str


@dataclass(frozen=True)
class Mark:
    x: float
    title: str


@dataclass(frozen=True)
class TimeLane:
    name: str
    y: float
    periods: Sequence[Period]
    refusals: Sequence[Mark]


@dataclass(frozen=True)
class TimeLine:
    height: float
    lanes: Sequence[TimeLane]
    ticks: Sequence[Mark]


@dataclass(frozen=True)
class Span:
    """What an environment held from a time until another."""

    version: str
    title: str
    since: datetime
    until: datetime


def time_line(
    spans: Mapping[str, Sequence[Span]], refusals: Mapping[str, Sequence[tuple[datetime, str]]]
) -> TimeLine | None:
    """Returns the time line of environments, or None if nothing has happened."""
    times = [
        *(each for lane in spans.values() for span in lane for each in (span.since, span.until)),
        *(when for lane in refusals.values() for when, _ in lane),
    ]
    if not times:
        return None
    begin, end = min(times), max(times)
    length = max(end - begin, timedelta(seconds=1))

    def place(when: datetime) -> float:
        return round(MARGIN + (LONG - MARGIN - 8) * ((when - begin) / length), 1)

    lanes = []
    for number, (name, lane) in enumerate(spans.items()):
        periods = []
        for span in lane:
            x, width = place(span.since), max(place(span.until) - place(span.since), 2)
            room = width > 7 * len(span.version) + 6
            periods.append(
                Period(x, round(width, 1), span.version, span.version if room else "", span.title)
            )
        marks = [Mark(place(when), title) for when, title in refusals.get(name, ())]
        lanes.append(TimeLane(name, number * LANE + 6, periods, marks))
    form = "%Y-%m-%d" if length > timedelta(days=TICKS) else "%m-%d %H:%M"
    dates = [begin + length * part / (TICKS - 1) for part in range(TICKS)]
    ticks = [Mark(place(each), f"{each:{form}}") for each in dates]
    return TimeLine(len(lanes) * LANE + 26, lanes, ticks)
