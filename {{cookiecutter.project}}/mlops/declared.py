"""Checks what the owner declares, before anything runs: `python -m mlops.declared`.

The command imports the owner's Python in science/ and reads params.yaml and environments/. If something is
wrong, it says so in a sentence and exits with code 1; otherwise it prints nothing.
"""

import importlib
import traceback
from pathlib import Path

from mlops import errors
from mlops.errors import DeclarationError

OWNER_MODULES = ("science.features", "science.architectures")


def main() -> None:
    """Raises DeclarationError for a module of science/, and ParameterError for a YAML file."""
    for module in OWNER_MODULES:
        import_owner_module(module)
    from mlops import params

    params.load_configuration()


def import_owner_module(module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception as error:  # the owner's code may raise anything
        raise DeclarationError(
            f"{fault_location(module, error)} can't be imported: {type(error).__name__}: {error}. "
            "Correct it there; nothing was run"
        ) from error


def fault_location(module: str, error: Exception) -> str:
    """Returns the owner's file that the error comes from, with the line if the traceback has one."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{short_path(error.filename)}, line {error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if is_owner_file(frame.filename)
    ]
    if not frames:
        return module.replace(".", "/") + ".py"
    return f"{short_path(frames[-1].filename)}, line {frames[-1].lineno}"


def is_owner_file(filename: str) -> bool:
    return Path(filename).parent.name == "science"


def short_path(filename: str) -> str:
    return Path(*Path(filename).parts[-2:]).as_posix()


if __name__ == "__main__":
    errors.report_errors(main)
