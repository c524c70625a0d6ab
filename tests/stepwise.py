"""`python -m batch.score` that stops before each of its steps: `steps.py` lets it go on.

The steps are what a database sees of a batch: each statement, each piece of rows, each commit, the end.
"""

import batch.without_pandas  # noqa: F401  # isort: skip
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import adbc_driver_manager as adbc
import pyarrow as pa

from batch import csv_source, score, tally
from batch.scorer import Scored

times: Counter[str] = Counter()


def step(what: str) -> None:
    """Named by what is done and for which time: "rows 7", "commit 2"."""
    name = " ".join(what.split())[:60].lower()
    times[name] += 1
    print(f"step: {name} {times[name]}", flush=True)
    sys.stdin.readline()


class Statement(adbc.AdbcStatement):
    text = ""

    def set_sql_query(self, query: str) -> None:
        self.text = query
        super().set_sql_query(query)

    def set_options(self, **options: Any) -> None:
        self.text = f"fill {options[adbc.INGEST_OPTION_TARGET_TABLE]}"
        super().set_options(**options)

    def execute_query(self) -> Any:
        step(self.text)
        return super().execute_query()

    def execute_update(self) -> Any:
        step(self.text)
        return super().execute_update()


class Connection(adbc.AdbcConnection):
    def commit(self) -> None:
        step("commit")
        super().commit()


class Tally(tally.Tally):
    def counted(self, parts: Iterable[Scored]) -> Iterator[pa.RecordBatch]:
        for rows in super().counted(parts):
            step("rows")
            yield rows


if __name__ == "__main__":
    vars(adbc).update(AdbcStatement=Statement, AdbcConnection=Connection)
    tally.Tally = Tally  # type: ignore[misc]
    csv_source.PIECE = 100_000
    score.main()
    step("end")
