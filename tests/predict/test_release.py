import json
from pathlib import Path

import pytest

from mlops.predict import release
from mlops.predict.errors import BundleError
from mlops.predict.release import Release

HELLO = "5d41402abc4b2a76b9719d911017c592"
WRITTEN = {"environment": "prod", "commit": "c0ffee" + "0" * 34, "bundle": "a.dir", "files": {}}


def verified(folder: Path, **files: str) -> None:
    release.verify_bundle(Release("prod", "c" * 40, "a.dir", files, version="v1.0.0"), folder)


def test_a_newer_file_is_read_by_older_code(tmp_path: Path) -> None:
    (tmp_path / "release.json").write_text(json.dumps(WRITTEN | {"of a newer template": [1]}))
    read = release.read_release(tmp_path)
    assert (read.name, read.version, read.serve) == ("c0ffee0", None, {})


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"environment": 1}'])
def test_a_file_that_is_no_release_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "release.json").write_text(content)
    with pytest.raises(BundleError, match=r"release\.json does not describe a release"):
        release.read_release(tmp_path)


def test_a_bundle_that_is_what_was_released_passes(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("a", "folder/b"):
        (tmp_path / name).write_text("hello")
    verified(tmp_path, **{"a": HELLO, "folder/b": HELLO})


def test_every_file_that_is_not_what_was_released_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("hello!")
    (tmp_path / "more").touch()
    with pytest.raises(BundleError) as refused:
        verified(tmp_path, a=HELLO, b=HELLO)
    for words in ("not what v1.0.0 released", "a has the hash", "b is missing", "more was not"):
        assert words in str(refused.value)


def test_a_bundle_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="a is missing"):
        verified(tmp_path / "nowhere", a=HELLO)


def test_a_newer_version_that_did_not_start_is_part_of_the_model(tmp_path: Path) -> None:
    served = Release("prod", "c" * 40, "a.dir", {})
    assert release.model_facts(served, tmp_path).refused is None
    (tmp_path / "refused.json").write_text('{"commit": "d", "error": "no library"}')
    assert release.model_facts(served, tmp_path).refused == {"commit": "d", "error": "no library"}
