"""Bake a project, run it on dev, promote its model to staging and prod, ask prod for an answer."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent
NAME = "adult-income"
ITS_OWN = {"NAME": "Demo", "EMAIL": "demo@example.com"}


@dataclass(frozen=True)
class Step:
    title: str
    directory: Path
    commands: list[list[str]]
    installs: bool = False


def steps(project: Path, tool: list[str]) -> list[Step]:
    venv = TEMPLATE / ".venv"
    installer = str(TEMPLATE / "{{cookiecutter.project}}" / "install.py")
    lock = str(TEMPLATE / "requirements" / "template.txt")
    cookiecutter = [str(venv / "bin" / "cookiecutter"), "--default-config", "--no-input"]
    bake = [*cookiecutter, "--output-dir", str(project.parent), str(TEMPLATE), f"project={NAME}"]
    commit = ["git", "-c", "commit.gpgsign=false", "commit", "--quiet", "-m", "First run"]
    return [
        Step(
            "Install cookiecutter",
            TEMPLATE,
            [[sys.executable, installer, "--venv", str(venv), "--no-project", *tool, lock]],
            installs=True,
        ),
        Step("Bake the project", TEMPLATE, [bake]),
        Step(
            "Install the libraries of the project",
            project,
            [[sys.executable, "install.py", *tool]],
            installs=True,
        ),
        Step("Run the pipeline on dev", project, [["mlops", "repro"]]),
        Step("Commit the run", project, [["git", "add", "--all"], commit]),
        Step("Promote to staging", project, [["mlops", "promote", "staging"]]),
        Step("Promote to prod", project, [["mlops", "promote", "prod"]]),
        Step("See what runs where", project, [["mlops", "status"]]),
        Step("Ask prod's model", project, [["mlops", "predict", "--environment", "prod"]]),
    ]


def environment(project: Path) -> dict[str, str]:
    """The user's own, with the project's commands first."""
    inherited = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    path = f"{project / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**inherited, "PATH": path}


def identity() -> dict[str, str]:
    """Nothing where Git knows who the user is, otherwise an identity of the demo's own."""
    question = ["git", "-c", "user.useConfigOnly=true", "var"]
    answers = [
        subprocess.run([*question, f"GIT_{who}_IDENT"], cwd="/", capture_output=True, check=False)
        for who in ("AUTHOR", "COMMITTER")
    ]
    if not any(answer.returncode for answer in answers):
        return {}
    print(f"Git does not know who you are: this demo alone commits as {ITS_OWN['EMAIL']}.")
    return {f"GIT_{who}_{key}": ITS_OWN[key] for who in ("AUTHOR", "COMMITTER") for key in ITS_OWN}


def perform(step: Step, variables: dict[str, str]) -> float:
    """Run the commands of a step, showing them and what they print; how long it took."""
    started = time.monotonic()
    for command in step.commands:
        print(f"  $ {shlex.join([Path(command[0]).name, *command[1:]])}", flush=True)
        subprocess.run(command, cwd=step.directory, env=variables, check=True)
    took = time.monotonic() - started
    print(f"  ({took:.1f} s)", flush=True)
    return took


def run(project: Path, tool: list[str]) -> None:
    variables = {**environment(project), **identity()}
    seconds = {True: 0.0, False: 0.0}
    plan = steps(project, tool)
    for number, step in enumerate(plan, 1):
        print(f"\n[{number}/{len(plan)}] {step.title}", flush=True)
        try:
            seconds[step.installs] += perform(step, variables)
        except subprocess.CalledProcessError as error:
            status = f"failed with exit code {error.returncode}; it says why above"
            sys.exit(f"\nStep {number}, {step.title!r}, {status}.\n{again(project)}")
    finished(project).touch()
    print(f"\nDone in {seconds[False]:.0f} s, beside {seconds[True]:.0f} s of installing.")
    print(what_next(project))


def finished(project: Path) -> Path:
    return project / ".git" / "demo-finished"


def show(project: Path) -> None:
    """What an earlier demo left, and how to begin again."""
    if not finished(project).exists():
        sys.exit(f"{project} is there, but no demo came to its end in it.\n{again(project)}")
    print(f"{project} is there from an earlier demo:\n", flush=True)
    subprocess.run(["mlops", "status"], cwd=project, env=environment(project), check=False)
    print(what_next(project))


def what_next(project: Path) -> str:
    return f"""
Next, to train another model and bring it to production:
  cd {shlex.quote(str(project))} && . .venv/bin/activate
  edit params.yaml, then: mlops repro
  git commit --all -m "Another model" && mlops promote staging
{again(project)}"""


def again(project: Path) -> str:
    storage = project.with_name(f"{NAME}-storage")
    remove = f"  rm -rf {shlex.join([str(project), str(storage)])}\n" if project.exists() else ""
    home = project.parent
    where = "" if home == TEMPLATE / "demo" else f" DEMO={shlex.quote(str(home))}"
    return f"To begin again:\n{remove}  make demo{where}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="the project is made in here")
    parser.add_argument("--with", choices=["pip", "uv"], dest="tool", help="default: uv if on PATH")
    chosen = parser.parse_args()
    project = Path(os.path.abspath(chosen.directory)) / NAME  # noqa: PTH100 - without ..
    if not shutil.which("git"):
        sys.exit("git is not on PATH. On Debian: sudo apt-get install git")
    try:
        if project.exists():
            show(project)
        else:
            run(project, ["--with", chosen.tool] if chosen.tool else [])
    except KeyboardInterrupt:
        sys.exit(f"\nStopped.\n{again(project)}")


if __name__ == "__main__":
    main()
