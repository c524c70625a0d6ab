"""Stores predictions in PostgreSQL. Its library takes the password from PGPASSWORD or ~/.pgpass."""

import os
import re
from itertools import count
from typing import ClassVar

import adbc_driver_manager as adbc
import adbc_driver_postgresql

from mlops.batch.destinations.relational import Relational
from mlops.batch.errors import UnfitRow
from mlops.errors import MlopsError, Refused, UsageError
from mlops.tables.urls import Url

SCHEMA_LOCK = 5_021_977
"""The number of the advisory lock of runs that create tables."""

SECONDS_TO_CONNECT = 30

READ_ONLY = "25006"
MISSING_RIGHTS = ("42501", READ_ONLY)

ROW_STATES = ("22", "23", "54")
"""The classes of the states in which PostgreSQL refuses a row: its data, a constraint or a limit."""

TABLE_STATES = ("42", "3F")
"""The classes of the states that tell of other tables or of missing rights."""

CONFIGURATION = (
    (
        r"password authentication failed|no password supplied|empty password",
        "set PGPASSWORD, or a line of ~/.pgpass, to the password of the user",
    ),
    (
        r'role ".*" does not exist|not permitted to log in|pg_hba\.conf|authentication failed',
        "correct the user in the URL (or PGUSER), or let the server's pg_hba.conf admit it",
    ),
    (
        r'database ".*" does not exist|permission denied for database',
        "correct the database in the URL (or PGDATABASE), or create it",
    ),
    (
        r"sslmode|SSL was required|certificate verify failed|root certificate|certificate file",
        "correct sslmode in the URL (or PGSSLMODE), and PGSSLROOTCERT",
    ),
    (r"invalid|missing .* in", "correct the URL"),
)
"""What waiting does not mend when a connection is refused, and the cure. The library gives no states here but
texts, which are in English unless the server's lc_messages says otherwise."""


class Postgresql(Relational):
    types: ClassVar = {
        "identity": "INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "moment": "TIMESTAMPTZ",
        "json": "JSON",
    }
    own_place = (
        "give the predictions a schema of their own, `CREATE SCHEMA predictions`, and add "
        "?options=-csearch_path%3Dpredictions to the URL"
    )

    def connect(self) -> adbc.AdbcConnection:
        os.environ.setdefault("PGCONNECT_TIMEOUT", str(SECONDS_TO_CONNECT))
        return adbc.AdbcConnection(adbc_driver_postgresql.connect(self.url.text))

    def set_up(self) -> None:
        """Does nothing, because the URL has all settings."""

    def has_table(self, table: str) -> bool:
        name = self.query("SELECT to_regclass(?)::text AS name", table)["name"]
        return bool(name.null_count == 0)

    def begin(self) -> None:
        # After a BEGIN statement, a COPY would be a transaction of its own.
        self._connection.set_autocommit(False)

    def commit(self) -> None:
        self._connection.commit()
        self._connection.set_autocommit(True)

    def rollback(self) -> None:
        self._connection.rollback()
        self._connection.set_autocommit(True)

    def lock_schema(self) -> None:
        self.query(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})::text")

    def lock_for_writing(self) -> None:
        self.execute("LOCK TABLE batches, scores, profiles, row_hashes IN ROW EXCLUSIVE MODE")

    def known_fault(self, error: adbc.Error, reason: str) -> MlopsError | None:
        state = error.sqlstate or ""
        if not state:
            return self._connection_fault(str(error), reason)
        if state.startswith(ROW_STATES):
            return UnfitRow(
                f"PostgreSQL can't hold a row of this file: {reason}; nothing was stored: correct the "
                "column of keys (--key)"
            )
        if state in MISSING_RIGHTS:
            return Refused(f"{self.url}: {reason}; nothing was stored: {self._rights(state)}")
        return None if state.startswith(TABLE_STATES) else self.unavailable(reason)

    def _connection_fault(self, message: str, reason: str) -> MlopsError | None:
        if "Failed to connect" in message:
            for pattern, cure in CONFIGURATION:
                if re.search(pattern, message):
                    return UsageError(
                        f"{self.url} can't be used: {reason}; nothing was stored: {cure}"
                    )
        return None

    def _rights(self, state: str) -> str:
        """Returns what to do about a missing right."""
        if state == READ_ONLY:
            return "name the primary server in the URL, and not a standby"
        user = self.url.user or "USER"
        return (
            "let the owner of the database run `CREATE SCHEMA predictions AUTHORIZATION "
            f"{user}`, and add ?options=-csearch_path%3Dpredictions to the URL; or `GRANT USAGE, CREATE ON "
            f"SCHEMA public TO {user}` and `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "
            f"public TO {user}`"
        )

    def with_placeholders(self, sql: str) -> str:
        numbers = count(1)
        return "".join(f"${next(numbers)}" if letter == "?" else letter for letter in sql)


def open_destination(url: Url, *, create: bool = True) -> Postgresql:
    return Postgresql(url, create=create)
