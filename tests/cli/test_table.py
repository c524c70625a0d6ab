"""Tests how tables are printed: how wide they are, what they say below, and when words have a colour."""

import re
import sys

import pytest

from mlops.cli import printing
from mlops.release.look import tracker
from mlops.text_table import table_text

HEADINGS = ("Model", "Dataset", "% False positives", "Gate", "Subject")
ROWS = (
    ("v1.0.0", "adult", "6.32", "passed", "A random forest of a hundred trees, gate passed"),
    ("experiment 3985ff7", "adult", "6.11", "failed", "\x1b[2J\nshort"),
)


def test_a_table_that_has_room_has_a_line_for_each_row() -> None:
    lines = table_text(HEADINGS, ROWS).split("\n")
    assert len(lines) == 5
    assert [line.split()[0] for line in lines[3:]] == ["v1.0.0", "experiment"]
    assert r"\x1b[2J\nshort" in lines[4]
    assert table_text(HEADINGS, []).count("\n") == 2


@pytest.mark.parametrize("width", [80, 60, 48])
def test_a_narrow_table_says_once_what_is_alike_and_loses_no_word(width: int) -> None:
    text = table_text(HEADINGS, ROWS, width)
    assert max(map(len, text.split("\n"))) <= width
    words = {word for row in (HEADINGS, *ROWS[:1]) for cell in row for word in cell.split()}
    assert words <= {*text.split()} - {"posi-", "tives"} | {"positives"}
    assert text.endswith("the same in all rows: Dataset adult")


def test_what_has_no_room_is_broken_where_it_has_joints_and_never_elsewhere() -> None:
    path = "a/very/long/path/of/a/file"
    lines = table_text(("File",), [(path,), ("unbreakable",)], 10).split("\n")[2:]
    assert max(map(len, lines)) == len("unbreakable")
    assert "".join(lines) == f"{path}unbreakable"


@pytest.mark.parametrize(
    ("metrics", "values"),
    [
        (("accuracy", "false_positive_percent"), ("0.8649", "15.77")),
        (("accuracy", "worst_recall"), ("0.8649", "0.1234")),
        (("mae", "r2"), ("12345.6", "-0.1234")),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_the_tracker_fits_into_80_columns_and_loses_nothing(
    metrics: tuple[str, ...], values: tuple[str, ...], together: bool
) -> None:
    names = [*tracker.COLUMNS]
    shown = [name for name in names if name in metrics or name not in tracker.HEADLINES]
    headings = [tracker.COLUMNS[name] for name in shown]
    first = {
        "model": "experiment 46e775b", "architecture": "logistic_regression", "dataset": "adult",
        "training": "1.0", "validation": "1.0", "parameters": "1.10", "testing": "1.0",
        **dict(zip(metrics, values, strict=True)), "running": "dev, staging, prod", "gate": "passed",
        "subject": "A subject of several words, which has no room beside all the other columns",
    }  # fmt: skip
    second = first | {"model": "v1.0.0", "parameters": "1.0", "training": "1.1", "subject": "First"}
    second |= {"architecture": "gradient_boosting", **dict.fromkeys(metrics, "0.7")}
    second |= {"validation": "1.1" if together else "1.2", "testing": "1.1", "running": "-"}
    rows = [[row[name] for name in shown] for row in (first, second)]
    text = table_text(headings, rows, 80, below=tracker.BELOW)
    lines = text.split("\n")
    assert max(map(len, lines)) <= 80
    assert "the same in all rows: Dataset adult, Gate passed" in text
    also = "Data (validation), Data (testing)" if together else "Data (testing)"
    assert f"the same as Data (training): {also}" in text
    squeezed = re.sub(r"[\s-]", "", text)
    for cell in (*first.values(), *second.values()):
        for word in re.split(r"[\s_-]+", cell):
            assert word in squeezed
    assert len(table_text(headings, rows).split("\n")) == 5


def test_columns_become_lines_below_each_row_only_as_far_as_there_is_no_room() -> None:
    headings, reason = ("When", "Who", "Why"), " ".join(["a reason"] * 5)
    rows = [("2026-11-27 05:34", "Ada Lovelace", reason), ("2026-11-28 05:34", "-", "-")]
    wide, narrow, least = (
        table_text(headings, rows, width, below=("Why", "Who")).split("\n")
        for width in (79, 40, 29)
    )
    assert len(wide) == 4
    assert narrow[0].split() == ["When", "Who"]
    assert [line.strip() for line in narrow[3:5]] == [
        "Why: a reason a reason a reason a",
        "reason a reason",
    ]
    said = " ".join(line.strip() for line in least[2:])
    assert said == f"2026-11-27 05:34 Why: {reason}; Who: Ada Lovelace 2026-11-28 05:34"
    assert least[-1] == "2026-11-28 05:34"


@pytest.mark.parametrize("columns", ["20", "1", "0", "-1", "abc", ""])
def test_a_table_can_be_read_at_a_terminal_of_any_width(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    printing.say_table(HEADINGS, ROWS, below=("Subject",))
    printing.say_sentence("a sentence that is longer than the terminal")
    words = capsys.readouterr().out.split()
    assert {"adult", "6.32", "6.11", "forest", "sentence", "longer", "terminal"} <= {*words}


def test_rows_that_are_all_alike_are_still_rows() -> None:
    assert (
        table_text(("A", "B"), [("one word", "2"), ("one word", "2")], 8).count("\none word") == 2
    )


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


def test_a_long_sentence_is_wrapped_at_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = " ".join(["gate: accuracy 0.87 -> 0.86"] * 5)
    printing.say_sentence(sentence)
    assert capsys.readouterr().out == f"{sentence}\n"
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    printing.say_sentence(sentence)
    first, second, *rest = capsys.readouterr().out.split("\n")
    assert max(len(first), len(second)) <= 80
    assert second.startswith("    ")
    assert f"{first} {second.strip()}" == sentence
    assert rest == [""]
