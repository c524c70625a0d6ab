"""Tests how tables are printed: how wide they are, what they say below, and when words have a colour."""

import sys

import pytest

from mlops.cli import printing

HEADINGS = ("Model", "Dataset", "% False positives", "Gate", "Subject")
ROWS = (
    ("v1.0.0", "adult", "6.32", "passed", "A random forest of a hundred trees, gate passed"),
    ("experiment 3985ff7", "adult", "6.11", "failed", "\x1b[2J\nshort"),
)


def test_a_table_that_has_room_has_a_line_for_each_row() -> None:
    lines = printing.table_text(HEADINGS, ROWS).split("\n")
    assert len(lines) == 5
    assert [line.split()[0] for line in lines[3:]] == ["v1.0.0", "experiment"]
    assert r"\x1b[2J\nshort" in lines[4]
    assert printing.table_text(HEADINGS, []).count("\n") == 2


@pytest.mark.parametrize("width", [80, 60, 48])
def test_a_narrow_table_says_once_what_is_alike_and_loses_no_word(width: int) -> None:
    text = printing.table_text(HEADINGS, ROWS, width)
    assert max(map(len, text.split("\n"))) <= width
    words = {word for row in (HEADINGS, *ROWS[:1]) for cell in row for word in cell.split()}
    assert words <= {*text.split()}
    assert text.endswith("the same in all rows: Dataset adult")


def test_words_are_never_cut() -> None:
    text = printing.table_text(("File",), [("a/very/long/path/of/a/file",)], 10)
    assert "a/very/long/path/of/a/file" in text.split("\n")


def test_only_a_terminal_gets_colours_and_only_for_whole_cells(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    printing.say_table(HEADINGS, ROWS)
    assert max(map(len, capsys.readouterr().out.split("\n"))) > 80
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    printing.say_table(HEADINGS, ROWS)
    shown = capsys.readouterr().out
    assert shown.count("\x1b[") == 4
    assert "\x1b[32mpassed\x1b[0m" in shown
    assert max(map(len, shown.split("\n"))) <= 80 + len("\x1b[32m\x1b[0m")
    monkeypatch.setenv("NO_COLOR", "1")
    printing.say_table(HEADINGS, ROWS)
    assert "\x1b" not in capsys.readouterr().out
