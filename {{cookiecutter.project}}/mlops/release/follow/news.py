"""Looks for changes of a branch, here and on origin, without waiting for a password or a slow remote."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE

from mlops.release import child_environment
from mlops.release.errors import GitError
from mlops.release.history import branches
from mlops.release.history.git import Git

PATIENCE = 60.0
"""Seconds that origin has for an answer."""


def branch_state(git: Git, environment: str) -> str:
    """Returns a text that differs whenever the branch or one of its records has changed."""
    origin = f"refs/remotes/{branches.ORIGIN}/{environment}"
    patterns = (f"refs/heads/{environment}", origin, f"refs/tags/{environment}/*")
    try:
        return git.run("for-each-ref", "--format=%(objectname) %(refname)", *patterns)
    except GitError as error:
        return str(error)


async def fetch_quietly(git: Git) -> str:
    """Fetches from origin without asking for a password; returns why that failed, or ""."""
    try:
        process = await asyncio.create_subprocess_exec(
            *("git", *branches.FETCH),
            cwd=git.root,
            env={**child_environment.for_command(), "GIT_TERMINAL_PROMPT": "0"},
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=PIPE,
            start_new_session=True,
        )
    except OSError as error:
        return str(error)
    try:
        async with asyncio.timeout(PATIENCE):
            _, errors = await process.communicate()
    except TimeoutError:
        return f"no answer within {PATIENCE:.0f} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    message = errors.decode(errors="replace").strip() or f"exit {process.returncode}"
    return message if process.returncode else ""
