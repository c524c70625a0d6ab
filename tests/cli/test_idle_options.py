"""Tests that an option without effect beside the others is named, before anything else happens."""

import shlex
from pathlib import Path

import pytest

from mlops.cli.app import app
from mlops.errors import UsageError


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("score a.csv --to out --scheduler tcp://host:8786", "--scheduler tcp://host:8786 is for"),
        ("score a.csv --to out --engine threads --scheduler tcp://host:8786", "--engine dask"),
        ("serve --version v1.0.0 --every 5", "--every 5 is for a branch"),
        ("monitor sqlite:///x.db --min-labels 5", "--min-labels 5 is for bounds"),
        ("promote staging --dry-run --propose", "leave out --propose"),
        ("check --install-hook --branch dev", "leave out --branch"),
        ("check --install-hook --format json", "leave out --format"),
        ("data add a.csv --key id", "add --labels URL"),
        ("adopt a.csv --format json", "add --dry-run"),
        ("tracker --explain --format csv", "leave out --format csv"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(
    words: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=named):
        app(shlex.split(words), standalone_mode=False)
    assert not [*tmp_path.iterdir()]
