"""Tests promotions of the instant project that are slower, and cases that are rarer."""

from collections.abc import Callable
from pathlib import Path

import pytest

import instant_project
from instant_project import promote, refused, reproduce, set_quality, state
from mlops.errors import MlopsError
from mlops.release.errors import StageFailed
from mlops.release.history import models
from mlops.release.history.git import Git
from mlops.release.promote import promotion
from tiny_pipeline import commit


def test_unreproduced_work_is_refused(on_dev: Path) -> None:
    (on_dev / "params.yaml").write_text("quality: 0.95\n")
    commit(on_dev, "Another parameter, not run")
    refused(on_dev, "staging", "dev is not reproduced; not up to date: train")


def test_a_record_that_no_run_attests_is_refused(on_dev: Path) -> None:
    lock = on_dev / "dvc.lock"
    lock.write_text(lock.read_text().replace("quality: 0.9", "quality: 0.95"))
    (on_dev / "params.yaml").write_text("quality: 0.95\n")
    commit(on_dev, "A lie")
    refused(on_dev, "staging", "no run attests dvc.lock's train")


def test_a_mistyped_local_remote_is_refused(on_dev: Path) -> None:
    config = on_dev / ".dvc/config"
    config.write_text(
        config.read_text().replace("storage\n", "strage\n").replace("strage", "storage", 1)
    )
    commit(on_dev, "A typo")
    refused(on_dev, "staging", r"is the directory .*strage, which does not exist", MlopsError)


def test_a_model_outside_the_bounds_is_refused(on_dev: Path) -> None:
    set_quality(on_dev, 0.6)
    refused(
        on_dev,
        "staging",
        r"^staging refuses dev \w{7}: accuracy 0.6 is under 0.7. staging still holds no model; nothing has "
        r"moved\.$",
        StageFailed,
    )


def test_a_champion_that_cannot_be_compared_asks_for_a_reason(in_staging: Path) -> None:
    (in_staging / "data/raw").write_text("a row\nseen\n")
    set_quality(in_staging, 0.91)
    refused(in_staging, "staging", "trained on 1 of the 1 test rows.*--accept-incomparable REASON")
    record = promote(in_staging, "staging", accepted="the split was changed")
    assert record
    assert record.comparison
    assert record.comparison["accepted"] == "the split was changed"


def test_a_dry_run_judges_and_moves_nothing(on_dev: Path) -> None:
    before = state(on_dev)
    record = promotion.promote(Git(on_dev), "staging", lambda line: None, dry_run=True)
    assert record
    assert record.gate["passed"]
    assert state(on_dev) == before


def mend_gate_in_staging(project: Path) -> str:
    """Commits a fix of the gate on staging, which stays checked out, and returns the commit."""
    git = Git(project)
    git.run("switch", "--quiet", "staging")
    (project / "gate.py").write_text(instant_project.GATE + "# mended\n")
    commit(project, "Mend the gate")
    return git.run("rev-parse", "HEAD")


def test_changes_of_the_target_must_be_picked_first(in_staging: Path) -> None:
    git, fix = Git(in_staging), mend_gate_in_staging(in_staging)
    reproduce(in_staging, "Reproduce")
    git.run("switch", "--quiet", "dev")
    refused(in_staging, "staging", f"(?s)Mend the gate.*git cherry-pick -x {fix[:7]}")
    git.run("cherry-pick", "-x", fix)
    reproduce(in_staging, "Reproduce")
    assert promote(in_staging, "staging")


def test_a_pick_that_changes_nothing_more_is_a_pick(in_staging: Path) -> None:
    git, fix = Git(in_staging), mend_gate_in_staging(in_staging)
    git.run("switch", "--quiet", "dev")
    (in_staging / "gate.py").write_text(instant_project.GATE + "# mended\n")
    (in_staging / "notes.md").write_text("The gate is mended.\n")
    reproduce(in_staging, "Mend it, and say so")
    refused(in_staging, "staging", f"(?s)Mend the gate.*git cherry-pick -x {fix[:7]}")
    git.run("cherry-pick", "-x", "--keep-redundant-commits", fix)
    assert promote(in_staging, "staging")


@pytest.mark.parametrize("brings", [["cherry-pick", "-x"], ["cherry-pick"]], ids=" ".join)
@pytest.mark.parametrize("first", ["promoted", "merged by hand"])
def test_what_was_picked_once_holds_up_no_later_promotion(
    in_staging: Path, brings: list[str], first: str
) -> None:
    git, _ = Git(in_staging), mend_gate_in_staging(in_staging)
    git.run("switch", "--quiet", "dev")
    git.run(*brings, "staging")
    reproduce(in_staging, "Reproduce")
    if first == "promoted":
        promote(in_staging, "staging")
    else:
        git.run("switch", "--quiet", "staging")
        git.run("merge", "--quiet", "--no-edit", "-X", "theirs", "dev")
        instant_project.name_environment(in_staging, "staging")
        reproduce(in_staging, "Reproduce")
        git.run("switch", "--quiet", "dev")
    set_quality(in_staging, 0.93)
    assert promote(in_staging, "staging")


def test_versions_tell_what_changed_for_clients(in_staging: Path) -> None:
    set_quality(in_staging, 0.92)
    minor = promote(in_staging, "staging")
    (in_staging / "requirements/serve.txt").write_text("numpy\nonnxruntime\n")
    reproduce(in_staging, "Another library")
    patch = promote(in_staging, "staging")
    schema = instant_project.SCHEMA.replace('"x", "type": "number"', '"x", "type": "category"')
    (in_staging / "schema.json").write_text(schema)
    reproduce(in_staging, "Another type")
    major = promote(in_staging, "staging", accepted="other columns")
    assert minor
    assert (minor.version, minor.reason) == ("v1.1.0", "another model")
    assert patch
    assert (patch.version, patch.reason) == ("v1.1.1", "the same model, other libraries")
    assert major
    assert major.version == "v2.0.0"
    assert "column 'x' was number and is category" in major.reason


LAYOUTS: dict[str, Callable[[str], str]] = {
    "a comment above": lambda lock: f"# ours\n{lock}",
    "a comment inside": lambda lock: lock.replace("  train:\n", "  # ours\n  train:\n"),
    "a comment behind": lambda lock: lock.replace("  train:\n", "  train:  # ours\n"),
    "a blank line": lambda lock: lock.replace("stages:\n", "\nstages:\n"),
    "without an end": lambda lock: lock.removesuffix("\n"),
    "quoted otherwise": lambda lock: lock.replace("schema: '2.0'", 'schema: "2.0"'),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_lock_that_somebody_has_edited_is_promoted_without_the_shortcut(
    in_staging: Path, layout: str
) -> None:
    for quality in (0.91, 0.92):
        set_quality(in_staging, quality)
        lock = in_staging / "dvc.lock"
        lock.write_text(LAYOUTS[layout](lock.read_text()))
        Git(in_staging).run("commit", "--all", "--allow-empty", "--quiet", "-m", "Edit dvc.lock")
        record = promote(in_staging, "staging")
        assert record
        assert record.metrics["test"]["accuracy"] == quality
    assert [model.name for model in models.all_models(Git(in_staging))] == [
        "v1.0.0",
        "v1.1.0",
        "v1.2.0",
    ]
