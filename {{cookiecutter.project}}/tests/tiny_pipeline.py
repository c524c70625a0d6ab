"""A project of three stages that shell commands make in an instant, with real Git and real DVC."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from release import dvc

PROJECT = Path(__file__).parents[1]
SECONDS = count(1_700_000_000)
PIPELINE = """\
vars: [environment.yaml]
stages:
  train:
    cmd: sh train.sh
    deps: [data/raw.txt, train.sh]
    params: [weight]
    outs: [models/model.txt]
  evaluate:
    cmd: cp models/model.txt reports/metrics.yaml
    deps: [models/model.txt]
    metrics:
      - reports/metrics.yaml: {cache: false}
  deploy:
    cmd: cat models/model.txt environments/${environment}.yaml > deploy.txt
    deps: [models/model.txt]
    params:
      - environments/${environment}.yaml: [label]
    outs: [deploy.txt]
"""
FILES = {
    ".dvc/config": "[core]\n    analytics = false\n    autostage = true\n    remote = storage\n"
    "['remote \"storage\"']\n    url = ../../storage\n",
    ".dvc/.gitignore": "/cache\n/config.local\n/tmp\n",
    "dvc.yaml": PIPELINE,
    "params.yaml": "weight: 1\n",
    "environment.yaml": "environment: dev\n",
    "data/raw.txt": "5\n",
    "data/raw.txt.dvc": "outs:\n- path: raw.txt\n  hash: md5\n"
    "  md5: 1dcca23355272056f04fe8bf20edfce0\n",
    "data/.gitignore": "/raw.txt\n",
    "models/.gitignore": "",
    "reports/.gitkeep": "",
    "train.sh": "weight=$(sed -n 's/weight: //p' params.yaml)\n"
    'echo "sum: $(($(cat data/raw.txt) * weight))" > models/model.txt\n',
    **{f"environments/{name}.yaml": f"label: {name}\n" for name in ("dev", "staging", "prod")},
}
IDENTITY = {
    **{f"GIT_{role}_NAME": "A. Tester" for role in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{role}_EMAIL": "tester@example.org" for role in ("AUTHOR", "COMMITTER")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"
} | IDENTITY


def make(folder: Path, files: Mapping[str, str] = FILES) -> Path:
    """A repository on dev in `folder`, its remote a directory beside it; nothing is run."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.copy(PROJECT / ".gitattributes", folder)
    git(folder, "init", "--quiet", "--initial-branch", "dev")
    (folder.parent / "storage").mkdir()
    commit(folder, "Begin")
    return folder


def reproduced(folder: Path, files: Mapping[str, str] = FILES) -> Path:
    """The repository of `make`, its stages run and committed, the results pushed to its remote."""
    make(folder, files)
    with dvc.opened(folder) as repo:
        repo.reproduce()
        repo.push(run_cache=True)
    commit(folder, "Run")
    return folder


def git(folder: Path, *arguments: str) -> str:
    return run(folder, "git", *arguments)


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def shell(folder: Path, command: str) -> str:
    return run(folder, "sh", "-c", command)


def run(folder: Path, *command: str) -> str:
    process = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def age(path: Path) -> None:
    """A second of its own for what was written. Git compares whole seconds and sizes, and DVC, which stages
    dvc.lock by itself, writes the index without Git's second look at what is recent: a change of the
    same size in the same second could be taken for none."""
    second = next(SECONDS)
    os.utime(path, (second, second))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
