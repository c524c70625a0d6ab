"""Tests that what the user's Git signs is signed in a release too, with real keys of ssh."""

import subprocess
from pathlib import Path

import pytest

import tiny_pipeline
from instant_project import promote, refused, set_quality
from mlops.cli import stages
from mlops.errors import Refused
from mlops.release.history import records
from mlops.release.history.git import Git
from mlops.release.promote import promotion, rollback
from mlops.release.prove import check


def make_key(folder: Path, name: str) -> Path:
    """Makes a key, and returns the file of its public half."""
    key = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    return key.with_suffix(".pub")


@pytest.fixture
def signing(in_staging: Path, tmp_path: Path) -> Path:
    """A project with one unsigned release, whose user signs commits and tags from now on."""
    git, key = Git(in_staging), make_key(tmp_path, "key")
    allowed = tmp_path / "allowed"
    allowed.write_text(f"tester@example.org {key.read_text()}")
    for name, value in {
        "commit.gpgSign": "true",
        "tag.gpgSign": "yes",
        "gpg.format": "ssh",
        "user.signingKey": str(key),
        "gpg.ssh.allowedSignersFile": str(allowed),
    }.items():
        git.run("config", name, value)
    return in_staging


def findings(git: Git) -> list[str]:
    return [*check.release_findings(git, "staging")]


def test_releases_are_signed_and_the_signatures_are_checked(signing: Path, tmp_path: Path) -> None:
    git = Git(signing)
    assert findings(git) == []
    set_quality(signing, 0.91)
    promote(signing, "staging")
    rollback.roll_back(git, "staging", None, print, reason="a trial")
    set_quality(signing, 0.92)
    promotion.promote(git, "staging", print)
    for name in ("staging/0002", "model@v1.1.0", "staging/0003", "staging/0004"):
        git.run("verify-tag", name)
        git.run("verify-commit", f"{name}^{{commit}}")
    tagged = records.records_of(git, "staging")
    assert [each.record.version for each in tagged] == ["v1.0.0", "v1.1.0", "v1.0.0", "v1.2.0"]
    assert tagged[-1].author == "A. Tester <tester@example.org>"
    assert findings(git) == []

    git.run("config", "user.signingKey", str(make_key(tmp_path, "other")))
    set_quality(signing, 0.93)
    promote(signing, "staging")
    assert [each.partition(" is signed by a key")[0] for each in findings(git)] == [
        "the record staging/0005",
        "the commit of staging/0005",
    ]
    for name in ("commit.gpgSign", "tag.gpgSign"):
        git.run("config", name, "false")
    set_quality(signing, 0.94)
    promote(signing, "staging")
    assert [each.partition(" and ")[0] for each in findings(git)] == [
        "the record staging/0006 is not signed,",
        "the commit of staging/0006 is not signed,",
    ]


@pytest.mark.parametrize("setting", ["commit.gpgSign", "tag.gpgSign"])
def test_a_key_that_cannot_sign_is_found_before_a_stage_runs(
    signing: Path, tmp_path: Path, setting: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").unlink()
    Git(signing).run("config", "--unset", setting)
    refused(signing, "prod", r"its key can't sign: .*user\.signingKey")
    assert "Running stage" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"core.splitIndex": "true"}, "core.splitIndex is on, and DVC cannot read a split index"),
        ({"user.useConfigOnly": "true"}, "(?s)Git can make none here: .*user.email"),
    ],
)
def test_what_git_lacks_is_found_before_a_stage_runs(
    in_staging: Path,
    settings: dict[str, str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name in tiny_pipeline.IDENTITY:
        if not name.startswith("GIT_CONFIG"):
            monkeypatch.delenv(name)
    git = Git(in_staging)
    for name, value in settings.items():
        git.run("config", name, value)
    refused(in_staging, "prod", words)
    if "core.splitIndex" in settings:
        monkeypatch.chdir(in_staging)
        with pytest.raises(Refused, match=words):
            stages.repro(None, force=True)
    assert "Running stage" not in capfd.readouterr().out
