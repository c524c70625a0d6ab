"""Writes what was found into params.yaml, environments/*.yaml and the owner's Python, as texts.

Each line has what was found beside it. Blocks that do not depend on the table stay as they are.
"""

import ast
import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mlops import params
from mlops.adopt.columns import KINDS, Column
from mlops.adopt.proposal import Proposal
from mlops.errors import Refused, counted, printable_text
from mlops.predict.dialect import ISO

WIDTH = 110
COMMENT = 28
"""The column in which comments begin, where there is room."""

PLAIN = re.compile(r"[^\W\d][\w-]*")
WORDS_OF_YAML = frozenset(
    ("y", "n", "yes", "no", "true", "false", "on", "off", "null", "nan", "inf")
)

SOURCE_COMMENTS = {
    "encoding": "",
    "delimiter": 'between two cells; " ": any spaces; null: found in each header',
    "decimal": "",
    "thousands": "between groups of three digits",
    "units": 'signs beside a number that do not count; "()": a number in parentheses is negative',
    "names": "the names of the columns, if the files have no header",
    "skip": "the number of lines before the header",
    "missing": 'how "unknown" is written',
    "true_words": "how a boolean is written: in lower case here, in any case in the files",
    "false_words": "",
    "dates": "how a date is written",
}
KIND_COMMENTS = {
    "boolean": "true or false",
    "date": "days, or days with a time: `dates` says which",
    "ignored": "not for the model",
}


DIVIDED = ("prepare", "evaluate", "gate")
"""The blocks of YAML in which single keys are written anew."""


def refuse_other_layout(root: Path, paths: Sequence[str]) -> None:
    """Raises Refused for a file of YAML, valid as it is, whose keys do not stand where they are looked for,
    and for one of Python that cannot be parsed."""
    for path in paths:
        text = (root / path).read_text(encoding="utf-8")
        if path.endswith(".py"):
            try:
                ast.parse(text)
            except SyntaxError as error:
                said = f"line {error.lineno} is not Python ({error.msg})"
                raise Refused(f"{path}: {said}: correct and commit it first") from None
            continue
        content = params.read_yaml(root / path)
        blocks = split_blocks(text, 0)
        if {*blocks} - {""} != {*content}:
            raise other_layout(path, "each key of the file should begin its line, without quotes")
        for name in DIVIDED:
            found = {*split_blocks(blocks.get(name, ""), 2)} - {"", name}
            if found != {*(content.get(name) or {})}:
                raise other_layout(
                    path, f"the keys of `{name}` should begin lines with two spaces before them"
                )


def other_layout(path: str, expected: str) -> Refused:
    return Refused(
        f"{path} is valid, but laid out in another way than `mlops adopt` can write: {expected}, as in a new "
        "project; change that and commit it first"
    )


def params_text(old: str, proposal: Proposal, source_remarks: dict[str, str], origin: str) -> str:
    """Returns params.yaml for the table. Of the block `prepare`, what does not describe the table stays, and
    of the other blocks all but the subgroups."""
    blocks = split_blocks(old, 0)
    written = dict(prepare_lines(proposal, source_remarks, origin))
    kept = {
        key: text for key, text in split_blocks(blocks["prepare"], 2).items() if key not in written
    }
    head = kept.pop("", "prepare:\n")
    blocks["prepare"] = head + "".join(written.values()) + "".join(kept.values())
    evaluate = split_blocks(blocks["evaluate"], 2)
    evaluate["subgroups"] = f"  subgroups: {flow(proposal.subgroups, 2)}\n"
    blocks["evaluate"] = "".join(evaluate.values())
    if proposal.architecture:
        blocks["train"] = with_architecture(blocks["train"], proposal.architecture)
    return "".join(blocks.values())


def with_architecture(train: str, name: str) -> str:
    """Returns the block `train` with another architecture, unless its owner has chosen one or removed it."""
    if f"    {name}:" not in train:
        return train
    line = commented(
        f"  architecture: {name}", "for so many rows: half of the time of gradient_boosting"
    )
    return re.sub(r"^  architecture: gradient_boosting\b.*$", line, train, flags=re.MULTILINE)


def environment_text(old: str, proposal: Proposal, name: str) -> str:
    """Returns a file of environments/ with the proposed share of the data and bounds."""
    blocks = split_blocks(old, 0)
    if name == "dev":
        blocks["data"] = f"data: {{fraction: {proposal.fraction}}}\n"
    gate = split_blocks(blocks["gate"], 2)
    bounds = [
        f"    {metric}: {{{', '.join(f'{end}: {value:.10g}' for end, value in bound.items())}}}"
        for metric, bound in proposal.gate.bounds.items()
    ]
    gate["bounds"] = "\n".join([commented("  bounds:", proposal.gate.why), *bounds, ""])
    if (least := int(gate["min_rows"].split(":")[1].split("#")[0])) > proposal.gate.min_rows:
        said = f"half of what the rarest class will have; {least} would be better"
        gate["min_rows"] = commented(f"  min_rows: {proposal.gate.min_rows}", said) + "\n"
    if proposal.target.task != "binary":
        gate["max_drop"] = "  max_drop: {}\n"
    gate["subgroups"] = "  subgroups: {min_rows: 500, bounds: {}, max_drop: {}}\n"
    blocks["gate"] = "".join(gate.values())
    return "".join(blocks.values())


def split_blocks(text: str, indent: int) -> dict[str, str]:
    """Returns the lines of each key at an indentation, in order; under "", what stands before the first."""
    blocks = {"": ""}
    key = ""
    for line in text.splitlines(keepends=True):
        if found := re.match(rf" {{{indent}}}(\w+):", line):
            key = found[1]
            blocks[key] = ""
        blocks[key] += line
    if not blocks[""]:
        del blocks[""]
    return blocks


def prepare_lines(
    proposal: Proposal, source_remarks: dict[str, str], origin: str
) -> Iterator[tuple[str, str]]:
    target, split = proposal.target, proposal.split
    yield "dataset", commented(f"  dataset: {scalar(proposal.dataset)}", origin) + "\n"
    kinds = {
        "binary": "one of two classes",
        "multiclass": "one of the classes",
        "regression": "a number",
    }
    yield "task", commented(f"  task: {target.task}", kinds[target.task]) + "\n"
    remark = target.remark if target.task == "multiclass" else ""
    yield "target", commented(f"  target: {scalar(target.name)}", remark) + "\n"
    meaning = (
        'the class that "false positives" are about; ' + target.remark if target.positive else ""
    )
    yield "positive", commented(f"  positive: {scalar(target.positive)}", meaning) + "\n"
    choice = "drop" if target.missing else "refuse"
    lacking = counted(target.missing, "row has no target", "rows have no target")
    said = lacking if target.missing else ""
    yield "rows_without_target", commented(f"  rows_without_target: {choice}", said) + "\n"
    lines = [
        "  source:                   # how the files of data/raw, and those to score, are written"
    ]
    dialect = proposal.findings.spelling.dialect
    for key, comment in SOURCE_COMMENTS.items():
        value = declared_dates(proposal) if key == "dates" else getattr(dialect, key)
        text = flow(value, 4) if isinstance(value, tuple | dict) else scalar(value)
        if "\n" in text:
            lines += remark_lines(source_remarks.get(key, comment), 4)
            lines.append(f"    {key}: {text}")
        else:
            lines.append(commented(f"    {key}: {text}", source_remarks.get(key, comment)))
    yield "source", "\n".join([*lines, ""])
    lines = ["  columns:"]
    lines += [line for each in proposal.findings.remarks for line in remark_lines(each, 4)]
    for kind in KINDS:
        lines += column_lines(kind, [column for column in proposal.columns if column.kind == kind])
    yield "columns", "\n".join([*lines, ""])
    yield (
        "split",
        "\n".join(
            [
                *remark_lines(split.why, 2),
                f"  split: {{by: {split.by}, column: {scalar(split.column)}, validation: 0.2, test: 0.2, "
                "seed: 1}",
                "",
            ]
        ),
    )


def declared_dates(proposal: Proposal) -> str | dict[str, str]:
    """Returns the form of dates, or that of each column of dates that is read if they differ."""
    forms = proposal.findings.spelling.dialect.dates
    if isinstance(forms, str):
        return forms
    read = {column.name for column in proposal.columns if column.kind == "date"}
    kept = {name: forms[name] for name in forms if name in read | {proposal.split.column}}
    return kept if len({*kept.values()}) > 1 else next(iter(kept.values()), ISO)


def column_lines(kind: str, columns: Sequence[Column]) -> list[str]:
    names = [column.name for column in columns]
    if not any(column.remark for column in columns):
        text = f"    {kind}: {flow(names, 4)}"
        comment = KIND_COMMENTS.get(kind, "")
        return [commented(text, comment) if "\n" not in text else text]
    lines = [commented(f"    {kind}:", KIND_COMMENTS.get(kind, ""))]
    return lines + [commented(f"      - {scalar(c.name)}", c.remark) for c in columns]


def commented(text: str, comment: str) -> str:
    """Returns a line with a comment on one line."""
    comment = " ".join(printable_text(comment).split())
    return f"{text.ljust(COMMENT - 2)}  # {comment}" if comment else text


def remark_lines(text: str, indent: int) -> list[str]:
    if not text:
        return []
    text = " ".join(printable_text(text).split())
    start = " " * indent + "# "
    return textwrap.wrap(
        text, WIDTH, initial_indent=start, subsequent_indent=start, break_long_words=False
    )


def scalar(value: object) -> str:
    """Returns a value as YAML; text is quoted where YAML would read something else."""
    if value is None:
        return "null"
    if not isinstance(value, str):
        return str(value)
    if PLAIN.fullmatch(value) and value.lower() not in WORDS_OF_YAML:
        return value
    return json.dumps(value, ensure_ascii=not value.isprintable())


def flow(values: Sequence[str] | Mapping[str, str], indent: int) -> str:
    """Returns texts on one line, or on several ones with a deeper indentation."""
    if isinstance(values, Mapping):
        begin, end = "{", "}"
        parts = [f"{scalar(name)}: {scalar(value)}" for name, value in values.items()]
    else:
        begin, end = "[", "]"
        parts = [*map(scalar, values)]
    line = f"{begin}{', '.join(parts)}{end}"
    if len(line) <= WIDTH - 20:
        return line
    start = " " * (indent + 2)
    lines, line = [], start
    for part in parts:
        if len(line) + len(part) > WIDTH and line.strip():
            lines.append(line.rstrip())
            line = start
        line += f"{part}, "
    return "\n".join([begin, *lines, line.rstrip(), " " * indent + end])


def features_text(old: str, columns: Sequence[str]) -> tuple[str, set[str]]:
    """Returns science/features.py without the functions of columns that the table does not have, and the
    names of these functions."""
    cut = [
        node
        for node in ast.parse(old).body
        if isinstance(node, ast.FunctionDef) and node.decorator_list
        if not {each.arg for each in node.args.args} <= {*columns}
    ]
    return without_nodes(old, cut), {node.name for node in cut}


def examples_text(old: str, names: set[str]) -> str:
    """Returns tests/test_features.py without the examples of some derived columns."""
    gone = [
        row
        for node in ast.parse(old).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List)
        for row in node.value.elts
        if isinstance(row, ast.Tuple)
        and isinstance(row.elts[0], ast.Constant)
        and row.elts[0].value in names
    ]
    return without_nodes(old, gone)


def without_nodes(text: str, nodes: Sequence[ast.stmt | ast.expr]) -> str:
    """Returns a module without some of its statements, or of the expressions that have lines of their own."""
    lines: list[str] = text.splitlines(keepends=True)
    for node in nodes:
        decorators = getattr(node, "decorator_list", [])
        start = min([node.lineno, *(each.lineno for each in decorators)])
        lines[start - 1 : node.end_lineno] = [""] * ((node.end_lineno or start) - start + 1)
    left = re.sub(r"\n{4,}", "\n\n\n", "".join(lines)).rstrip() + "\n"
    return left.replace("[\n]\n", "[]\n")
