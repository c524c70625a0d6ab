"""How far a batch is, on a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int, int], None]
"""Told how many bytes were read and how many rows were scored since the last time."""


@contextmanager
def progress_bar(size: int) -> Iterator[Advance]:
    """On standard error, and only where somebody can look at it."""
    if not sys.stderr.isatty():
        yield lambda read, rows: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[rows]:,} rows  {task.fields[pace]}"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=size, rows=0, pace="")

        def advance(read: int, rows: int) -> None:
            known = progress.tasks[task]
            done = known.fields["rows"] + rows
            pace = f"{done / max(known.elapsed or 0, 0.001):,.0f} rows/s"
            progress.update(task, advance=read, rows=done, pace=pace)

        yield advance
