"""`mlops repro`: runs DVC's reproduction, once every entry of dvc.lock stands for a recorded run."""

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, STDOUT

from dvc.exceptions import ReproductionError
from dvc.output import Output
from dvc.repo import Repo, lock_repo
from dvc.stage.exceptions import StageCmdFailedError

from mlops.deploy import guard
from mlops.errors import MlopsError
from mlops.release import child_environment
from mlops.release.data import attestation, dvc, stage_code
from mlops.release.errors import StageFailed
from mlops.release.history.git import Git

DECLARED = Path("mlops/declared.py")


def run_repro(root: Path, stages: Sequence[str] = (), *, force: bool = False) -> None:
    """Brings the working tree at `root` up to date and says how to commit what changed."""
    guard.check_branch_name(root)
    with reading_declarations(root) as refuse_faults, dvc.open_repo(root) as repo:
        stage_code.refuse_unsound(repo)
        refuse_faults()
        done = reproduce_stages(repo, stages, force=force)
        ignore_outputs(repo)
        results = [str(out) for out in repo.index.outs if not out.use_cache]
    print(repro_summary(Git(root), done, ["dvc.lock", "*.gitignore", *results]))


@contextmanager
def reading_declarations(root: Path) -> Iterator[Callable[[], None]]:
    """Reads what the owner has declared, in a process of its own while DVC is loaded here.

    Yields a function that waits for it, and raises MlopsError with what is wrong.
    """
    if not (root / DECLARED).exists():
        yield lambda: None
        return
    command = [sys.executable, "-m", "mlops.declared"]
    variables = child_environment.for_python(root)
    with subprocess.Popen(
        command, cwd=root, env=variables, stdout=PIPE, stderr=STDOUT, text=True
    ) as process:

        def refuse_faults() -> None:
            message, _ = process.communicate()
            if process.returncode:
                raise MlopsError(message.strip())

        yield refuse_faults


def ignore_outputs(repo: Repo) -> None:
    """Restores the lines of .gitignore for outputs.

    A merge may lose them, and DVC writes them only for stages that it runs.
    """
    with repo.scm_context(quiet=True):
        for out in repo.index.outs:
            if out.exists:
                out.ignore()


def reproduce_stages(repo: Repo, stages: Sequence[str] = (), *, force: bool = False) -> list[str]:
    """Brings the stages, by default all, up to date and returns the names of those that were not.

    Entries without a recorded run are dropped from dvc.lock first. Data that are not in the working
    tree are taken from the cache and the default remote.
    """
    child_environment.require_python()
    complete = bring_from_cache(repo)
    pull = not complete and dvc.fetch_records(repo)
    if doubtful := dvc.unattested_entries(repo, ask_remote=complete):
        for name in doubtful:
            print(
                f"{name}: no recorded run made its entry in dvc.lock; it is dropped and run",
                flush=True,
            )
        attestation.drop_entries(Path(repo.root_dir, "dvc.lock"), doubtful)
    if pull and force:
        sources = [stage.addressing for stage in repo.index.stages if stage.is_data_source]
        repo.pull(sources, allow_missing=True)  # DVC itself pulls nothing when forced
    try:
        done = repo.reproduce(list(stages) or None, force=force, pull=pull)
    except ReproductionError as error:
        bring_from_cache(repo)  # DVC removes what a stage made before it runs the stage
        by_its_command = isinstance(error.__cause__, StageCmdFailedError)
        raise (StageFailed if by_its_command else MlopsError)(dvc.dvc_message(error)) from error
    return [stage.addressing for stage in done if stage.cmd]


def unreproduced(repo: Repo) -> list[str]:
    """Returns the stages that are not up to date, whether or not their data are in the working tree."""
    with lock_repo(repo), dvc.quiet_dvc():
        stages = repo.index.stages
        return [
            stage.addressing
            for stage in stages
            if not (stage.is_callback or stage.always_changed)
            and stage.changed(allow_missing=True, upstream=stages)
        ]


def bring_from_cache(repo: Repo) -> bool:
    """Checks out what is missing in the working tree; returns False if the cache lacks some of it."""
    with lock_repo(repo), dvc.quiet_dvc():
        for out in absent_outputs(repo):
            if not out.changed_cache():
                out.checkout()  # repo.checkout would load the libraries of the remote too
        return not absent_outputs(repo)


def absent_outputs(repo: Repo) -> list[Output]:
    return [out for out in repo.index.outs if out.use_cache and out.hash_info and not out.exists]


def made_by_stages(repo: Repo) -> set[str]:
    """Returns the hashes of the outputs of stages that DVC, and not Git, stores."""
    return {
        out.hash_info.value
        for out in repo.index.outs
        if out.use_cache and not out.stage.is_data_source
    }


def repro_summary(git: Git, done: Sequence[str], results: Sequence[str]) -> str:
    """Returns what was done, with the command that commits `results`, the paths that Git stores."""
    new = git.lines("ls-files", "--others", "--exclude-standard", "--", *results)
    summary = f"Brought up to date: {', '.join(done)}." if done else "Everything was up to date."
    if not new and git.succeeds("diff", "--quiet", "HEAD", "--", *results):
        return summary
    add = f"git add {shlex.join(new)} && " if new else ""
    subject = f"Reproduce {', '.join(done)}" if done else "Reproduce"
    return f"{summary} Commit it: `{add}git commit -am {shlex.quote(subject)}`"
