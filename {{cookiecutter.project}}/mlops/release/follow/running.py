"""Finds the service on this machine that follows an environment, and asks what it answers with."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlops.release.history.git import Git

FOLDER = Path(".dvc/tmp/serving")
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
PATIENCE = 0.5  # seconds


@contextmanager
def announced_service(git: Git, environment: str | None, host: str, port: int) -> Iterator[str]:
    """Yields the URL of the service, and announces it to other processes if it follows an environment."""
    if environment is None:
        yield service_url(host, port)
        return
    file = git.root / FOLDER / f"{environment}.json"
    address = service_url(host, port)
    content = {"url": address, "pid": os.getpid(), "host": host, "port": port}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8", newline="\n")
    try:
        yield address
    finally:
        if announcement(git, environment) == content:
            file.unlink()


def service_url(host: str, port: int) -> str:
    reached = ANYWHERE.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def announcement(git: Git, environment: str) -> dict[str, Any] | None:
    """Returns the announcement of a service, or None. A service that was killed leaves its own behind."""
    try:
        found: dict[str, Any] = json.loads((git.root / FOLDER / f"{environment}.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found


def running_model(git: Git, environment: str) -> dict[str, Any] | None:
    """Returns what the service answers to GET /model, or None if no service answers."""
    announced = announcement(git, environment)
    return announced and ask_service(announced["url"])


def ask_service(address: str) -> dict[str, Any] | None:
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
    try:
        connection.request("GET", "/model")
        answer = connection.getresponse()
        content = json.loads(answer.read()) if answer.status == 200 else None
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return content if isinstance(content, dict) and "commit" in content else None
