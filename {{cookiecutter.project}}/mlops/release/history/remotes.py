"""Commands of Git that ask another repository, and what kind of failure Git reports of one."""

import re

from mlops.errors import Away, Refused
from mlops.release.errors import GitError
from mlops.release.history.git import Git

DENIED = re.compile(
    r"permission denied|access denied|authentication failed|host key verification failed"
    r"|could not read (username|password)|repository (\S+ )?not found|returned error: 40[134]"
    r"|dubious ownership|hook declined",
    re.IGNORECASE,
)
"""What Git says where no waiting helps, whatever it says besides."""

AWAY = re.compile(
    r"could not read from remote repository|unable to (access|connect|look up)|could not resolve"
    r"|timed out|hung up|early eof|rpc failed|connection (refused|reset|closed)"
    r"|network is unreachable|no route to host|no space left on device",
    re.IGNORECASE,
)


class RemoteAway(GitError, Away):
    """Another repository is out of reach, or its disk is full."""


class RemoteDenies(GitError, Refused):
    """Another repository does not let this user do what the command asks."""


def kind_of(error: GitError) -> type[Away | Refused]:
    """Returns the kind of an error that says what an error of a remote prevented."""
    return Away if isinstance(error, Away) else Refused


def contact(git: Git, remote: str, *arguments: str) -> str:
    """Runs a command of Git that asks the remote, and returns what it printed, as `Git.run` does.

    Raises RemoteAway if the remote is out of reach, RemoteDenies if it denies access, or else GitError.
    """
    try:
        return git.run(*arguments)
    except GitError as error:
        if DENIED.search(str(error)):
            raise RemoteDenies(
                f"{remote} denies access: {error}. Ask its owner for the right"
            ) from error
        if AWAY.search(str(error)):
            raise RemoteAway(
                f"{remote} cannot be reached: {error}. Try again when it can be reached"
            ) from error
        raise
