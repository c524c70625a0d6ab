import ast
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from baking import NAME, TEMPLATE, UNBAKED, Run

Bake = Callable[..., Path]

RENDERED = {"README.md", "LICENSE", ".dvc/config"}
HOSTILE = {
    "quotes": """it's "quoted" and '''tripled''' and \"\"\"tripled\"\"\" """.strip(),
    "backslashes": r"C:\new\table \\ \" \u0041 \N{DASH}",
    "code": "__import__('os').abort() $(touch hacked) `touch hacked`; touch hacked",
    "markup": "<script>alert('&amp;')</script> </title>",
    "non-ascii": "Zoë Müller, 山田太郎, 😀",
    "braces": "{ } {0} {place} %s %(x)s ${x}",
}


def unbaked_files(run: Run) -> set[str]:
    listed = run.git("ls-files", "-z", "-co", "--exclude-standard", cwd=UNBAKED).split("\0")
    return {name for name in listed if name and (UNBAKED / name).exists()}


def baked_files(run: Run, project: Path) -> set[str]:
    raw = {path.relative_to(project).as_posix() for path in project.glob("data/raw/*")}
    return raw | set(run.git("ls-files", "-z", cwd=project).strip("\0").split("\0"))


def test_a_bake_differs_only_in_the_rendered_files(run: Run, baked: Path) -> None:
    files = unbaked_files(run)
    assert baked_files(run, baked) == files | {".template.yaml"}
    differing = {
        name for name in files if (UNBAKED / name).read_bytes() != (baked / name).read_bytes()
    }
    assert differing == RENDERED


def test_jinja_stands_in_readme_and_license_alone(run: Run) -> None:
    holding = {name for name in unbaked_files(run) if b"{{ cookie" in (UNBAKED / name).read_bytes()}
    assert holding == {"README.md", "LICENSE"}


def test_unbaked_python_compiles(run: Run) -> None:
    for name in unbaked_files(run):
        if name.endswith(".py"):
            ast.parse((UNBAKED / name).read_text(encoding="utf-8"), name)


def test_branches_are_chained_and_differ_in_the_environment_alone(run: Run, baked: Path) -> None:
    assert run.git("for-each-ref", "--format=%(refname:short)", cwd=baked).split() == [
        "dev",
        "prod",
        "staging",
    ]
    for upstream, branch in (("dev", "staging"), ("staging", "prod")):
        assert run.git("rev-parse", f"{branch}~1", cwd=baked) == run.git(
            "rev-parse", upstream, cwd=baked
        )
        changed = run.git("diff", "--name-only", upstream, branch, cwd=baked)
        assert changed == "branch.yaml"
        assert run.git("show", f"{branch}:branch.yaml", cwd=baked) == f"environment: {branch}"


def test_ends_on_dev_with_nothing_to_commit(run: Run, baked: Path) -> None:
    assert run.git("branch", "--show-current", cwd=baked) == "dev"
    assert run.git("status", "--porcelain", cwd=baked) == ""
    assert run.git("show", "dev:branch.yaml", cwd=baked) == "environment: dev"


def test_switching_branches_keeps_the_data(run: Run, project: Path) -> None:
    before = {path.name: path.read_bytes() for path in (project / "data" / "raw").iterdir()}
    for branch in ("staging", "prod", "dev"):
        run.git("switch", branch, cwd=project)
        assert run.git("status", "--porcelain", cwd=project) == ""
    after = {path.name: path.read_bytes() for path in (project / "data" / "raw").iterdir()}
    assert before == after != {}


def test_dvc_knows_the_data_and_the_storage_beside_the_project(run: Run, project: Path) -> None:
    assert f"url = ../../{NAME}-storage\n" in (project / ".dvc" / "config").read_text()
    run("dvc", "commit", "--force", "data/raw.dvc", cwd=project)
    assert run.git("status", "--porcelain", cwd=project) == ""
    run("dvc", "push", "data/raw.dvc", cwd=project)
    assert any((project.parent / f"{NAME}-storage").iterdir())


def test_a_relative_remote_is_given_from_the_project(bake: Bake, run: Run, tmp_path: Path) -> None:
    (tmp_path / "shared store").mkdir()
    project = bake(tmp_path, remote_url="../shared store")
    run("dvc", "commit", "--force", "data/raw.dvc", cwd=project)
    run("dvc", "push", "data/raw.dvc", cwd=project)
    assert any((tmp_path / "shared store").iterdir())
    assert not (tmp_path / f"{NAME}-storage").exists()


@pytest.mark.parametrize("url", ["s3://bucket/a%20path", "ssh://me@example.com/store"])
def test_an_address_reaches_dvc_as_it_was_given(
    bake: Bake, run: Run, tmp_path: Path, url: str
) -> None:
    project = bake(tmp_path, remote_url=url)
    assert run("dvc", "config", "remote.storage.url", cwd=project).stdout.strip() == url
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_an_absolute_remote_stays_absolute(bake: Bake, run: Run, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    project = bake(tmp_path, remote_url=str(store))
    assert run("dvc", "config", "remote.storage.url", cwd=project).stdout.strip() == str(store)


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_hostile_answers_are_text_and_nothing_else(bake: Bake, tmp_path: Path, answer: str) -> None:
    project = bake(tmp_path, title=answer, description=answer, author=answer)
    assert answer in (project / "README.md").read_text(encoding="utf-8")
    assert f"Copyright (c) {answer}\n" in (project / "LICENSE").read_text(encoding="utf-8")
    assert not list(tmp_path.rglob("hacked"))


@pytest.mark.parametrize("answer", ["{{ 7 * 7 }}", "{% raw %}", "{# gone #}", "{{ nope.nope }}"])
def test_jinja_typed_at_the_prompt_stays_text(run: Run, tmp_path: Path, answer: str) -> None:
    replay = tmp_path / "replay.json"
    answers = {
        "title": answer,
        "project": NAME,
        "description": answer,
        "author": answer,
        "remote_url": f"../{NAME}-storage",
    }
    context = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    replay.write_text(json.dumps({"cookiecutter": {**context, **answers}}), encoding="utf-8")
    options = ["--replay-file", str(replay), "--output-dir", str(tmp_path)]
    run("cookiecutter", *options, TEMPLATE, cwd=tmp_path)
    assert (
        (tmp_path / NAME / "README.md")
        .read_text(encoding="utf-8")
        .startswith(f"# {answer}\n\n{answer}")
    )
    assert f"Copyright (c) {answer}\n" in (tmp_path / NAME / "LICENSE").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def published(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as a Git repository that holds the present files."""
    copy = tmp_path_factory.mktemp("published") / "template"
    listed = run.git("ls-files", "-z", "-co", "--exclude-standard", cwd=TEMPLATE).split("\0")
    for name in listed:
        if name and (TEMPLATE / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TEMPLATE / name, copy / name)
    run.git("init", "--quiet", cwd=copy)
    run.git("add", "--all", "--force", cwd=copy)
    run.git("commit", "--quiet", "-m", "Publish", cwd=copy)
    return copy


@pytest.fixture(scope="module")
def from_checkout(run: Run, published: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    directory = tmp_path_factory.mktemp("checkout")
    done = run.cookiecutter(directory, template=published)
    assert done.returncode == 0, done.stderr
    return tree(run, directory / NAME)


def test_bakes_from_a_git_url(
    run: Run, published: Path, from_checkout: list[str], tmp_path: Path
) -> None:
    done = run.cookiecutter(tmp_path, template=f"git+file://{published}")
    assert done.returncode == 0, done.stderr
    assert tree(run, tmp_path / NAME) == from_checkout


def test_bakes_from_a_zip(
    run: Run, published: Path, from_checkout: list[str], tmp_path: Path
) -> None:
    archive = tmp_path / "template.zip"
    run.git("archive", "--prefix=template/", f"--output={archive}", "HEAD", cwd=published)
    done = run.cookiecutter(tmp_path, template=archive)
    assert done.returncode == 0, done.stderr
    assert tree(run, tmp_path / NAME) == from_checkout


def tree(run: Run, project: Path) -> list[str]:
    """Returns names and contents without file modes, which a zip file does not store, and without what
    .template.yaml says."""
    listed = run.git("ls-tree", "-r", "--format=%(objectname) %(path)", "HEAD", cwd=project)
    listed = re.sub(r"(?m)^.* \.template\.yaml$", ".template.yaml", listed)
    raw = [path.read_bytes().hex() for path in sorted(project.glob("data/raw/*"))]
    return [*listed.splitlines(), *raw]


@pytest.mark.parametrize("command", ["ruff check", "ruff format --check", "mypy"])
def test_a_bake_passes_its_own_checks(run: Run, project: Path, command: str) -> None:
    run(*command.split(), cwd=project)
    assert run.git("status", "--porcelain", cwd=project) == ""
