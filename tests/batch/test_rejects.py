import stat
from pathlib import Path

import pytest

from mlops.batch.rejects import Limit, Reject, RejectsFile
from mlops.errors import Refused, UsageError


@pytest.mark.parametrize(
    "text", ["", "-1", "1.5", "101%", "%", "1 %", "many", "nan%", "inf", "1_000", " 5 ", "5%%"]
)
def test_a_text_that_is_not_a_limit_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--max-rejects should be .*, such as 20 or 0\.5%, not"):
        Limit.parse(text)


@pytest.mark.parametrize(
    ("text", "rejected", "rows", "exceeded"),
    [
        ("0", 0, 10, False),
        ("0", 1, 10, True),
        ("3", 3, 4, False),
        ("\u0663", 3, 4, False),  # the Arabic digit 3
        ("\u0663", 4, 4, True),
        ("1%", 1, 100, False),
        ("1%", 1, 99, True),
        ("0.5%", 3, 10_000, False),
        ("0%", 1, 10_000, True),
        ("100%", 10, 10, False),
        ("1%", 0, 0, False),
    ],
)
def test_a_limit_counts_rows_or_their_share(
    text: str, rejected: int, rows: int, exceeded: bool
) -> None:
    assert Limit.parse(text).is_exceeded(rejected, rows) is exceeded


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "rejects").write_text("mine")
    file = RejectsFile(tmp_path / "rejects/batch.csv")
    for act in (file.remove_earlier, lambda: file.write_rejects([Reject("rows.csv", 7, "wrong")])):
        with pytest.raises(Refused, match=r"rejects/batch\.csv: .*nothing was stored: rename the"):
            act()


def test_the_file_is_its_owners_alone_and_of_this_run_alone(tmp_path: Path) -> None:
    path = tmp_path / "rejects/batch.csv"
    path.parent.mkdir()
    path.write_text("of an older run")
    path.chmod(0o644)
    file = RejectsFile(path)
    file.remove_earlier()
    assert not path.exists()
    file.write_rejects([Reject("rows.csv", 7, 'age: expected a number, got "x, y"')])
    file.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().splitlines() == [
        "file,line,reasons",
        'rows.csv,7,"age: expected a number, got ""x, y"""',
    ]
