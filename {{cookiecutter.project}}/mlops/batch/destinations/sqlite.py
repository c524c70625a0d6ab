"""Stores predictions in a SQLite file, the destination that needs no server."""

import time
from datetime import datetime
from typing import ClassVar

import adbc_driver_manager as adbc
import adbc_driver_sqlite

from mlops.batch.destinations.relational import Relational
from mlops.batch.errors import UnfitRow
from mlops.errors import Away, MlopsError, Refused
from mlops.tables.urls import Url, database_file

PATIENCE = 3_600_000
"""The milliseconds for which a batch waits for the transaction of another one."""

SECONDS_TO_BEGIN = 10
"""The seconds for which a process waits for another one that creates the same file."""

PRAGMAS = (
    f"busy_timeout = {PATIENCE}",
    "synchronous = NORMAL",  # as safe as FULL against a crash of the process
    "cache_size = -16384",
    "journal_size_limit = 67108864",
)


class Sqlite(Relational):
    types: ClassVar = {"identity": "INTEGER PRIMARY KEY", "moment": "TEXT", "json": "TEXT"}
    own_place = "name a file of its own in the URL"

    def connect(self) -> adbc.AdbcConnection:
        return adbc.AdbcConnection(adbc_driver_sqlite.connect(str(database_file(self.url))))

    def set_up(self) -> None:
        for pragma in PRAGMAS:
            self.query(f"PRAGMA {pragma}")

    def _migrate(self) -> None:
        self._use_write_ahead_log()
        super()._migrate()

    def _use_write_ahead_log(self) -> None:
        """Turns on the write-ahead log, with which readers do not wait for writers. SQLite's busy timeout
        does not apply to this statement: two processes that create a file at the same time find it locked."""
        end = time.monotonic() + SECONDS_TO_BEGIN
        while True:
            try:
                self.query("PRAGMA journal_mode = WAL")
            except Away as error:
                if "locked" not in str(error) or time.monotonic() > end:
                    raise
                time.sleep(0.01)
            else:
                return

    def has_table(self, table: str) -> bool:
        sql = "SELECT 1 FROM sqlite_master WHERE name = ?"
        return bool(self.query(sql, table).num_rows)

    def begin(self) -> None:
        self.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self.execute("COMMIT")

    def rollback(self) -> None:
        self.execute("ROLLBACK")

    def lock_schema(self) -> None:
        """Does nothing, because only one transaction writes at a time."""

    def lock_for_writing(self) -> None:
        """Does nothing, because `begin` has waited."""

    def known_fault(self, error: adbc.Error, reason: str) -> MlopsError | None:
        # The driver says "failed to allocate memory" whatever keeps it from opening a file.
        if "failed to open" in reason or "unable to open" in reason:
            reason = "the file can't be opened"
        elif "readonly database" in reason:
            reason = "the file can't be written"
        elif "file is not a database" in reason:
            return Refused(f"{self.url}: {reason}, and it is left as it was: {self.own_place}")
        elif "locked" in reason:
            return self.unavailable(reason)
        elif "malformed" in reason:
            return Refused(
                f"{self.url} is damaged: {reason}, and it is left as it was: put a copy from before in its "
                "place, or name another file in the URL"
            )
        elif "too big" in reason:
            return UnfitRow(f"SQLite can't hold a row of this file: {reason}; nothing was stored")
        else:
            return None
        return Refused(
            f"{self.url}: {reason}; nothing was stored: let this user write to "
            f"{database_file(self.url).resolve()} and to its folder"
        )

    def to_parameter(self, value: object) -> object:
        return value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value


def open_destination(url: Url, *, create: bool = True) -> Sqlite:
    return Sqlite(url, create=create)
