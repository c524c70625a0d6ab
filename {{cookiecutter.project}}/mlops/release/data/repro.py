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
from mlops.errors import NOBODY_READS, MlopsError, say
from mlops.release import child_environment
from mlops.release.data import attestation, dvc, lacking, reach, stage_code, store
from mlops.release.errors import StageFailed
from mlops.release.history import arrivals, lockfile, obstacles
from mlops.release.history.git import Git
from mlops.release.history.lockfile import LOCK

DECLARED = Path("mlops/declared.py")


def run_repro(root: Path, stages: Sequence[str] = (), *, force: bool = False) -> None:
    """Brings the working tree at `root` up to date and says how to commit what changed."""
    guard.check_branch_name(root)
    obstacles.refuse_locked_index(Git(root))
    obstacles.refuse_submodules(Git(root))
    lockfile.refuse_damaged_in(root)
    with reading_declarations(root) as refuse_faults, dvc.open_repo(root) as repo:
        stage_code.refuse_unsound(repo)
        refuse_faults()
        done = reproduce_stages(repo, stages, force=force)
        ignore_outputs(repo)
        results = [str(out) for out in repo.index.outs if not out.use_cache]
    summary = repro_summary(Git(root), done, ["dvc.lock", "*.gitignore", *results])
    say(summary)


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
        command, cwd=root, env=variables, stdout=PIPE, stderr=STDOUT, errors="replace"
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

    Entries without a recorded run are dropped from dvc.lock first, unless every stage is forced to run. Data
    that are not in the working tree are taken from the cache and the default remote. Raises Away, with
    nothing dropped, if the remote is needed and out of reach.
    """
    child_environment.require_python()
    # DVC stages dvc.lock and so writes the index of Git anew. Git would then not see a file that was changed
    # in the second of its checkout and kept its size; `git status` marks such files before.
    Git(Path(repo.root_dir)).run("status", "--porcelain")
    absent = bring_from_cache(repo)
    if force:  # then stages make their outputs anew, and DVC itself pulls nothing
        absent = [out for out in absent if out.stage.is_data_source]
    pull = bool(absent) and dvc.fetch_records(repo)
    bring_sources(repo, absent)
    if not force:
        drop_unattested(repo, ask_remote=not absent)
    try:
        done = repo.reproduce(list(stages) or None, force=force, pull=pull)
    except ReproductionError as error:
        bring_from_cache(repo)  # DVC removes what a stage made before it runs the stage
        if isinstance(error.__cause__, BrokenPipeError):
            sys.exit(NOBODY_READS)
        by_its_command = isinstance(error.__cause__, StageCmdFailedError)
        raise (StageFailed if by_its_command else MlopsError)(reach.error_message(error)) from error
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


def bring_sources(repo: Repo, absent: Sequence[Output]) -> None:
    """Fetches the data that no stage makes. Raises MlopsError if some are lost."""
    sources = {str(out): out.hash_info.value for out in absent if out.stage.is_data_source}
    if lost := {*store.mend_cache(repo, sources.values())}:
        named = {path: md5 for path, md5 in sources.items() if md5 in lost}
        raise MlopsError(lacking.lost_data(Git(Path(repo.root_dir)), "HEAD", named))
    if sources:
        bring_from_cache(repo)


def drop_unattested(repo: Repo, *, ask_remote: bool) -> None:
    """Drops each entry of dvc.lock for which no record of a run is known, and says so."""
    lock = Path(repo.root_dir, LOCK)
    if doubtful := dvc.unattested_entries(repo, ask_remote=ask_remote):
        git = Git(Path(repo.root_dir))
        for words in lacking.unknown_runs(git, lock.read_bytes(), doubtful, "HEAD"):
            line = f"{words}. The entry is dropped, and the stage is run"
            say(line)
        attestation.drop_entries(lock, doubtful)


def bring_from_cache(repo: Repo) -> list[Output]:
    """Checks out what is missing in the working tree; returns what the cache lacks of it."""
    with lock_repo(repo), dvc.quiet_dvc():
        for out in absent_outputs(repo):
            if not out.changed_cache():
                out.checkout()  # repo.checkout would load the libraries of the remote too
        return absent_outputs(repo)


def absent_outputs(repo: Repo) -> list[Output]:
    """Returns the data that are not in the working tree, but for those of data/incoming: no stage reads
    them."""
    return [
        out
        for out in repo.index.outs
        if out.use_cache
        and out.hash_info
        and not out.exists
        and not arrivals.is_arrival(Path(out.fs_path).relative_to(repo.root_dir).as_posix())
    ]


def made_by_stages(repo: Repo) -> dict[str, str]:
    """Returns the MD5, by path, of the outputs of stages that DVC, and not Git, stores."""
    return {
        str(out): out.hash_info.value
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
