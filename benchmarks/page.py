"""Formats a page of figures."""

import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from textwrap import fill


def machine() -> str:
    """Returns a sentence with the date, the machine and the version of Python."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.system()}, {os.cpu_count()} cores "
        f"({cpu[1] if cpu else platform.machine()}), Python {platform.python_version()}."
    )


def paragraph(text: str) -> str:
    return fill(text, 100, break_on_hyphens=False)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table, whose first column is text and whose others are numbers."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join([*(f"| {' | '.join(cells)} |" for cells in lines), ""])


@dataclass(frozen=True)
class Target:
    """A figure with its bound: at least `least`, or at most `most`."""

    name: str
    reached: float
    unit: str = ""
    least: float | None = None
    most: float | None = None

    @property
    def row(self) -> list[str]:
        bound = f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"
        verdict = "met" if self.met else "**missed**"
        return [self.name, f"{bound}{self.unit}", f"{self.reached:.2f}{self.unit}", verdict]

    @property
    def met(self) -> bool:
        least = self.reached if self.least is None else self.least
        most = self.reached if self.most is None else self.most
        return least <= self.reached <= most


def target_table(targets: Iterable[Target]) -> str:
    return table(["", "bound", "measured", ""], [target.row for target in targets])
