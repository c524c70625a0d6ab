"""`mlops update` between successive releases of the template, in a project that its owner has edited."""

import shutil
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

import instant_project
import soak
from baking import NAME, TEMPLATE, Process, Run
from mlops.errors import Away, MlopsError, Refused, UsageError
from mlops.release.history.git import Git
from mlops.release.update import update
from template_states import Template, append, commit, edit, pin

Change = Callable[[Path], None]


@pytest.fixture(autouse=True)
def tester(monkeypatch: pytest.MonkeyPatch) -> None:
    instant_project.speak_as_tester(monkeypatch)


@pytest.fixture
def fresh(first_release: Path, all_releases: Template, tmp_path: Path) -> Path:
    """A project of the first release that nobody has touched, with newer releases to be had."""
    shutil.copytree(first_release / NAME, tmp_path / NAME)
    return tmp_path / NAME


@pytest.fixture
def edited(owned: Path, all_releases: Template, tmp_path: Path) -> Path:
    shutil.copytree(owned.parent, tmp_path / "owned", symlinks=True)
    return tmp_path / "owned" / NAME


def state(project: Path) -> list[str]:
    """All refs, and the user's index and files."""
    git = Git(project)
    asked = (["for-each-ref"], ["status", "--porcelain", "--branch"], ["ls-files", "--stage"])
    return [git.run(*words) for words in (*asked, ["worktree", "list"])]


def updated(project: Path, ref: str | None = None, *, dry_run: bool = False) -> str:
    """What the update says."""
    said: list[str] = []
    update.update_project(Git(project), ref, said.append, dry_run=dry_run)
    return "\n".join(said)


def refused(
    project: Path,
    words: str,
    error: type[Exception] = Refused,
    ref: str | None = None,
    *,
    dry_run: bool = False,
) -> None:
    before = state(project)
    with pytest.raises(error, match=words):
        updated(project, ref, dry_run=dry_run)
    assert state(project) == before
    assert not (project / update.FOLDER).exists()


def change_origin(run: Run, project: Path, **changed: str | None) -> None:
    """Gives keys of .template.yaml another value, or deletes them for None, and commits."""
    file = project / ".template.yaml"
    lines = file.read_text().splitlines()
    for key, value in changed.items():
        (number,) = (n for n, line in enumerate(lines) if line.startswith(f"{key}: "))
        lines[number : number + 1] = [] if value is None else [f'{key}: "{value}"']
    file.write_text("".join(f"{line}\n" for line in lines))
    commit(run, project, "The template has moved")


def test_what_cannot_be_updated_is_refused_and_nothing_changes(run: Run, fresh: Path) -> None:
    refused(
        fresh, "no release, branch or commit '9.9.9'; .* v1.3.0, v1.2.0", UsageError, ref="9.9.9"
    )
    (fresh / "params.yaml").write_text("mine: 1\n")
    refused(fresh, "dev has uncommitted work: params.yaml")
    run.git("checkout", "params.yaml", cwd=fresh)
    run.git("switch", "--quiet", "staging", cwd=fresh)
    refused(fresh, "this is staging, and an update begins on dev.*`git switch dev`")
    run.git("switch", "--quiet", "--detach", "dev", cwd=fresh)
    refused(fresh, "no branch is checked out: `git switch dev`")
    run.git("switch", "--quiet", "dev", cwd=fresh)
    for address in (str(fresh.parent / "nowhere"), (fresh.parent / "nowhere").as_uri()):
        change_origin(run, fresh, address=address)
        refused(fresh, "there is no Git repository at .*nowhere", MlopsError)
    change_origin(run, fresh, address="http://127.0.0.1:9/template.git")
    refused(fresh, "can't be fetched: http://127.0.0.1:9/template.git cannot be reached", Away)
    change_origin(run, fresh, address=str(fresh))
    refused(fresh, "has no commit .* of which this project was made", MlopsError)
    (fresh / ".template.yaml").write_text("address: [\n")
    commit(run, fresh, "Broken")
    refused(fresh, ".template.yaml is not YAML", MlopsError)
    (fresh / ".template.yaml").write_text("place: here\n")
    commit(run, fresh, "Other keys")
    refused(fresh, "has not the keys that docs/updating.md lists", MlopsError)
    run.git("rm", "--quiet", ".template.yaml", cwd=fresh)
    commit(run, fresh, "Gone")
    refused(fresh, "is missing, and it says which template", MlopsError)


class WantsPassword(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="templates"')
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


def test_nobody_is_asked_for_the_password_of_a_template(run: Run, fresh: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), WantsPassword) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/template.git"
        change_origin(run, fresh, address=address)
        refused(fresh, f"{address} wants a password.*terminal prompts disabled", Refused)
        server.shutdown()


def test_a_template_without_history_is_named_once_it_has_one(
    run: Run, fresh: Path, all_releases: Template
) -> None:
    """As after a bake from a zip file, and as docs/updating.md describes for a project without the file."""
    change_origin(run, fresh, address="/downloads/template.zip", commit="")
    refused(fresh, "was a zip file, .*template.zip, which has no history: .* `address`", MlopsError)
    change_origin(run, fresh, address=str(all_releases.root))
    assert "from 1.0.0 to 1.3.0" in updated(fresh, dry_run=True)
    change_origin(run, fresh, version="0.0.1")
    refused(fresh, "has no release '0.0.1', of which .* as `commit` into", MlopsError)
    change_origin(run, fresh, version=None, without=None, machinery=None, commit="v1.0.0")
    assert "from 1.0.0 to 1.3.0" in updated(fresh)


def test_an_untouched_project_becomes_what_the_newer_template_makes(
    run: Run, fresh: Path, all_releases: Template, tmp_path: Path
) -> None:
    before = state(fresh)
    assert "--dry-run" in updated(fresh, dry_run=True)
    assert state(fresh) == before
    said = updated(fresh)
    assert "from 1.0.0 to 1.3.0" in said
    assert "1.2.0: What an owner must do\nWrite the seed that you like into params.yaml." in said
    assert "1.0.0: What" not in said
    assert run.git("branch", "--show-current", cwd=fresh) == "dev"
    refused(fresh, "mlops-update holds an update that is not merged")
    run.git("merge", "--quiet", "--ff-only", "mlops-update", cwd=fresh)
    assert "up to date: the project has 1.3.0" in updated(fresh)
    assert len(run.git("rev-list", "mlops-update", cwd=fresh).split()) == 2
    (tmp_path / "new").mkdir()
    done = run.cookiecutter(tmp_path / "new", template=all_releases.root, answers={"project": NAME})
    assert done.returncode == 0, done.stderr
    trees = [
        run.git("ls-tree", "-r", "HEAD", cwd=each) for each in (fresh, tmp_path / "new" / NAME)
    ]
    assert trees[0] == trees[1]


def test_what_an_owner_has_made_of_a_project_lives_through_three_updates(
    run: Run, edited: Path, all_releases: Template
) -> None:
    def step(version: str) -> str:
        done: Process = run("mlops", "update", version, cwd=edited)
        run.git("merge", "--quiet", "--ff-only", "mlops-update", cwd=edited)
        assert "<<<<<<< " not in run("git", "grep", "^<<<<<<< ", cwd=edited, check=False).stdout
        return done.stdout

    said = step("1.1.0")
    assert "stays deleted: .github, mlops/batch/destinations/redis_store.py" in said
    assert "have changed the machinery" not in said
    assert "`mlops repro` will run: nothing\n" in said
    said = step("1.2.0")
    assert "`mlops repro` will run: prepare, train, evaluate, deploy" in said
    said = step("v1.3.0")
    assert "resolving the libraries again, since you have changed requirements/batch.txt" in said

    assert sorted(path.name for path in (edited / "mlops/batch/destinations").glob("redis*")) == []
    assert not (edited / ".github").exists()
    assert (
        'without: [".github", "mlops/batch/destinations/redis_hashes.py"]'
        in (edited / ".template.yaml").read_text()
    )
    assert not (edited / "tests/test_architectures.py").exists()
    assert "# Mine" in (edited / "tests/test_models.py").read_text()
    params = (edited / "params.yaml").read_text()
    assert "single_tree: {depth: 4}" in params
    assert "importance_seed: 1" in params
    pipeline = (edited / "dvc.yaml").read_text()
    assert "python science/count.py" in pipeline
    assert "mlops/lineage.py" in pipeline
    assert "fraction: 0.2" in (edited / "environments/dev.yaml").read_text()
    assert "We meet on Mondays." in (edited / "README.md").read_text()
    assert "[tool.coverage.run]" in (edited / "pyproject.toml").read_text()
    assert (edited / "data/raw/more.csv").exists()

    train, batch = edited / "requirements/train.txt", edited / "requirements/batch.txt"
    shipped = all_releases.project / "requirements"
    assert pin(train, "fsspec") == pin(shipped / "batch.txt", "fsspec")
    assert pin(train, "numpy").split()[0] == pin(shipped / "train.txt", "numpy").split()[0]
    assert pin(train, "rich").split()[0] == pin(shipped / "train.txt", "rich").split()[0]
    assert "\nredis==" not in batch.read_text()
    assert (edited / "requirements/serve.txt").read_text() == (shipped / "serve.txt").read_text()

    assert run("mlops", "--version", cwd=edited).stdout == "mlops 1.3.0\n"
    tests = run("python", "-m", "pytest", "-p", "no:cacheprovider", cwd=edited).stdout
    assert "passed" in tests
    assert "skipped" not in tests
    if soak.LOG:
        rooms = ("tests/predict", "tests/contract", "tests/tables", "tests/service")
        machinery = ("-p", "no:cacheprovider", f"--project={edited}", *rooms)
        machinery_tests = run(
            "python", "-m", "pytest", *machinery, cwd=TEMPLATE, SOAK_LOG="", FUZZ_REQUESTS="2000"
        )
        assert "passed" in machinery_tests.stdout
    assert "not as the template" not in run("mlops", "check", cwd=edited, check=False).stdout


def test_libraries_that_cannot_be_resolved_stop_the_update(
    run: Run, edited: Path, tmp_path: Path
) -> None:
    index = {"UV_CACHE_DIR": str(tmp_path / "cache"), "UV_HTTP_RETRIES": "0"}
    before = state(edited)
    for place, code, words in (
        (tmp_path.as_uri(), 1, " was not found in the package registry"),
        ("http://127.0.0.1:9/simple", 5, "Failed to fetch: http://127.0.0.1:9/simple/"),
    ):
        done = run("mlops", "update", cwd=edited, check=False, **index, UV_DEFAULT_INDEX=place)
        assert done.returncode == code
        assert words in done.stderr
        assert "\nNothing has changed: " in done.stderr
        assert state(edited) == before


def test_changed_machinery_is_merged_and_named(run: Run, fresh: Path) -> None:
    printing, checked = fresh / "mlops/cli/printing.py", "mlops/release/prove/check.py"
    edit(printing, "import sys\n", "import sys\n\nMINE = True\n")
    append(fresh / checked, "\n# mine\n")
    (fresh / "mlops/gate/mine.py").write_text('"""Mine."""\n')
    commit(run, fresh, "My machinery")
    said = run("mlops", "check", cwd=fresh, check=False).stdout
    named = f"mlops/cli/printing.py, mlops/gate/mine.py (added), {checked}"
    assert f"so that an update merges it: {named}\n" in said
    assert f"replaced: {named.replace(' (added)', '')}" in updated(fresh, "1.1.0")
    run.git("merge", "--quiet", "mlops-update", cwd=fresh)
    assert "MINE = True" in printing.read_text()
    assert printing.read_text().endswith("WIDTH = 80\n")
    assert (fresh / "mlops/gate/mine.py").exists()
    assert named in run("mlops", "check", cwd=fresh, check=False).stdout
    run.git(
        "clone", "--quiet", "--depth=1", f"file://{fresh}", str(fresh.parent / "shallow"), cwd=fresh
    )
    shallow = run("mlops", "check", cwd=fresh.parent / "shallow", check=False).stdout
    assert "mlops/ (this clone does not have it as it was shipped)" in shallow


def test_conflicts_are_left_to_git_and_end_as_one_commit(
    run: Run, fresh: Path, all_releases: Template, tmp_path: Path
) -> None:
    """Both have added something else at the same place, in params.yaml and in the machinery. The template has
    also moved a folder, in which the owner has edited a file and added another."""
    shutil.copytree(all_releases.root, tmp_path / "template")
    template = Template(run, tmp_path / "template")
    template.move("environments", "places")
    template.release("1.4.0")
    change_origin(run, fresh, address="../template")
    edit(fresh / "environments/dev.yaml", "fraction: 0.3", "fraction: 0.2")
    (fresh / "environments/mine.yaml").write_text("mine: true\n")
    edit(fresh / "params.yaml", "  importance_rows:", "  importance_kind: mine\n  importance_rows:")
    append(fresh / "mlops/cli/printing.py", "\nWIDTH = 100\n")
    commit(run, fresh, "Mine")
    refused(
        fresh,
        "(?s)changed in mlops/cli/printing.py, params.yaml; no branch .*--dry-run",
        dry_run=True,
    )
    with pytest.raises(Refused) as refusal:
        updated(fresh)
    commands = [
        line.split("    #")[0] for line in str(refusal.value).splitlines() if line[:2] == "  "
    ]
    assert run.git("status", "--porcelain", cwd=fresh) == ""
    assert run.git("branch", "--list", "mlops-update", cwd=fresh) == ""
    begin, *finish, last = commands
    assert run("sh", "-c", begin, cwd=fresh, check=False).returncode == 1
    unmerged = run.git("diff", "--name-only", "--diff-filter=U", cwd=fresh).splitlines()
    assert unmerged == ["mlops/cli/printing.py", "params.yaml"]
    for name in unmerged:
        run.git("checkout", "--ours", name, cwd=fresh)
    edit(fresh / "params.yaml", "  importance_kind: mine\n", "  importance_seed: 1\n")
    run("sh", "-ec", "\n".join(finish), cwd=fresh, GIT_EDITOR="true")
    run("sh", "-ec", last.replace("make install", "true"), cwd=fresh)
    assert run.git("log", "-1", "--format=%s", cwd=fresh).endswith("1.0.0 to 1.4.0")
    assert 'version: "1.4.0"' in (fresh / ".template.yaml").read_text()
    assert "fraction: 0.2" in (fresh / "places/dev.yaml").read_text()
    assert (fresh / "places/mine.yaml").exists()
    assert not (fresh / "environments").exists()


def test_a_new_question_is_answered_by_its_default(
    run: Run, fresh: Path, all_releases: Template, tmp_path: Path
) -> None:
    shutil.copytree(all_releases.root, tmp_path / "template")
    template = Template(run, tmp_path / "template")
    edit(
        template.root / "cookiecutter.json",
        '  "__prompts__"',
        '  "motto": "{{ cookiecutter.project }} for all",\n  "__prompts__"',
    )
    append(template.project / "README.md", "\n{{ cookiecutter.motto }}\n")
    template.release("1.4.0")
    change_origin(run, fresh, address="../template")
    said = updated(fresh)
    assert f"asks for 'motto' now, and .template.yaml takes the default: '{NAME} for all'" in said
    run.git("merge", "--quiet", "mlops-update", cwd=fresh)
    assert (fresh / "README.md").read_text().endswith(f"\n{NAME} for all\n")
