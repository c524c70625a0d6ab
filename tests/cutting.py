"""What somebody who owns a project does with an editor."""

import ast
from pathlib import Path


def cut(module: Path, function: str) -> None:
    """The function, with what decorates it, out of the module."""
    text = module.read_text()
    (found,) = (
        node
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef) and node.name == function
    )
    first = found.decorator_list[0].lineno - 1
    lines = text.splitlines(keepends=True)
    after = (found.end_lineno or 0) + 2
    module.write_text("".join([*lines[:first], *lines[after:]]))
