"""Chooses the project whose machinery is tested, and makes the fixtures available to every test."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

TEMPLATE = Path(__file__).resolve().parents[1]
PROJECT = TEMPLATE / "{{cookiecutter.project}}"
FIXTURES = (
    *("baking", "machinery", "small_project", "instant_project", "small_batch", "production"),
    *("browser", "contenders", "template_states"),
    *("servers", "storages", "three_tasks"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--project",
        metavar="DIR",
        type=Path,
        default=PROJECT,
        help="--project=DIR: the project whose machinery is tested; by default the template's own",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Imports the fixtures only after it is known from which project they import."""
    project = config.getoption("--project").resolve()
    if config.rootpath != TEMPLATE:
        raise pytest.UsageError(
            f"pytest has read the settings of {config.rootpath}, since it takes a folder that stands alone "
            f"for one of tests: write --project={project}"
        )
    if not (project / "mlops").is_dir():
        raise pytest.UsageError(f"--project {project}: there is no folder mlops in it")
    stand_alone(config)
    sys.path.insert(0, str(project))
    for name in FIXTURES:
        config.pluginmanager.import_plugin(name)


def stand_alone(config: pytest.Config) -> None:
    """The tests read nothing that the user told Git or DVC, and leave nothing behind.

    What is kept outside of a project ends with them, and no bytecode lies where a bake would copy it.
    """
    home = tempfile.TemporaryDirectory(prefix="home-of-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(home.cleanup)
    os.environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for name in ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR"):
        os.environ[name] = str(Path(home.name, name))
    os.environ["DASK_TEMPORARY_DIRECTORY"] = home.name
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # or waiting threads keep other tests waiting
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Says how to repeat the order of the tests, which pytest-randomly leaves out under -q."""
    seed = config.getoption("randomly_seed", None)
    if seed is not None:
        terminalreporter.write_line(f"order of the tests: --randomly-seed={seed}")
