"""What an update is made of: pins to begin from, sections of the changelog, answers, what is rendered."""

import pytest

from mlops.errors import MlopsError
from mlops.release.update import changelog, locks, parts, template

LOCK = "{} \\\n    --hash=sha256:{}\n"


def lock(*pins: str, digest: str = "00") -> str:
    return "".join(LOCK.format(pin, digest) for pin in pins)


def test_pins_begin_from_the_templates_and_keep_the_owners() -> None:
    shipped = lock("numpy==1", "pandas==1", "redis==1")
    own = lock("numpy==1", digest="11") + lock("pandas==3", "shap==1")
    new = lock("numpy==2", "pandas==2", "polars==1", "redis==1")
    found = locks.preferred_pins(shipped, own, new)
    assert locks.pins(found) == ["numpy==2", "pandas==3", "polars==1", "redis==1", "shap==1"]


def test_a_library_has_an_entry_for_each_platform() -> None:
    both = lock(
        "numpy==1 ; python_full_version < '3.12'", "numpy==2 ; python_full_version >= '3.12'"
    )
    assert locks.entries(both) == {"numpy": both}
    assert len(locks.pins(both)) == 2


CHANGELOG = """\
# Changelog

## Unreleased

### What an owner must do

Later.

## 1.10.0 (2027-01-02)

### New

- A thing.

### What an owner must do

- Edit this.

  And that.

### Stages that run again

train

## 1.9.0

### What an owner must do

Earlier.
"""


@pytest.mark.parametrize(
    ("old", "new", "asked"),
    [
        ("1.9.0", "1.10.0", ["Edit this.\n\n  And that.", "train"]),
        ("1.10.0", "1.10.0", []),
        ("1.9.0.dev0", "1.9.0", ["Earlier."]),
        ("1.10.0", "1.11.0.dev0", ["Later."]),
        ("0.1.0", "2.0.0", ["Edit this.\n\n  And that.", "train", "Earlier."]),
    ],
)
def test_the_changelog_is_asked_for_what_lies_between(old: str, new: str, asked: list[str]) -> None:
    found = changelog.sections_between(CHANGELOG, old, new)
    assert [text.split("\n", 1)[1].removeprefix("- ") for text in found] == asked


def test_answers_are_completed_and_a_default_may_use_others() -> None:
    settings = {"a": "x", "b": "{{ cookiecutter.a }}y", "c": ["first", "second"], "_d": "no"}
    assert template.complete_answers(settings, {"a": "{{ 1 }}"}) == {
        "a": "{{ 1 }}",
        "b": "{{ 1 }}y",
        "c": "first",
    }
    with pytest.raises(MlopsError, match=r"default of b .*into `answers` of \.template\.yaml"):
        template.complete_answers({"b": "{{ cookiecutter.lacking }}"}, {})


@pytest.mark.parametrize(
    ("path", "copied"),
    [("README.md", False), ("LICENSE", False), ("docs/README.md", True), ("mlops/LIST.py", True)],
)
def test_what_is_rendered_is_what_cookiecutter_renders(path: str, *, copied: bool) -> None:
    assert template.is_copied(path, ["[!LR]*"]) == copied


def test_a_part_is_named_by_its_outermost_folder_that_is_gone() -> None:
    folders = {".", "mlops", "mlops/batch"}
    assert parts.topmost_missing("mlops/batch/watch.py", folders) == "mlops/batch/watch.py"
    assert parts.topmost_missing(".github/workflows/check.yaml", folders) == ".github"
    assert (
        parts.topmost_missing("mlops/batch/monitoring/a/b.py", folders) == "mlops/batch/monitoring"
    )
