"""Stores predictions in PostgreSQL. Its library takes the password from PGPASSWORD or ~/.pgpass."""

from itertools import count
from typing import ClassVar

import adbc_driver_manager as adbc
import adbc_driver_postgresql

from mlops.batch.destinations.relational import Relational
from mlops.tables.urls import Url

SCHEMA_LOCK = 5_021_977
"""The number of the advisory lock of runs that create tables."""


class Postgresql(Relational):
    types: ClassVar = {
        "identity": "INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "moment": "TIMESTAMPTZ",
    }

    def connect(self) -> adbc.AdbcConnection:
        return adbc.AdbcConnection(adbc_driver_postgresql.connect(self.url.text))

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

    def with_placeholders(self, sql: str) -> str:
        numbers = count(1)
        return "".join(f"${next(numbers)}" if letter == "?" else letter for letter in sql)


def open_destination(url: Url) -> Postgresql:
    return Postgresql(url)
