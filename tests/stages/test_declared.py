"""Tests that the owner's declarations are read before anything runs, and that a mistake is reported in one
sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from machinery import PROJECT
from small_project import change


@pytest.fixture
def hers(untrained: Path) -> Path:
    """The current directory, with its own folder science/."""
    (untrained / "science").unlink()
    (untrained / "science").mkdir()
    for file in (PROJECT / "science").glob("*.py"):
        (untrained / "science" / file.name).write_text(file.read_text())
    return untrained


def declared(folder: Path) -> str:
    """Returns the message about the declarations; "" if they are valid."""
    command = [sys.executable, "-m", "mlops.declared"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == bool(done.stderr)
    assert "Traceback" not in done.stderr
    return done.stderr


def add(file: Path, line: str) -> str:
    """Appends a line to a file, and returns file and line as messages name them."""
    text = file.read_text() + line + "\n"
    file.write_text(text)
    return f"{file.parent.name}/{file.name}, line {text.count(chr(10))}"


def test_what_is_sound_is_passed_in_silence(hers: Path) -> None:
    assert declared(hers) == ""


@pytest.mark.parametrize("name", ["features.py", "architectures.py"])
@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("import nosuch", "ModuleNotFoundError: No module named 'nosuch'"),
        ("HALF = 1 / 0", "ZeroDivisionError: division by zero"),
        ("x = = 1", "SyntaxError: invalid syntax"),
    ],
)
def test_a_file_that_cannot_be_imported_is_named_with_its_line(
    hers: Path, name: str, line: str, fault: str
) -> None:
    place = add(hers / "science" / name, line)
    assert declared(hers).startswith(f"DeclarationError: {place} can't be imported: {fault}")


def test_an_architecture_without_its_block_is_named(hers: Path) -> None:
    add(
        hers / "science/architectures.py",
        "\n\n@architecture\ndef extra_trees(inputs, seed, *, trees: int): ...",
    )
    change("params.yaml", "train.architecture", "extra_trees")
    assert "params.yaml: train: architectures has no block 'extra_trees': add one" in declared(hers)


def test_an_architecture_that_does_not_take_inputs_and_seed_is_named(hers: Path) -> None:
    file = hers / "science/architectures.py"
    line = len(file.read_text().splitlines()) + 3
    add(file, "\n\n@architecture\ndef strange(inputs, *, trees): ...")
    message = declared(hers)
    assert message.startswith(
        f"DeclarationError: science/architectures.py, line {line} can't be imported"
    )
    assert "strange(inputs, *, trees) should take the inputs and the seed, then each" in message
