"""Tests the commands in a repository that is not the user's own: one that Git does not trust, and one in
which nothing can be written, as for a service account."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from machinery import MLOPS
from mlops.release.errors import GitError
from mlops.release.history.git import Git

DROP, CAPABILITIES = 24, (1, 2)
"""PR_CAPBSET_DROP of Linux, and the two capabilities by which root reads and writes everything."""

LOOKING = (
    "status",
    "tracker",
    "show v1.0.0",
    "compare staging dev",
    "check",
    "clean --yes",
    "doctor",
)
RELEASING = ("promote prod", "rollback staging", "promote prod --dry-run")


def obey_permissions() -> None:
    libc = ctypes.CDLL(None)
    for capability in CAPABILITIES:
        libc.prctl(DROP, capability, 0, 0, 0)


def run(project: Path, words: str) -> tuple[int, str]:
    """Runs `mlops` as a user who needs permissions, and returns its exit code and its output."""
    process = subprocess.run(
        [sys.executable, "-c", MLOPS, *words.split()],
        cwd=project,
        preexec_fn=obey_permissions,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return process.returncode, process.stdout


@pytest.fixture
def read_only(in_staging: Path) -> Path:
    for path in (in_staging, *in_staging.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)
    return in_staging


@pytest.mark.skipif(sys.platform != "linux", reason="root obeys no permission elsewhere")
def test_where_nothing_can_be_written_each_command_ends_in_a_sentence(read_only: Path) -> None:
    for words in (*LOOKING, *RELEASING):
        code, said = run(read_only, words)
        assert "Traceback" not in said, said
        if words in RELEASING:
            assert code == 3, said
            assert "this user cannot write in" in said
        elif words in {"status", "tracker", "show v1.0.0"}:
            assert code == 0, said


def test_a_repository_that_git_does_not_trust_is_told_in_gits_words(
    in_staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.chdir(in_staging)
    with pytest.raises(
        GitError, match=r"(?s)dubious ownership.*git config --global --add safe\.directory"
    ):
        Git.of_current_directory()
