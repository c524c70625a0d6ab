"""Says in a sentence why DVC cannot read dvc.yaml, dvc.lock or a .dvc file."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from dvc.schema import MULTI_STAGE_SCHEMA, STAGE_DEFINITION
from dvc.utils.serialize import EncodingError, parse_yaml_for_update
from dvc.utils.strictyaml import YAMLSyntaxError, YAMLValidationError

from mlops.errors import suggestion
from mlops.yaml_faults import fault_words


def fault_message(error: YAMLSyntaxError | YAMLValidationError | EncodingError) -> str:
    """Returns the file, the place in it, what is wrong there, and what to do."""
    if isinstance(error, YAMLValidationError):
        return "\n".join(schema_faults(error))
    if isinstance(error, YAMLSyntaxError):
        name = error.relpath.removeprefix("./")
        return f"{name} is not valid YAML: {fault_words(error.__cause__, error.yaml_text)}"
    return f"{error.path} is not UTF-8: save the file in this encoding"


def schema_faults(error: YAMLValidationError) -> Iterator[str]:
    """Yields each value that is not as DVC takes it."""
    for fault in error.exc.errors:
        path = [*map(str, fault.path)]
        where = f"{error.path.removeprefix('./')}, line {line_of(error.text, fault.path)}"
        match fault.error_message:
            case "extra keys not allowed":
                known = STAGE_DEFINITION if len(path) > 1 else MULTI_STAGE_SCHEMA
                words = f"unknown key{suggestion(path[-1], map(str, known))}"
            case "required key not provided":
                words = "missing; add it"
            case message:
                words = f"{message}: correct it"
        yield f"{where}: {'.'.join(path)}: {words}" if path else f"{where}: {words}"


def line_of(text: str, path: Sequence[object]) -> int:
    """Returns the line of the last key of a path that is there."""
    block, line = parse_yaml_for_update(text, ""), 1
    with suppress(AttributeError, KeyError, IndexError, TypeError):
        for name in path:
            line = block.lc.data[name][0] + 1
            block = block[name]
    return line
