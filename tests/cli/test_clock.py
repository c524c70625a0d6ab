"""Tests the seconds that a command at a terminal shows while it works, and that nobody else gets them."""

import sys
import time
from pathlib import Path

import pytest

from mlops.cli import clock, printing


def begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes what is captured of standard error for a terminal, where a moment is short."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(clock, "is_password_asked", lambda: False)
    monkeypatch.setattr(clock, "MOMENT", 0.02)
    monkeypatch.setattr(clock, "BETWEEN", 0.01)


def test_the_seconds_give_way_to_lines_and_questions_and_leave_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(monkeypatch)
    with clock.running_clock():
        time.sleep(0.1)
        printing.complain("sending data to the remote")
        time.sleep(0.1)
        with clock.paused_clock():
            capsys.readouterr()
            time.sleep(0.1)
            assert capsys.readouterr().err == ""
        time.sleep(0.1)
        printing.complain("done")
        time.sleep(0.1)
    shown = capsys.readouterr().err
    assert "| 0 s\r" in shown or "/ 0 s\r" in shown
    before, after = shown.split("done\n")
    assert before.endswith(f"\r{clock.ERASE}")
    assert after.endswith(f"\r{clock.ERASE}")


def test_a_quick_command_shows_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(monkeypatch)
    monkeypatch.setattr(clock, "MOMENT", 60)
    with clock.running_clock():
        printing.complain("done")
    assert capsys.readouterr().err == "done\n"


def test_where_the_terminal_is_gone_nobody_asks_for_a_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "log").open("w") as log:
        monkeypatch.setattr(sys, "stderr", log)
        assert not clock.is_password_asked()


@pytest.mark.parametrize("dumb", [True, False])
def test_what_is_no_terminal_gets_none(
    dumb: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(monkeypatch)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: dumb)
    monkeypatch.setenv("TERM", "dumb" if dumb else "xterm")
    with clock.running_clock():
        time.sleep(0.1)
    assert capsys.readouterr().err == ""
