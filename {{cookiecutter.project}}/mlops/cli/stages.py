"""The commands that run stages, check what they recorded, and remove what is no longer used."""

from dataclasses import asdict
from typing import Annotated

import typer

from mlops.cli import printing
from mlops.cli.arguments import Form, Run, permission
from mlops.errors import UsageError
from mlops.release.errors import NotReproduced, Untrue
from mlops.release.history.git import Git

commands = typer.Typer()

FEW = 10
"""The number of changed files of the machinery that are named."""


@commands.command()
def repro(
    stages: Annotated[list[str] | None, typer.Argument(help="Stages; all by default.")] = None,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Run stages that are up to date, too.")
    ] = False,
) -> None:
    """Run the stages that are not up to date, from a dvc.lock that is true."""
    from mlops.release.data import repro
    from mlops.release.history import settings
    from mlops.release.look import outcome

    git = Git.of_current_directory()
    settings.refuse_unreadable(settings.read_settings(git))
    repro.run_repro(git.root, stages or [], force=force)
    if sentence := outcome.outcome_sentence(git):
        printing.say(sentence)


@commands.command()
def search(
    *,
    trials: Annotated[
        int | None, typer.Option(min=1, help="End once the search has as many trials.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, max=525_600, help="End after as many minutes; 5 without --trials."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, max=64, help="Trials at a time, which share the cores; at most 4 by default."
        ),
    ] = None,
    architecture: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Search this architecture; all of params.yaml by default."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the latest search.")] = False,
    experiments: Annotated[
        int, typer.Option(min=0, help="Save as many of the best trials as experiments of DVC.")
    ] = 1,
) -> None:
    """Search the best architecture and hyperparameters, and write them into params.yaml.

    Trials are measured on training or validation rows, never on test rows. Ctrl-C ends the search and keeps
    what was tried.
    """
    from contextlib import chdir

    from mlops.release import child_environment
    from mlops.release.data import experiments as dvc_experiments
    from mlops.release.data import repro
    from mlops.release.errors import StageFailed
    from mlops.release.history import obstacles

    git = Git.of_current_directory()
    obstacles.refuse_unfinished(git)
    repro.run_repro(git.root, ["prepare"])

    from mlops.search import board, winner  # which import the owner's Python: it is sound now
    from mlops.search.search import Order, default_workers, run_search
    from mlops.trials import best_first, read_search

    seconds = 60 * minutes if minutes is not None else (None if trials else 300.0)
    order = Order(trials, seconds, workers or default_workers(), architecture or [], resume)
    with chdir(git.root):
        with board.open_board(order) as show:
            file = run_search(order, child_environment.for_python(git.root), show)
        record, found = read_search(file)
        printing.say_table(board.HEADINGS, board.board_rows(found))
        best = best_first(found)
        changed = winner.write_winner(best[0])
        for trial in best[:experiments]:
            name = f"search-{file.stem}-{trial.number}"
            try:
                dvc_experiments.save_experiment(git.root, name, winner.parameters_of(trial))
                printing.say(f"saved trial {trial.number} as the experiment {name}")
            except StageFailed as error:
                printing.complain(f"trial {trial.number} is not saved as an experiment: {error}")
    printing.say(board.verdict(file, record, found, changed))


@commands.command()
def check(
    branch: Annotated[
        str | None,
        typer.Option(help="The branch of HEAD, if CI has checked out none."),
    ] = None,
    install_hook: Annotated[
        bool, typer.Option("--install-hook", help="Check before each `git push` from now on.")
    ] = False,
    form: Form = "text",
) -> None:
    """Refuse a branch whose records are not true, and say how to correct it.

    Every output in the working tree is hashed. The hook checks the commits that are pushed, and not
    the working tree, so that no output of DVC is hashed and a push stays fast.
    """
    from mlops.release.prove import check, hook
    from mlops.release.update import origin

    if install_hook and (branch or form != "text"):
        idle = "--branch" if branch else "--format"
        raise UsageError(f"--install-hook checks nothing now: leave out {idle}")
    git = Git.of_current_directory()
    if install_hook:
        printing.say(f"wrote {hook.install_hook(git)}; `git push --no-verify` skips it")
        return
    changed = [*origin.machinery_changes(git)]
    try:
        with printing.result_alone(form):
            if changed:
                more = f" and {len(changed) - FEW} more" if len(changed) > FEW else ""
                printing.say(
                    "not as the template shipped it, so that an update merges it: "
                    f"{', '.join(changed[:FEW])}{more}"
                )
            verdict = check.check_tree(git.root, branch)
    except Untrue as error:
        if form == "json":
            printing.say_json({"verdict": None, "findings": error.findings, "changed": changed})
        raise
    if form == "json":
        printing.say_json({"verdict": verdict, "findings": [], "changed": changed})
    else:
        printing.say(verdict)


@commands.command()
def push(
    branches: Annotated[
        list[str] | None,
        typer.Argument(help="Branches; by default the one that is checked out."),
    ] = None,
) -> None:
    """Send the data and run records of a branch, then push the branch to origin.

    The first push of a branch makes origin's its upstream. Nothing of Git is pushed if the data could not be.
    """
    from mlops.release.data import push

    push.push_branches(Git.of_current_directory(), branches or [], printing.say)


@commands.command()
def reproduce(
    version: Annotated[
        str,
        typer.Argument(help="A version, record (prod/0003), environment, experiment or commit."),
    ],
    run: Run = False,
    form: Form = "text",
) -> None:
    """Run VERSION again from the beginning, with its own libraries, and compare every file."""
    from mlops.release.prove import reproduction

    git = Git.of_current_directory()
    with printing.result_alone(form):
        found = reproduction.reproduce_commit(git, version, printing.say, permission(run))
    verdict = f"{version} ({found.commit[:7]}) is {found.verdict}: {found.reason} ({found.where})"
    if form == "json":
        printing.say_json(asdict(found))
    else:
        rows = [
            (
                file.path,
                *((md5 or "-")[:7] for md5 in (file.recorded, file.made)),
                "same" if file.same else "DIFFERENT",
            )
            for file in found.files
        ]
        printing.say_table(("File", "Recorded", "Made", "Verdict"), rows)
    if found.verdict == "different":
        raise NotReproduced(verdict)
    if form == "text":
        printing.say(verdict)


@commands.command()
def clean(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    cloud: Annotated[
        bool,
        typer.Option(
            "--cloud",
            help="Delete in the remote too; data that only others' unpushed commits name are lost.",
        ),
    ] = False,
) -> None:
    """Delete leftovers, and data that no branch, tag, experiment or working tree names."""
    from mlops.release.prove import clean

    clean.clean_project(
        Git.of_current_directory(),
        printing.say,
        lambda: yes or printing.confirm("Delete them?"),
        cloud=cloud,
    )
