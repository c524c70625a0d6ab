"""Tests what `mlops status` prints about a service, in place of which a few lines answer."""

import json
import os
import re
import shlex
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlops.release.follow import running
from mlops.release.history import branches
from mlops.release.history.git import Git
from mlops.release.look import card, comparison, status, tracker

MODEL = {"version": "v1.0.0", "commit": "a" * 40, "refused": None}
REASON = "model.onnx has another hash\nthe second line of it"


@contextmanager
def answering(body: bytes) -> Iterator[int]:
    """Yields a port on which every request gets the same answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def told(project: Path, port: int) -> str | None:
    with running.announced_service(Git(project), "staging", "127.0.0.1", port):
        return status.status_of(Git(project), "staging").serving


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, "v1.0.0"),
        ({"version": None}, "aaaaaaa"),
        (
            {"refused": {"version": "v1.1.0", "commit": "b" * 40, "reason": REASON}},
            "v1.0.0, refused v1.1.0: model.onnx has another hash",
        ),
        (
            {"refused": {"version": None, "commit": None, "reason": "staging has diverged"}},
            "v1.0.0, refused its branch: staging has diverged",
        ),
    ],
)
def test_what_serves_is_told_and_what_it_refused(
    in_staging: Path, said: dict[str, Any], expected: str
) -> None:
    with answering(json.dumps(MODEL | said).encode()) as port:
        assert told(in_staging, port) == expected


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}"])
def test_something_else_on_its_port_is_no_service(in_staging: Path, body: bytes) -> None:
    with answering(body) as port:
        assert told(in_staging, port) is None


def test_one_that_is_gone_or_does_not_answer_holds_nobody_up(in_staging: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        began = time.monotonic()
        assert told(in_staging, port) is None
        assert time.monotonic() - began < 5
    assert told(in_staging, port) is None


def test_only_its_own_environment_is_said_to_be_served(in_staging: Path) -> None:
    with (
        answering(json.dumps(MODEL).encode()) as port,
        running.announced_service(Git(in_staging), "staging", "0.0.0.0", port) as url,  # noqa: S104
    ):
        assert url == f"http://127.0.0.1:{port}"
        serving = {each.environment: each.serving for each in status.all_statuses(Git(in_staging))}
    assert serving == {"dev": None, "staging": "v1.0.0", "prod": None}
    assert status.status_of(Git(in_staging), "staging").serving is None


def test_what_can_not_be_read_of_one_environment_costs_its_own_fields(in_staging: Path) -> None:
    git = Git(in_staging)
    (in_staging / "reports/metrics.json").write_text("[")
    (in_staging / "reports/gate.json").write_text('{"passed": "yes"}')
    (in_staging / "dvc.lock").write_text("stages: {train: 5}")
    git.run("commit", "--quiet", "--all", "--message", "Break")
    dev, staging, prod = status.all_statuses(git)
    assert (dev.commit, dev.model, dev.metrics) == (git.run("rev-parse", "dev")[:7], None, {})
    assert [note.split(":")[1].split(" at ")[0].split()[0] for note in dev.notes] == [
        "reports/metrics.json",
        "dvc.lock",
        "reports/gate.json",
    ]
    assert (staging.version, staging.metrics["accuracy"], staging.notes) == ("v1.0.0", 0.9, ())
    assert prod.notes == ()
    broken = git.run("cat-file", "tag", "staging/0001").replace('"version"', '"edition"')
    git.run("update-ref", "refs/tags/staging/0001", git.run("mktag", given=broken))
    assert status.status_of(git, "staging").metrics["accuracy"] == 0.9
    assert status.status_of(git, "prod").notes == ()


@pytest.mark.parametrize("lock", ["kept", "gone"])
def test_metrics_that_no_run_has_made_are_not_shown(in_staging: Path, lock: str) -> None:
    git = Git(in_staging)
    (in_staging / "reports/metrics.json").write_text('{"test": {"accuracy": 0.999}}')
    (in_staging / "reports/gate.json").write_text('{"passed": true, "by": "hand"}')
    if lock == "gone":
        git.run("rm", "--quiet", "dvc.lock")
    git.run("commit", "--quiet", "--all", "--message", "Forge")
    dev, staging, _ = status.all_statuses(git)
    assert (dev.metrics, dev.gate_passed) == ({}, None)
    for name, note in zip(("metrics", "gate"), dev.notes, strict=True):
        assert note.startswith(f"dev: reports/{name}.json is not from a recorded run")
    assert staging.metrics["accuracy"] == 0.9
    found = card.card_of(git, "dev")
    assert (found.metrics, found.gate) == ({}, {})
    assert "is not from a recorded run" in found.faults["metrics"]
    rows = [row for row in tracker.model_rows(git) if "dev" in str(row["running"])]
    assert all(row["accuracy"] == 0.9 for row in rows)  # of the commit that has first had the model
    (metrics,) = (
        part.lines
        for part in comparison.compare_states(git, "staging", "dev")
        if part.title == "metrics"
    )
    assert "is not from a recorded run" in metrics[0]


def test_a_tip_that_no_record_stands_behind_is_named(in_staging: Path) -> None:
    git = Git(in_staging)
    released = git.run("rev-parse", "staging")
    by_hand = git.run("commit-tree", "-p", released, "-m", "Quick fix", "dev^{tree}")
    git.run("update-ref", "refs/heads/staging", by_hand)
    (note,) = status.status_of(git, "staging").notes
    assert note.startswith(
        f"no record stands behind the last commit of staging, {by_hand[:7]} (Quick fix, by A. Tester): "
    )
    git.run("update-ref", "refs/heads/staging", released)
    assert status.status_of(git, "staging").notes == ()
    git.run("tag", "--delete", "staging/0001")
    (note,) = status.status_of(git, "staging").notes
    assert "it was released as staging/0001, and that tag is missing here" in note


def test_the_age_of_what_is_known_of_origin_is_said(in_staging: Path) -> None:
    git = Git(in_staging)
    assert [*status.remarks(git)] == []
    origin = in_staging.with_name("origin")
    git.run("clone", "--quiet", "--bare", ".", str(origin))
    git.run("remote", "add", "origin", str(origin))
    assert [*status.remarks(git)] == [
        "it is not known when origin was asked last: `git fetch` asks it"
    ]
    git.run("fetch", "--quiet")
    asked = in_staging / ".git/FETCH_HEAD"
    os.utime(asked, (time.time() - 3 * 3600 - 9,) * 2)
    (remark,) = status.remarks(git)
    assert remark.startswith("origin as it was 3 hours ago (2")
    origin.rename(origin.with_name("elsewhere"))
    assert not git.succeeds("fetch")
    (remark,) = status.remarks(git)
    assert "origin did not answer" in remark
    origin.with_name("elsewhere").rename(origin)
    branches.fetch_origin(git)
    (remark,) = status.remarks(git)
    assert re.match(r"origin as it was (less than a|\d+) seconds? ago", remark)
    git.run("branch", "--force", "staging", "dev")
    git.run("update-ref", "refs/remotes/origin/staging", git.run("rev-parse", "staging/0001"))
    assert status.status_of(git, "staging").version == "v1.0.0"


@pytest.mark.parametrize("option", ["--single-branch", "--depth=1"])
def test_a_clone_that_lacks_branches_or_history_says_so(in_staging: Path, option: str) -> None:
    clone = in_staging.with_name("clone")
    url = in_staging.as_uri()
    Git(in_staging).run("clone", "--quiet", "--branch", "staging", option, url, str(clone))
    git = Git(clone)
    _, staging, prod = status.all_statuses(git)
    assert staging.commit == Git(in_staging).run("rev-parse", "staging")[:7]
    (note,) = prod.notes
    command = "git remote set-branches --add origin prod && git fetch"
    assert note == (
        f"there is no branch prod in this clone, which fetches single branches: `{command}`"
    )
    shallow = [line for line in status.remarks(git) if "this clone is shallow" in line]
    assert len(shallow) == (option == "--depth=1")
    for step in command.split(" && "):
        git.run(*shlex.split(step)[1:])
    assert status.status_of(git, "prod").commit


def test_an_address_of_version_6_is_written_in_brackets() -> None:
    assert running.service_url("::", 80) == "http://[::1]:80"
