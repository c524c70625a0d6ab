import json
from pathlib import Path

import pytest

from instant_project import promote, refused
from mlops.errors import MlopsError
from mlops.release.history import records, tags
from mlops.release.history.git import Git


def rewritten(git: Git, *without: str, **more: object) -> None:
    """Rewrites the record of staging as a version of this code with other fields would have written it."""
    (tag,) = tags.tags_matching(git, "staging/0001")
    content = {name: value for name, value in tag.content().items() if name not in without} | more
    git.run(
        "tag",
        "--force",
        "--annotate",
        "-m",
        f"staging/0001\n\n{json.dumps(content)}",
        tag.name,
        tag.commit,
    )


def test_a_record_keeps_what_was_measured(in_staging: Path) -> None:
    (kept,) = records.records_of(Git(in_staging), "staging")
    assert kept.record.milliseconds == kept.record.megabytes == 0.1
    assert kept.record.memory_megabytes == 60


def test_a_record_from_before_memory_was_measured_is_read(in_staging: Path) -> None:
    git = Git(in_staging)
    rewritten(git, "memory_megabytes")
    (kept,) = records.records_of(git, "staging")
    assert kept.record.memory_megabytes is None
    assert kept.record.version == "v1.0.0"


def test_a_record_of_a_later_version_of_this_code_stops_its_environments_releases_alone(
    in_staging: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git = Git(in_staging)
    rewritten(git, warmth=3)
    assert records.records_of(git, "staging") == []
    assert "written by another version of mlops" in capsys.readouterr().err
    refused(in_staging, "staging", "git switch --detach staging/0001", MlopsError)
    assert promote(in_staging, "prod")
