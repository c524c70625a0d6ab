"""Looks for changes of a branch, here and on origin, without waiting for a password or a slow remote."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE

from mlops.release.errors import GitError
from mlops.release.history import last_fetch, shared_refs
from mlops.release.history.git import Git

PATIENCE = 60.0
"""Seconds that origin has for an answer."""


def branch_state(git: Git, environment: str) -> str:
    """Returns a text that differs whenever the branch or one of its records has changed."""
    origin = f"{shared_refs.TRACKING}{environment}"
    patterns = (f"refs/heads/{environment}", origin, f"refs/tags/{environment}/*")
    try:
        return git.run("for-each-ref", "--format=%(objectname) %(refname)", *patterns)
    except GitError as error:
        return str(error)


async def fetch_quietly(git: Git) -> str:
    """Fetches the shared refs of origin without asking for a password; returns why that failed, or ""."""
    listing, reason = await ask_origin(git, *shared_refs.LIST)
    if reason:
        return reason
    last_fetch.note_answer(git)
    try:
        specs = shared_refs.compare_with_origin(git, listing).specs_to_fetch
    except GitError as error:
        return str(error)
    if specs:
        _, reason = await ask_origin(git, *shared_refs.FETCH, *specs)
    return reason


async def ask_origin(git: Git, *arguments: str) -> tuple[str, str]:
    """Returns what the command of Git printed, and why it failed, or ""."""
    try:
        process = await asyncio.create_subprocess_exec(
            *("git", *arguments),
            cwd=git.root,
            env=git.process_variables | {"GIT_TERMINAL_PROMPT": "0"},
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
        )
    except OSError as error:
        return "", str(error)
    try:
        async with asyncio.timeout(PATIENCE):
            printed, errors = await process.communicate()
    except TimeoutError:
        return "", f"no answer within {PATIENCE:.0f} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    message = errors.decode(errors="replace").strip() or f"exit {process.returncode}"
    return printed.decode(errors="replace"), message if process.returncode else ""
