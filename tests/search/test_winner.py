"""Tests that the parameters of the best trial get into params.yaml, and that nothing else of it changes."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from machinery import PROJECT
from mlops.errors import MlopsError
from mlops.search import winner
from mlops.trials import Trial

TEXT = """\
train:   # how
  architecture: "b"      # one of them
  architectures:
    b: {c: 1.0, d: yes, e: 'x',   # a comment, with {braces}
        f: null}
    g:
      h: 1e-5   # small
      i: [1, 2]
      j: {k: true, m: 2}
"""


def trial(architecture: str, **values: Any) -> Trial:
    return Trial(1, architecture, values, "done", (0.5,), 1.0)


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(TEXT)
    return tmp_path / "params.yaml"


def test_only_the_values_change(params: Path) -> None:
    assert winner.write_winner(trial("g", h=2e-7))
    assert params.read_text() == TEXT.replace('"b"', "g").replace("1e-5", "2.0e-07")
    assert winner.write_winner(trial("b", c=0.25, d="no", e="it's", f=7))
    assert params.read_text() == TEXT.replace('"b"', "b").replace("1e-5", "2.0e-07").replace(
        "c: 1.0, d: yes, e: 'x'", 'c: 0.25, d: "no", e: "it\'s"'
    ).replace("f: null", "f: 7")
    assert not winner.write_winner(trial("b", c=0.25, d="no", e="it's", f=7))


def test_a_value_may_be_a_list_or_hold_keys(params: Path) -> None:
    assert winner.write_winner(trial("g", h=1e-5, i=[3], j={"k": False, "m": 2}))
    changed = TEXT.replace('"b"', "g").replace("[1, 2]", "[3]").replace("true", "false")
    assert params.read_text() == changed


def test_the_file_of_the_project_changes_in_two_lines_at_most(params: Path) -> None:
    shipped = (PROJECT / "params.yaml").read_text()
    params.write_text(shipped)
    winner.write_winner(trial("lightgbm", iterations=77, learning_rate=0.0123, leaves=9))
    changed = zip(shipped.splitlines(), params.read_text().splitlines(), strict=True)
    assert [new.strip() for old, new in changed if old != new] == [
        "architecture: lightgbm     # one of the names below, functions of science/architectures.py",
        "lightgbm: {iterations: 77, learning_rate: 0.0123, leaves: 9}",
    ]
    assert YAML(typ="safe").load(params)["train"]["architecture"] == "lightgbm"


@pytest.mark.parametrize(
    ("old", "new"),
    [('architecture: "b"', 'architecture: &b "b"\n  other: *b'), ("    b:", "    B:")],
    ids=["a value that another one repeats", "a block that is not there"],
)
def test_what_cannot_be_changed_in_place_is_left_as_it_is(params: Path, old: str, new: str) -> None:
    params.write_text(TEXT.replace(old, new))
    before = params.read_bytes()
    with pytest.raises(MlopsError, match=r"write the values by hand: train\.architecture: x, "):
        winner.write_winner(trial("x", c=2.5))
    assert params.read_bytes() == before
