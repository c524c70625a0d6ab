"""Predictions in PostgreSQL. Its own library finds the password: in PGPASSWORD or ~/.pgpass."""

from itertools import count
from typing import ClassVar

import adbc_driver_manager as adbc
import adbc_driver_postgresql

from mlops.batch.destinations.relational import Relational
from mlops.tables.urls import Url

SCHEMA_LOCK = 5_021_977


class Postgresql(Relational):
    types: ClassVar = {
        "identity": "INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "moment": "TIMESTAMPTZ",
    }

    def connect(self) -> adbc.AdbcConnection:
        return adbc.AdbcConnection(adbc_driver_postgresql.connect(self.url.text))

    def has(self, table: str) -> bool:
        found = self.query("SELECT to_regclass(?)::text AS name", table)["name"]
        return bool(found.null_count == 0)

    def begin(self) -> None:
        # Not by a statement: a COPY would then be a transaction of its own.
        self._connection.set_autocommit(False)

    def commit(self) -> None:
        self._connection.commit()
        self._connection.set_autocommit(True)

    def rollback(self) -> None:
        self._connection.rollback()
        self._connection.set_autocommit(True)

    def hold_schema(self) -> None:
        self.query(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})::text")

    def placed(self, sql: str) -> str:
        numbers = count(1)
        return "".join(f"${next(numbers)}" if letter == "?" else letter for letter in sql)


def open_destination(url: Url) -> Postgresql:
    return Postgresql(url)
