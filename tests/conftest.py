"""What every test of the template stands on: a clean environment, and a project baked once."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["small_project", "instant_project", "small_batch", "production", "servers"]

TEMPLATE = Path(__file__).resolve().parent.parent
UNBAKED = TEMPLATE / "{{cookiecutter.project}}"
NAME = "adult-income"

Process = subprocess.CompletedProcess[str]

# `mlops` as install.py would put it on PATH, but of the project that one stands in.
MLOPS = f"""#!{sys.executable}
import sys
sys.path.insert(0, "")
from cli import main
main()
"""


class Run:
    """Runs a command in a directory; one that fails fails the test, with all that it printed."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def __call__(
        self, *command: str | Path, cwd: Path, check: bool = True, **variables: str
    ) -> Process:
        words = [str(word) for word in command]
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def git(self, *arguments: str, cwd: Path) -> str:
        return self("git", *arguments, cwd=cwd).stdout.strip()

    def cookiecutter(
        self,
        directory: Path,
        *options: str,
        template: str | Path = TEMPLATE,
        answers: dict[str, str] | None = None,
        **variables: str,
    ) -> Process:
        """Ask for a project in `directory`, whether or not it is refused."""
        command = [sys.executable, "-m", "cookiecutter", "--no-input", *options]
        words = [f"{question}={answer}" for question, answer in (answers or {}).items()]
        place = ["--output-dir", str(directory)]
        return self(*command, *place, template, *words, cwd=directory, check=False, **variables)


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """What a shell starts in the background ignores the signal, and so would all that the tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Nothing of the user's Git, DVC and cookiecutter; an identity; these tools first on PATH."""
    home = tmp_path_factory.mktemp("home")
    launcher = home / "bin" / "mlops"
    launcher.parent.mkdir()
    launcher.write_text(MLOPS)
    launcher.chmod(0o755)
    ours = (str(launcher.parent), str(Path(sys.executable).parent), os.environ["PATH"])
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "VIRTUAL_ENV" and not name.startswith(("GIT_", "DVC_", "PYTEST_", "MAKE"))
    }
    identity = {
        f"GIT_{who}_{key}": value
        for who in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", "Test"), ("EMAIL", "test@example.com"))
    }
    return {
        **kept,
        **identity,
        "HOME": str(home),
        "PATH": os.pathsep.join(ours),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(home / "dvc"),
    }


@pytest.fixture(scope="session")
def run(environment: dict[str, str]) -> Run:
    return Run(environment)


@pytest.fixture(scope="session")
def bake(run: Run) -> Callable[..., Path]:
    """Bakes a project into a directory; the answers are keywords."""

    def bake(directory: Path, **answers: str) -> Path:
        done = run.cookiecutter(directory, answers={"project": NAME, **answers})
        assert done.returncode == 0, done.stderr
        return directory / answers.get("project", NAME)

    return bake


@pytest.fixture(scope="session")
def baked(bake: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as it was born. Tests read it and leave it alone: `project` is their own."""
    return bake(tmp_path_factory.mktemp("baked"))


@pytest.fixture
def project(baked: Path, tmp_path: Path) -> Path:
    """A private copy of the baked project, with a storage of its own beside it."""
    (tmp_path / f"{NAME}-storage").mkdir()
    copy = tmp_path / NAME
    shutil.copytree(baked, copy)
    return copy


@pytest.fixture(scope="session")
def checkout(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user clones: the template as it is in the working tree, committed."""
    directory = tmp_path_factory.mktemp("checkout")
    listed = run.git("ls-files", "-z", "-co", "--exclude-standard", cwd=TEMPLATE)
    kept = "\0".join(name for name in listed.split("\0") if (TEMPLATE / name).exists())
    copy = ["cp", "--parents", "--target-directory", str(directory)]
    subprocess.run(["xargs", "-0", *copy], input=kept.encode(), cwd=TEMPLATE, check=True)
    return directory
