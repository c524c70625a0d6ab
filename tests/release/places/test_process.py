import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from machinery import PROJECT
from mlops.release.places import process
from tiny_pipeline import alive

ASK = (
    "import os; from mlops.release.places import process; "
    "process.run_watched(['sh', 'run.sh'], '.', os.environ)"
)


def waited(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_lines_are_heard_as_they_come(tmp_path: Path) -> None:
    heard: list[str] = []
    said = process.run_watched(
        ["sh", "-c", "echo $0 >&2; pwd", "one"], tmp_path, os.environ, heard.append
    )
    assert heard == ["one", str(tmp_path)]
    assert said == f"one\n{tmp_path}\n"


def test_a_failure_carries_what_was_printed(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        process.run_watched(["sh", "-c", "echo first; echo last; exit 7"], tmp_path, os.environ)
    assert failed.value.returncode == 7
    assert process.last_lines(failed.value, lines=1) == "last"


def test_the_command_has_no_standard_input_to_wait_for(tmp_path: Path) -> None:
    assert process.run_watched(["sh", "-c", "cat; echo end"], tmp_path, os.environ) == "end\n"


def test_what_it_started_ends_with_it_even_when_it_is_killed(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("sleep 60 &\necho $! > started\nmv started pid\nwait\n")
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    parent = subprocess.Popen([sys.executable, "-c", ASK], cwd=tmp_path, env=environment)
    assert waited((tmp_path / "pid").exists)
    grandchild = int((tmp_path / "pid").read_text())
    assert alive(grandchild)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert waited(lambda: not alive(grandchild))
