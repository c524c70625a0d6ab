"""Tests which failures of a remote are worth another try, by the words of Git, hosts and transports."""

from pathlib import Path

import pytest

from mlops.errors import Away, Refused
from mlops.release.errors import GitError
from mlops.release.history import remotes
from mlops.release.history.git import Git

NOT_READ = "fatal: Could not read from remote repository."


def fails(folder: Path, said: str, kind: type[Away | Refused], words: str) -> None:
    """Checks the error for what a transport says, which Git starts as it would start ssh."""
    transport = folder / "transport"
    transport.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}\nEND\nexit 128\n")
    transport.chmod(0o755)
    git = Git(folder)
    git.run("init", "--quiet")
    with pytest.raises(GitError) as caught:
        remotes.contact(
            git, "origin", "-c", f"core.sshCommand={transport}", "ls-remote", "host:project.git"
        )
    error = caught.value
    assert isinstance(error, kind), said
    assert error.exit_code == kind.exit_code
    assert words in str(error)


def test_what_denies_access_is_refused(tmp_path: Path) -> None:
    for said in (
        f"git@host: Permission denied (publickey).\n{NOT_READ}",
        f"Host key verification failed.\n{NOT_READ}",
        f"ERROR: Repository not found.\n{NOT_READ}",
        "fatal: Authentication failed for 'https://host/project.git/'",
        "fatal: unable to access 'https://host/p.git/': The requested URL returned error: 403",
        "remote: Connection refused by the tracker\nerror: pre-receive hook declined",
    ):
        fails(tmp_path, said, Refused, "origin denies access: git ")


def test_what_does_not_answer_is_out_of_reach(tmp_path: Path) -> None:
    for said in (
        "ssh: Could not resolve hostname host: Name or service not known",
        "ssh: connect to host host port 22: Connection timed out",
        "fatal: unable to access 'https://host/p.git/': The requested URL returned error: 502",
        "fatal: the remote end hung up unexpectedly",
        "remote: fatal: write error: No space left on device",
    ):
        fails(tmp_path, said, Away, "origin cannot be reached: git ")


def test_any_other_failure_is_that_of_git(tmp_path: Path) -> None:
    Git(tmp_path).run("init", "--quiet")
    with pytest.raises(GitError, match="unknown option") as caught:
        remotes.contact(Git(tmp_path), "origin", "ls-remote", "--nonsense")
    assert not isinstance(caught.value, (Away, Refused))
