"""The errors of releases. Every message says what happened, which value, and what to do now.

MlopsError              exit code 1: something is missing or broken
├── UsageError          exit code 2: the command was used wrongly
├── Refused             exit code 3: the state of the branches does not allow it
├── GitError            a Git command failed; the message is Git's own
├── Untrue              exit code 3: what a branch records is not true
├── StageFailed         exit code 4: a stage failed, most often the gate
└── NotReproduced       exit code 4: a stage that ran again made something else
"""

from collections.abc import Sequence

from mlops.errors import MlopsError, Refused


class GitError(MlopsError):
    pass


class Untrue(Refused):
    """What a branch records is not true; `findings` says what, a sentence each with its remedy."""

    def __init__(self, findings: Sequence[str]) -> None:
        super().__init__("\n- ".join([f"problems found: {len(findings)}", *findings]))
        self.findings = findings


class StageFailed(MlopsError):
    exit_code = 4


class NotReproduced(MlopsError):
    exit_code = 4
