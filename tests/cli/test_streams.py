"""Tests what a command does whose output nobody reads, or where its letters or its size have no room."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from machinery import MLOPS
from tiny_pipeline import ENVIRONMENT, commit

COMMANDS = (("status",), ("tracker", "--format", "json"), ("history", "prod"))
NOBODY_READS = 141


def ran(
    project: Path, *words: str, redirection: str = "", **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Runs `mlops` with a redirection of the shell, without a terminal."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-c", MLOPS, *words],
        cwd=project,
        env={**ENVIRONMENT, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_whose_output_nobody_reads_ends_quietly(
    promoted_to_prod: Path, words: tuple[str, ...]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-c", MLOPS, *words],
            cwd=promoted_to_prod,
            env=ENVIRONMENT,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (NOBODY_READS, "")


def test_a_run_of_stages_whose_output_nobody_reads_ends_quietly(on_dev: Path) -> None:
    run = '"$@" 2> errors | true; code=${PIPESTATUS[0]}; cat errors; exit $code'
    done = subprocess.run(
        ["bash", "-c", run, "bash", sys.executable, "-c", MLOPS, "repro", "--force"],
        cwd=on_dev,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (NOBODY_READS, "")


@pytest.mark.parametrize("words", COMMANDS)
def test_a_full_disk_behind_the_output_is_a_sentence(
    promoted_to_prod: Path, words: tuple[str, ...]
) -> None:
    done = ran(promoted_to_prod, *words, redirection="> /dev/full")
    assert done.returncode == 1
    assert done.stderr == (
        "mlops: standard output takes no more (No space left on device), and what was printed is not "
        "complete: print it elsewhere\n"
    )


@pytest.mark.parametrize("redirection", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_with_closed_streams_does_its_work(
    promoted_to_prod: Path, redirection: str
) -> None:
    done = ran(promoted_to_prod, "status", redirection=redirection)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("prod" in done.stdout) == (">&-" not in redirection.replace("2>&-", ""))


@pytest.mark.parametrize("redirection", ["2> /dev/full", "2>&-"])
def test_the_exit_code_of_an_error_that_cannot_be_told_is_its_own(
    promoted_to_prod: Path, redirection: str
) -> None:
    assert ran(promoted_to_prod, "data", "remove", "x", redirection=redirection).returncode == 2


def test_a_letter_that_the_encoding_lacks_is_shown_as_an_escape(on_dev: Path) -> None:
    (on_dev / "note").write_text("")
    commit(on_dev, "Żółw")
    (on_dev / "params.yaml").write_text("quality: 0.8\n")
    for encoding, shown in {
        "ascii": r"\u017b\xf3\u0142w",
        "latin-1": "\\u017bó\\u0142w",
        "utf-8": "Żółw",
    }.items():
        done = subprocess.run(
            [sys.executable, "-c", MLOPS, "show", "dev"],
            cwd=on_dev,
            env={**ENVIRONMENT, "PYTHONIOENCODING": encoding},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0
        assert shown in done.stdout.decode(encoding)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("show",), 1),
        (("compare", "prod"), 1),
        (("predict", "--environment"), 1),
        (("image", "--version"), 1),
        (("serve", "--version"), 1),
        (("watch", "--to", "sqlite:///n.db"), 1),
        (("site",), 1),
        (("adopt",), 1),
    ],
)
def test_a_name_that_is_too_long_is_refused_in_a_sentence(
    in_prod: Path, words: tuple[str, ...], code: int
) -> None:
    done = ran(in_prod, *words, "n" * 300)
    assert (done.returncode, done.stderr[:7]) == (code, "mlops: ")
    assert "Traceback" not in done.stderr
