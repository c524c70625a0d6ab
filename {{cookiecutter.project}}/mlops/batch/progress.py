"""Shows the progress of a batch on a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int, int], None]
"""A function that is called with the numbers of bytes read and rows scored since its last call."""


@contextmanager
def progress_bar(size: int) -> Iterator[Advance]:
    """Shows a progress bar on standard error if it is a terminal. `size` is the number of bytes to read."""
    if not sys.stderr.isatty():
        yield lambda size, rows: None
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

        def advance(size: int, rows: int) -> None:
            state = progress.tasks[task]
            done = state.fields["rows"] + rows
            pace = f"{done / max(state.elapsed or 0, 0.001):,.0f} rows/s"
            progress.update(task, advance=size, rows=done, pace=pace)

        yield advance
