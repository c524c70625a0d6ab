"""Finds the container engine of this machine."""

import shutil
import subprocess

from mlops.errors import MlopsError
from mlops.release import child_environment

ENGINES = ("docker", "podman")


def engine_at_hand() -> str:
    """Returns the first engine that is installed and answers. Raises MlopsError if there is none."""
    reasons = {}
    for engine in ENGINES:
        if not shutil.which(engine):
            reasons[engine] = "is not on PATH"
            continue
        answer = subprocess.run(
            [engine, "version"],
            env=child_environment.for_command(),
            capture_output=True,
            errors="replace",
            check=False,
        )
        if answer.returncode == 0:
            return engine
        reasons[engine] = f"does not answer: {answer.stderr.strip()}"
    failures = "; ".join(f"{engine} {reason}" for engine, reason in reasons.items())
    raise MlopsError(
        f"no container engine can build here: {failures}. Start one, or install it: on Debian "
        "`sudo apt-get install podman buildah runc`"
    )
