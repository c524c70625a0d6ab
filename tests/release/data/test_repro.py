"""Tests `mlops repro`. Every test runs in the directory `project`: the tiny pipeline, run, committed and
pushed."""

import importlib.util
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from machinery import PROJECT
from mlops.adopt import placing
from mlops.errors import Away, MlopsError, Refused
from mlops.release.data import dvc, dvc_settings
from mlops.release.data.repro import run_repro, unreproduced
from mlops.release.errors import StageFailed
from mlops.release.history import branches
from mlops.release.history.git import Git
from mlops.release.prove import doctor
from mlops.release.prove.check import check_tree
from storages import Storage
from tiny_pipeline import commit, copied, git, make, reproduced, shell


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reproduced(tmp_path_factory.mktemp("repro") / "project")


@pytest.fixture
def project(pushed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return copied(pushed, tmp_path, monkeypatch)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def lie(project: Path) -> None:
    """Changes params.yaml and dvc.lock as a merge does, without running the stages."""
    replace(project / "params.yaml", "weight: 1", "weight: 2")
    replace(project / "dvc.lock", "weight: 1", "weight: 2")


def test_the_command_it_names_commits_all_of_a_first_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make(tmp_path / "project")
    run_repro(project)
    said = capsys.readouterr().out
    assert "Brought up to date: train, evaluate, deploy." in said
    shell(project, said.splitlines()[-1].split("`")[1])
    assert git(project, "status", "--porcelain") == ""
    run_repro(project)
    assert capsys.readouterr().out.splitlines()[-1] == "Everything was up to date."


def test_a_change_in_the_second_of_a_checkout_is_still_seen_by_git(project: Path) -> None:
    parameters = project / "params.yaml"
    checked_out, changed = 0, 1
    while checked_out != changed:
        parameters.unlink()
        git(project, "checkout", "--", "params.yaml")
        checked_out = int(parameters.stat().st_mtime)
        parameters.write_text("weight: 7\n")
        changed = int(parameters.stat().st_mtime)
    run_repro(project)
    commit(project, "Weight 7")
    assert git(project, "show", "HEAD:params.yaml") == "weight: 7\n"


def test_an_entry_that_no_run_attests_is_dropped_and_its_stage_run(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lie(project)
    run_repro(project)
    said = capsys.readouterr().out
    assert "train: nobody ever ran this entry of dvc.lock, which is in no commit" in said
    assert (project / "models/model.txt").read_text() == "sum: 10\n"
    assert (project / "reports/metrics.yaml").read_text() == "sum: 10\n"


def test_plain_dvc_believes_the_same_lie(project: Path) -> None:
    lie(project)
    with dvc.open_repo(project) as repo:
        assert repo.reproduce() == []
    assert (project / "models/model.txt").read_text() == "sum: 5\n"


def test_a_clone_fetches_the_records_and_the_data_and_runs_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clone = project.parent / "clone"
    git(project.parent, "clone", "--quiet", "project", "clone")
    run_repro(clone)
    assert capsys.readouterr().out.splitlines()[-1] == "Everything was up to date."
    assert (clone / "deploy.txt").read_text() == "sum: 5\nlabel: dev\n"
    assert git(clone, "status", "--porcelain") == ""


def test_forced_in_a_clone_it_runs_every_stage(
    project: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    git(project.parent, "clone", "--quiet", "project", "clone")
    run_repro(project.parent / "clone", force=True)
    assert "> sh train.sh" in caplog.messages
    assert capsys.readouterr().out == "Brought up to date: train, evaluate, deploy.\n"


def set_remote(project: Path, url: str | None) -> None:
    remote = f"    remote = storage\n['remote \"storage\"']\n    url = {url}\n" if url else ""
    (project / ".dvc/config").write_text(f"[core]\n    autostage = true\n{remote}")


@pytest.mark.parametrize("forced", [False, True], ids=["", "forced"])
def test_without_a_remote_it_runs_what_no_record_attests(
    project: Path, forced: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    set_remote(project, "../../nowhere" if forced else None)
    shutil.rmtree(project / ".dvc/cache/runs")
    (project / "models/model.txt").unlink()
    run_repro(project, force=forced)
    assert "Brought up to date: train, evaluate, deploy." in capsys.readouterr().out
    assert (project / "models/model.txt").read_text() == "sum: 5\n"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("../../nowhere", r"'storage' is the directory .*/nowhere, which does not exist here"),
        ("ssh://nowhere.invalid/x", r"'storage', ssh://nowhere\.invalid/x"),
        ("http://127.0.0.1:9/x", r"'storage', http://127\.0\.0\.1:9/x, cannot be reached"),
    ],
)
@pytest.mark.parametrize("lacking", ["data", "records"])
def test_a_storage_out_of_reach_is_named_before_anything_is_dropped(
    project: Path, url: str, words: str, lacking: str
) -> None:
    set_remote(project, url)
    if lacking == "data":
        shutil.rmtree(project / ".dvc/cache/files")
        (project / "data/raw.txt").unlink()
    else:
        shutil.rmtree(project / ".dvc/cache/runs")
    before = (project / "dvc.lock").read_bytes()
    with pytest.raises(MlopsError, match=words) as raised:
        run_repro(project)
    has_library = not url.startswith("ssh") or importlib.util.find_spec("dvc_ssh")
    assert raised.value.exit_code == (5 if has_library else 1)
    assert (project / "dvc.lock").read_bytes() == before


def test_a_bucket_that_does_not_exist_is_named_before_anything_is_dropped(
    project: Path, s3_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_storage.variables.items():
        monkeypatch.setenv(name, value)
    set_remote(project, "s3://absent/team")
    (endpoint,) = s3_storage.settings
    with (project / ".dvc/config").open("a") as config:
        config.write(f"    {endpoint.replace('=', ' = ')}\n")
    shutil.rmtree(project / ".dvc/cache/runs")
    before = (project / "dvc.lock").read_bytes()
    with pytest.raises(Away, match=r"'storage', s3://absent/team, cannot be reached.*bucket"):
        run_repro(project)
    assert (project / "dvc.lock").read_bytes() == before


def test_a_storage_that_its_user_may_not_read_is_not_told_to_be_away(project: Path) -> None:
    set_remote(project, "../../storage")
    shutil.rmtree(project / ".dvc/cache/runs")
    before = (project / "dvc.lock").read_bytes()
    with refused_access(), pytest.raises(MlopsError, match="cannot be read by this user") as raised:
        run_repro(project)
    assert raised.value.exit_code == 1
    assert (project / "dvc.lock").read_bytes() == before


@contextmanager
def refused_access() -> Iterator[None]:
    """The system says that this user may read no storage, which it never says to root."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("os.access", lambda path, mode: not str(path).endswith("storage"))
        yield


def test_data_that_are_nowhere_are_named_by_path_commit_and_author(project: Path) -> None:
    shutil.rmtree(project / ".dvc/cache")
    shutil.rmtree(project.parent / "storage")
    (project.parent / "storage").mkdir()
    (project / "data/raw.txt").unlink()
    first = git(project, "log", "--format=%h", "--reverse").split()[0]
    before = (project / "dvc.lock").read_bytes()
    with pytest.raises(MlopsError, match=rf"data/raw\.txt \({first} by A\. Tester\)"):
        run_repro(project)
    assert (project / "dvc.lock").read_bytes() == before


def test_a_record_that_a_colleague_has_is_told_from_a_run_of_nobody(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The colleague pushes with plain Git; a text merge joins the parameters of one run and the model of
    another."""
    git(project.parent, "clone", "--quiet", "project", "colleague")
    colleague = project.parent / "colleague"
    author = ("--author", "C. Olleague <c@example.org>")
    replace(colleague / "params.yaml", "weight: 1", "weight: 44")
    run_repro(colleague)
    git(colleague, "commit", "--quiet", "--all", "--message", "Weight 44", *author)
    short = git(colleague, "rev-parse", "--short", "HEAD").strip()
    git(project, "pull", "--quiet", "../colleague")
    run_repro(project)
    lacks = f"the DVC remote lacks the run record of {short} by C. Olleague: `mlops push` sends it"
    assert f"train: {lacks}" in capsys.readouterr().out
    git(project, "reset", "--quiet", "--hard")

    git(project, "switch", "--quiet", "--create", "side", "dev~1")
    (project / "note").touch()
    commit(project, "Note")
    git(project, "switch", "--quiet", "dev")
    git(project, "merge", "--quiet", "--no-commit", "side")
    replace(project / "params.yaml", "weight: 44", "weight: 222")
    replace(project / "dvc.lock", "weight: 44", "weight: 222")
    git(project, "commit", "--quiet", "--all", "--message", "Merge side", *author)
    short = git(project, "rev-parse", "--short", "HEAD").strip()
    run_repro(project)
    merged = f"the merge {short} by C. Olleague put it together"
    assert f"train: nobody ever ran this entry of dvc.lock: {merged}" in capsys.readouterr().out


def test_a_failing_stage_is_named_and_changes_neither_lock_nor_output(project: Path) -> None:
    kept = [project / "dvc.lock", project / "models/model.txt", project / "deploy.txt"]
    before = [file.read_text() for file in kept]
    (project / "train.sh").write_text("exit 7\n")
    with pytest.raises(StageFailed, match=r"'train'.*sh train.sh, exited with 7"):
        run_repro(project)
    assert [file.read_text() for file in kept] == before


def test_one_stage_and_what_it_needs(project: Path) -> None:
    replace(project / "params.yaml", "weight: 1", "weight: 3")
    run_repro(project, ["evaluate"])
    assert (project / "reports/metrics.yaml").read_text() == "sum: 15\n"
    assert (project / "deploy.txt").read_text() == "sum: 5\nlabel: dev\n"


def test_the_wrong_environment_is_refused_before_anything_runs(project: Path) -> None:
    replace(project / "branch.yaml", "dev", "staging")
    with pytest.raises(Refused, match="says staging"):
        run_repro(project)
    assert (project / "deploy.txt").read_text() == "sum: 5\nlabel: dev\n"


@pytest.mark.parametrize("name", ["dvc.yaml", "dvc.lock", "data/raw.txt.dvc", ".dvc/config"])
def test_a_damaged_file_is_told_in_words(project: Path, name: str) -> None:
    (project / name).write_bytes(b"\xff: [")
    with pytest.raises(MlopsError):
        run_repro(project)


DAMAGED: dict[str, Callable[[str], str]] = {
    "conflict": lambda lock: f"<<<<<<< HEAD\n{lock}",
    "cut off": lambda lock: lock[: len(lock) // 2],
    "cut off in a hash": lambda lock: lock[: lock.rindex("md5: ") + 9],
    "empty": lambda lock: "",
    "list": lambda lock: "- train\n",
    "schema": lambda lock: lock.replace("'2.0'", "'3.0'"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_lock_is_named_and_mended_by_either_cure(project: Path, damage: str) -> None:
    lock = project / "dvc.lock"
    before = lock.read_text()
    lock.write_text(DAMAGED[damage](before))
    with pytest.raises(MlopsError, match=r"dvc\.lock"):
        check_tree(project)
    for force in (True, False):
        with pytest.raises(MlopsError, match=r"dvc\.lock") as refusal:
            run_repro(project, force=force)
    found = doctor.check_lock(project)
    assert found.verdict == "wrong"
    cures = re.findall("`([^`]+)`", str(refusal.value).split("bring its last")[1])
    assert re.findall("`([^`]+)`", found.remedy) == cures
    shell(project, cures[0])
    assert lock.read_text() == before
    lock.write_text(DAMAGED[damage](before))
    commit(project, "Damage it")
    with pytest.raises(Refused, match=r"dev \w{7}: dvc\.lock"):
        branches.refuse_empty(Git(project), "dev", git(project, "rev-parse", "HEAD").strip())
    shell(project, cures[1].replace("mlops repro", "true"))
    run_repro(project)
    assert lock.read_text() == before
    assert doctor.check_lock(project).verdict == "ok"


SETTINGS_NEEDED: tuple[Callable[[Path], object], ...] = (
    run_repro,
    check_tree,
    dvc_settings.read_dvc_settings,
)


def test_rows_are_not_added_without_settings_of_dvc(project: Path) -> None:
    shutil.rmtree(project / ".dvc")
    with pytest.raises(
        MlopsError, match=r"\.dvc/config is missing: .*`git checkout HEAD -- \.dvc`"
    ):
        placing.refuse_unfit_state(Git(project))


def test_missing_settings_of_dvc_are_no_project_without_a_storage(project: Path) -> None:
    shutil.rmtree(project / ".dvc")
    (project / ".dvc/tmp").mkdir(parents=True)
    for call in SETTINGS_NEEDED:
        with pytest.raises(MlopsError, match=r"\.dvc/config is missing") as refusal:
            call(project)
    shell(project, str(refusal.value).split("`")[1])
    run_repro(project)


def test_settings_of_dvc_that_can_not_be_read_are_told_with_the_cure(project: Path) -> None:
    (project / ".dvc/config").write_text("<<<<<<< HEAD\n[core]\n")
    for call in SETTINGS_NEEDED:
        with pytest.raises(MlopsError, match="config file error") as refusal:
            call(project)
    shell(project, str(refusal.value).split("`")[1])
    run_repro(project)


def test_a_remote_that_is_not_configured_is_told_with_the_cure(project: Path) -> None:
    replace(project / ".dvc/config", "remote = storage", "remote = nowhere")
    lie(project)
    with pytest.raises(MlopsError, match=r"the DVC remote 'nowhere'.*`dvc remote default NAME`"):
        run_repro(project)
    found = doctor.start_probe(project)()
    assert (found.verdict, found.remedy.count("`dvc remote")) == ("wrong", 2)


def test_what_is_not_reproduced_is_known_without_the_data(project: Path) -> None:
    shutil.rmtree(project / "models")
    with dvc.open_repo(project) as repo:
        assert unreproduced(repo) == []
    replace(project / "params.yaml", "weight: 1", "weight: 3")
    replace(project / "environments/dev.yaml", "dev", "other")
    with dvc.open_repo(project) as repo:
        assert unreproduced(repo) == ["train", "deploy"]


def test_an_output_that_a_merge_left_unignored_is_ignored_again(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "models/.gitignore").write_text("")
    (project / "models/model.txt").unlink()
    git(project, "commit", "--quiet", "--all", "--message", "Take the wrong side")
    run_repro(project)
    shell(project, capsys.readouterr().out.splitlines()[-1].split("`")[1])
    assert (project / "models/model.txt").read_text() == "sum: 5\n"
    assert git(project, "ls-files", "--others", "--exclude-standard") == ""
    assert git(project, "status", "--porcelain") == ""


def test_an_output_that_git_keeps_too_is_told_with_its_cure(project: Path) -> None:
    git(project, "add", "--force", "models/model.txt")
    with pytest.raises(MlopsError, match=r"git rm -r --cached .*model\.txt"):
        run_repro(project)


def test_what_is_wrong_in_the_declarations_is_said_before_anything_runs(project: Path) -> None:
    shutil.copytree(PROJECT / "mlops", project / "mlops")
    (project / "science").mkdir()
    (project / "science/features.py").write_text("import nosuch\n")
    (project / "train.sh").write_text("echo changed > models/model.txt\n")
    before = (project / "dvc.lock").read_text()
    with pytest.raises(MlopsError, match=r"science/features\.py, line 1 can't be imported"):
        run_repro(project)
    assert (project / "dvc.lock").read_text() == before
