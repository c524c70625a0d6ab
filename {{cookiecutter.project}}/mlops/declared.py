"""What the owner has declared, read before anything runs: `python -m mlops.declared`.

Her Python, science/, is imported, and params.yaml and environments/ are read. Exit code 1 and a sentence
say what is wrong; nothing is printed where all is well.
"""

import importlib
import traceback
from pathlib import Path

from mlops import errors
from mlops.errors import DeclarationError

HERS = ("science.features", "science.architectures")


def main() -> None:
    """Raises DeclarationError or ParameterError."""
    for module in HERS:
        import_hers(module)
    from mlops import params

    params.load()


def import_hers(module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception as error:  # hers may raise anything
        raise DeclarationError(
            f"{place(module, error)} can't be imported: {type(error).__name__}: {error}. Mend it there; "
            "nothing was run"
        ) from error


def place(module: str, error: Exception) -> str:
    """The file of hers that the error comes from, with the line."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{path_of(error.filename)}, line {error.lineno}"
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if is_hers(frame.filename)
    ]
    if not frames:
        return module.replace(".", "/") + ".py"
    return f"{path_of(frames[-1].filename)}, line {frames[-1].lineno}"


def is_hers(filename: str) -> bool:
    return Path(filename).parent.name == "science"


def path_of(filename: str) -> str:
    return Path(*Path(filename).parts[-2:]).as_posix()


if __name__ == "__main__":
    errors.report_errors(main)
