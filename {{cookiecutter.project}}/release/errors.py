"""Why a release did not happen. Every message says what, which value, and what to do now.

ReleaseError            exit code 1: something is missing or broken
├── GitError            a Git command failed; the message is Git's own
├── UsageError          exit code 2: what was asked for is no thing that could be done
├── Refused             exit code 3: the state of the branches does not allow it
├── StageFailed         exit code 4: a stage, most often the gate, said no
└── NotReproduced       exit code 4: a stage that ran again made something else
"""


class ReleaseError(Exception):
    exit_code = 1


class GitError(ReleaseError):
    pass


class UsageError(ReleaseError):
    exit_code = 2


class Refused(ReleaseError):
    exit_code = 3


class StageFailed(ReleaseError):
    exit_code = 4


class NotReproduced(ReleaseError):
    exit_code = 4
