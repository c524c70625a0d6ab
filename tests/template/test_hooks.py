"""Tests the hooks as functions, and as cookiecutter renders and runs them."""

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from cookiecutter.environment import StrictEnvironment
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import ask_again
from baking import NAME, TEMPLATE, Process, Run
from terminal import COLUMNS, converse

Bake = Callable[..., Path]

LONG = "x" * 201


def load(hook: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(hook, TEMPLATE / "hooks" / f"{hook}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pre_gen = load("pre_gen_project")
post_gen = load("post_gen_project")


def refused(done: Process, *words: str) -> None:
    """Checks that a refusal with these words is all that was printed."""
    assert done.returncode == 1
    said = " ".join(f"{done.stdout} {done.stderr}".split())
    assert said.startswith("No project was made: "), said
    assert "hook" not in said
    for word in words:
        assert word in said


def refused_by_a_hook(done: Process, *words: str) -> None:
    """Checks that the hook refused with these words; cookiecutter adds a line, and no traceback."""
    assert done.returncode == 1
    assert done.stderr.strip().startswith("No project was made: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == "Hook script failed (exit status: 1)\n"
    for word in words:
        assert word in " ".join(done.stderr.split())


def left(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


BAD_NAMES = {
    "Adult Income": "adult-income",
    "9 lives": "9-lives",
    "naïve_Bayes!": "naive-bayes",
    "trailing-": "trailing",
    "-": "my-project",
    "日本": "my-project",
    "it's": "its",
    "x" * 51: "x" * 50,
    "two\nlines": "two-lines",
    'quo"te': "quo-te",
}


@pytest.mark.parametrize(("name", "suggestion"), BAD_NAMES.items())
def test_bad_name_is_refused_with_a_good_one(name: str, suggestion: str) -> None:
    with pytest.raises(pre_gen.RefusedError, match=f"Try '{suggestion}'"):
        pre_gen.check_name(name)
    pre_gen.check_name(suggestion)


@pytest.mark.parametrize("name", ["a", "a1", "2024-income", "9", "adult-income", "x" * 50])
def test_good_name(name: str) -> None:
    pre_gen.check_name(name)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("  ", "empty"),
        (" edge", "spaces around"),
        ("two\nlines", "unprintable"),
        ("bell\a", "unprintable"),
        ("null\0", "unprintable"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}txt", "unprintable"),
        ("\udcff", "unprintable"),
        (LONG, "201 characters"),
    ],
)
def test_bad_text_is_refused(text: str, reason: str) -> None:
    with pytest.raises(pre_gen.RefusedError, match=f"^author .*{reason}"):
        pre_gen.check_text("author", text, 200)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("../mistyped", "mistyped"),
        (".", "outside the project"),
        ("../other-storage", "no directory"),
        ("~/storage", "no directory"),
        ("me@example.com:store", "no directory"),
        ("ftp://example.com/store", "no address"),
        ("file:///store", "no address"),
        ("s3://", "no address"),
        ("ssh://me:secret@example.com/store", "holds a password"),
        ("https://:secret@example.com/store", "holds a password"),
        ("../a'b", "no place for quotes"),
        ('../a"b', "no place for quotes"),
        ("s3://bucket/a,b", "commas"),
        ("s3://bucket/%(x)s", "no place"),
        ("s3://bucket # note", "no place"),
    ],
)
def test_bad_remote_is_refused(url: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(pre_gen.RefusedError, match=reason) as refusal:
        pre_gen.check_remote(url, NAME, tmp_path / NAME)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("scheme", pre_gen.REMOTE_SCHEMES)
def test_address_that_dvc_knows(scheme: str) -> None:
    pre_gen.check_remote(f"{scheme}://me@example.com/store", NAME, Path("/"))


def test_remote_is_written_as_dvc_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / ".dvc" / "config"
    config.parent.mkdir()
    for url, written in (
        ("../store", "../../store"),
        ("/store", "/store"),
        (r"../a\1", r"../../a\1"),
        ("s3://bucket", "s3://bucket"),
    ):
        config.write_text("[core]\n    remote = storage\n    url = ../../storage\n    after = it\n")
        post_gen.write_remote(url)
        assert config.read_text() == (
            f"[core]\n    remote = storage\n    url = {written}\n    after = it\n"
        )


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"title": "x" * 81}, ["title has 81 characters; use 80"]),
        ({"project": "Adult Income"}, ["Adult Income", "Try 'adult-income'"]),
        ({"project": 'a"""b\\'}, ["Try 'a-b'"]),
        ({"description": "two\nlines"}, ["description", r"\n"]),
        ({"author": LONG}, ["author", "201", "200"]),
        ({"remote_url": "../mistyped"}, ["../mistyped", "mistyped"]),
        ({"remote_url": "s3://me:secret@bucket"}, ["--local"]),
    ],
)
def test_bad_answer_leaves_nothing(
    run: Run, tmp_path: Path, answers: dict[str, str], words: list[str]
) -> None:
    refused(run.cookiecutter(tmp_path, answers=answers), *words)
    assert left(tmp_path) == []


def test_a_bad_answer_costs_one_answer(run: Run, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").touch()
    answers = ["Größe & Zweck", "Not This", "taken", "", "", LONG, "", "../mistyped", ""]
    command = [sys.executable, "-m", "cookiecutter", str(TEMPLATE)]
    code, shown = converse(command, tmp_path, run.environment, answers)
    assert code == 0, shown
    assert shown.count("[1/5]") == shown.count("[3/5]") == 1
    assert (shown.count("[2/5]"), shown.count("[4/5]"), shown.count("[5/5]")) == (3, 2, 2)
    for words in ("Try 'not-this'", "already has files in it", "201 characters", "mistyped"):
        assert words in shown
    lines = [line for line in shown.splitlines() if LONG not in line and str(tmp_path) not in line]
    assert max(map(len, lines)) <= COLUMNS
    project = tmp_path / "grosse-zweck"
    assert (project / "README.md").read_text().startswith("# Größe & Zweck\n")
    assert "(c) The Größe & Zweck team" in (project / "LICENSE").read_text()
    assert left(tmp_path) == ["grosse-zweck", "grosse-zweck-storage", "taken"]


def test_nobody_is_asked_what_no_answer_can_mend(run: Run, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cookiecutter", str(TEMPLATE)]
    anonymous = {name: v for name, v in run.environment.items() if not name.startswith("GIT_AU")}
    code, shown = converse(command, tmp_path, anonymous, [])
    assert code == 1
    assert shown.startswith("No project was made: Git does not know who you are.")
    assert shown.strip().endswith('git config --global user.email "you@example.com"')


@settings(deadline=None)
@given(title=st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=80))
def test_a_good_title_is_enough(title: str) -> None:
    try:
        pre_gen.check_text("title", title, pre_gen.LONGEST_TITLE)
    except pre_gen.RefusedError:
        assume(False)
    asked = json.loads((TEMPLATE / "cookiecutter.json").read_text())
    environment = StrictEnvironment(context={"cookiecutter": {}})
    answers = {"title": title}
    for question in pre_gen.QUESTIONS[1:]:
        answers[question] = environment.from_string(asked[question]).render(cookiecutter=answers)
        pre_gen.check_answer(question, answers, None)


def test_replayed_answers_are_checked_too(run: Run, tmp_path: Path) -> None:
    asked = json.loads((TEMPLATE / "cookiecutter.json").read_text())
    answers = {
        "title": "T", "project": "Bad Name", "description": "D", "author": "A", "remote_url": "s3://b",
    }  # fmt: skip
    (tmp_path / "replay.json").write_text(json.dumps({"cookiecutter": {**asked, **answers}}))
    command = (sys.executable, "-m", "cookiecutter", "--replay-file", "replay.json", TEMPLATE)
    refused_by_a_hook(run(*command, cwd=tmp_path, check=False), "Try 'bad-name'")
    assert left(tmp_path) == ["replay.json"]


def test_a_system_without_wheels_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "test@example.com")
    monkeypatch.setattr("platform.machine", lambda: "armv7l")
    assert ask_again.check_machine() == ""
    assert "Warning: there are no wheels" in capsys.readouterr().err


def test_a_file_where_the_storage_goes_is_kept(run: Run, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}-storage").write_text("mine")
    refused(run.cookiecutter(tmp_path), f"{NAME}-storage", "is a file")
    assert left(tmp_path) == [f"{NAME}-storage"]


def test_no_git(run: Run, tmp_path: Path) -> None:
    refused(run.cookiecutter(tmp_path, PATH=str(tmp_path)), "sudo apt-get install git")
    assert left(tmp_path) == []


def test_old_git(run: Run, tmp_path: Path) -> None:
    old = tmp_path / "old" / "git"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho git version 2.20.1\n")
    old.chmod(0o755)
    path = f"{old.parent}:{run.environment['PATH']}"
    refused(run.cookiecutter(tmp_path, PATH=path), "2.20.1", "2.34")
    assert left(tmp_path) == ["old"]


@pytest.mark.parametrize("missing", ["NAME", "EMAIL"])
def test_no_identity(run: Run, tmp_path: Path, missing: str) -> None:
    unset = {f"GIT_{who}_{missing}": "" for who in ("AUTHOR", "COMMITTER")}
    anonymous = Run({key: value for key, value in run.environment.items() if key not in unset})
    done = anonymous.cookiecutter(tmp_path)
    refused(done, "git config --global user.name", "git config --global user.email")
    assert left(tmp_path) == []


def test_identity_that_depends_on_the_place(run: Run, tmp_path: Path) -> None:
    """Nobody knows before the repository is there, so that a hook is the first to refuse."""
    (tmp_path / "me").write_text("[user]\nname = Me\nemail = me@example.com\n")
    config = tmp_path / "gitconfig"
    unnamed = {
        name: value
        for name, value in run.environment.items()
        if not name.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))
    }
    elsewhere = tmp_path / "elsewhere"
    config.write_text(f'[includeIf "gitdir:{elsewhere}/"]\npath = me\n')
    done = Run(unnamed).cookiecutter(tmp_path, GIT_CONFIG_GLOBAL=str(config))
    refused_by_a_hook(done, "git config --global user.email")
    config.write_text(f'[includeIf "gitdir:{tmp_path}/"]\npath = me\n')
    done = Run(unnamed).cookiecutter(tmp_path, GIT_CONFIG_GLOBAL=str(config))
    assert done.returncode == 0, done.stderr
    assert run.git("log", "-1", "--format=%an", cwd=tmp_path / NAME) == "Me"


def test_inside_a_repository_that_does_not_ignore_it(run: Run, tmp_path: Path) -> None:
    run.git("init", "--quiet", cwd=tmp_path)
    refused(run.cookiecutter(tmp_path), str(tmp_path), ".gitignore", "--output-dir")
    assert left(tmp_path) == [".git"]


def test_inside_a_repository_that_ignores_it(run: Run, bake: Bake, tmp_path: Path) -> None:
    run.git("init", "--quiet", cwd=tmp_path)
    (tmp_path / ".gitignore").write_text(f"{NAME}*/\n")
    project = bake(tmp_path)
    assert run.git("rev-parse", "--show-toplevel", cwd=project) == str(project)
    assert run.git("status", "--porcelain", cwd=tmp_path) == "?? .gitignore"


def test_a_directory_in_use_is_refused_and_kept(run: Run, tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "mine").write_text("mine")
    refused(run.cookiecutter(tmp_path, "--overwrite-if-exists"), "already has files in it")
    assert left(tmp_path / NAME) == ["mine"]


def test_failing_git_leaves_nothing(run: Run, tmp_path: Path) -> None:
    skeleton = tmp_path / "skeleton"
    skeleton.mkdir()
    (skeleton / "index.lock").touch()
    done = run.cookiecutter(tmp_path, GIT_TEMPLATE_DIR=str(skeleton))
    refused_by_a_hook(done, "git", "index.lock")
    assert left(tmp_path) == ["skeleton"]


def test_settings_of_the_user_do_not_reach_the_first_commits(run: Run, tmp_path: Path) -> None:
    hooks = tmp_path / "template" / "hooks"
    hooks.mkdir(parents=True)
    for place in (hooks, tmp_path):
        (place / "pre-commit").write_text("#!/bin/sh\nexit 1\n")
        (place / "pre-commit").chmod(0o755)
    (tmp_path / "ignore").write_text("*.txt\nrelease/\n*.dvc\n")
    config = tmp_path / "gitconfig"
    config.write_text(
        f"[commit]\ngpgsign = true\n[gpg]\nprogram = false\n[init]\ntemplateDir = {hooks.parent}\n"
        f"[core]\nhooksPath = {tmp_path}\nexcludesFile = {tmp_path / 'ignore'}\n"
        "autocrlf = true\nsafecrlf = true\n"
    )
    output = tmp_path / "output"
    output.mkdir()
    done = run.cookiecutter(output, GIT_CONFIG_GLOBAL=str(config))
    assert done.returncode == 0, done.stderr
    tracked = run.git("ls-files", cwd=output / NAME).split("\n")
    assert {"requirements/serve.txt", "mlops/release/__init__.py", "data/raw.dvc"} <= set(tracked)
    assert b"\r" not in (output / NAME / "dvc.yaml").read_bytes()


def test_baking_while_a_git_hook_runs(run: Run, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    run.git("init", "--quiet", cwd=outer)
    git_directory = str(outer / ".git")
    index = str(outer / "index")
    done = run.cookiecutter(
        tmp_path, GIT_DIR=git_directory, GIT_INDEX_FILE=index, GIT_OBJECT_DIRECTORY=str(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    assert run.git("for-each-ref", cwd=outer) == ""
    assert run.git("branch", "--show-current", cwd=tmp_path / NAME) == "dev"


def test_says_what_was_made_and_what_comes_next(run: Run, tmp_path: Path) -> None:
    place = tmp_path / "with space"
    place.mkdir()
    done = run.cookiecutter(place)
    assert f"cd '{place / NAME}'\n" in done.stdout
    for word in ("dev -> staging -> prod", f"../{NAME}-storage", "make repro", "mlops promote"):
        assert word in done.stdout
    assert left(place) == [NAME, f"{NAME}-storage"]


def test_the_merge_driver_is_configured(run: Run, baked: Path) -> None:
    driver = run.git("config", "merge.binary.driver", cwd=baked).split()
    assert driver == [
        "python3",
        "-I",
        "mlops/release/history/lock_merge.py",
        "%O",
        "%A",
        "%B",
        "%P",
    ]
    assert os.path.exists(baked / driver[2])  # noqa: PTH110


def test_install_configures_its_own_repository_while_a_git_hook_of_another_runs(
    run: Run, project: Path, tmp_path: Path
) -> None:
    run.git("config", "--remove-section", "merge.binary", cwd=project)
    run.git("init", "--quiet", "outer", cwd=tmp_path)
    command = (sys.executable, "install.py", "--merge-driver")
    run(*command, cwd=project, GIT_DIR=str(tmp_path / "outer/.git"), GIT_PREFIX="")
    assert "lock_merge.py" in run.git("config", "merge.binary.driver", cwd=project)
    assert "merge" not in run.git("config", "--local", "--list", cwd=tmp_path / "outer")
