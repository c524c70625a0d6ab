"""Says in a sentence why a file is no YAML: on which line, what is wrong there, and what to do."""

import re
from typing import Any

CURES = {
    r"'\t'": "indent with spaces, and not with a tab",
    "duplicate key": "leave one of them",
    "could not find expected ':'": "write `key: value`, with a space after the colon",
    "mapping values are not allowed": "write a space after the colon of the line above, or put a text with a "
    "colon in quotes",
    "end of stream": "close the quote that is opened there",
    "is written like a date or a number": "correct it, or put it in quotes",
    "undefined alias": "name a value so, with & before it, or write the value out",
}
"""What to do about a fault, by a part of its name."""

BEGUN = re.compile("could not find expected ':'|found unexpected end of stream")
"""The faults of which not the place is named where they are noticed, but where the key or quote begins."""


def fault_words(error: Any, text: str = "") -> str:
    """Returns the words for an error of ruamel.yaml or PyYAML about a text."""
    if text and hasattr(error, "character"):  # of what reads the characters
        line = text.count("\n", 0, error.position) + 1
        return (
            f"line {line}: the character {chr(error.character)!r} has no place in YAML: remove it"
        )
    if not getattr(error, "problem_mark", None):
        return f"{' '.join(str(error).split())}: correct it"
    problem = str(error.problem).partition(" with value ")[0]
    begun = error.context_mark if BEGUN.match(problem) else None
    cure = next((cure for part, cure in CURES.items() if part in problem), "correct it there")
    return f"line {(begun or error.problem_mark).line + 1}: {problem}: {cure}"
