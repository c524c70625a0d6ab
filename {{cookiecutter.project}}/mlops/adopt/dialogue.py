"""Defines how a command talks with the person who gave it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Ask = Callable[[str, bool], bool]
"""Asks a question, of which the second argument is the answer that is taken otherwise."""

Choose = Callable[[str, Sequence[str]], str]
"""Asks which of several texts is meant."""

Tell = Callable[[str, str], str]
"""Asks for a text, of which the second argument is the one that is taken otherwise."""


@dataclass(frozen=True)
class Dialogue:
    """What is said to a person, a line at a time, and asked."""

    say: Callable[[str], None]
    ask: Ask
    choose: Choose
    tell: Tell
