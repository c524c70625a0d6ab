"""Takes a table from somebody's file to a project that can be trained on it: `mlops adopt`."""

import hashlib
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from mlops import environments, params
from mlops.adopt import columns, declaration, layout, originals, placing, proposal, spelling, table
from mlops.adopt.dialogue import Ask, Choose, Dialogue, Tell
from mlops.adopt.layout import TO_BE_FOUND, Header, Layout
from mlops.adopt.originals import EXCEL, JSON
from mlops.adopt.proposal import Proposal
from mlops.adopt.table import Table
from mlops.adopt.whole import check_whole, refuse_lost_cells
from mlops.errors import DataError, UsageError, counted, suggestion
from mlops.predict.dialect import Dialect
from mlops.predict.task import Task
from mlops.release.history import records
from mlops.release.history.git import Git
from mlops.tables import files, sources, urls
from mlops.tables.cells import Cells
from mlops.tables.errors import SourceError
from mlops.tables.files import COMPRESSED, format_suffix
from mlops.tables.parquet_source import ParquetSource
from mlops.tables.sources import Source


@dataclass(frozen=True)
class Order:
    """What the user has given: files or a query, the target, and what need not be found or asked."""

    paths: Sequence[str] = ()
    target: str | None = None
    task: Task | None = None
    sheet: str | None = None
    header: Header = TO_BE_FOUND
    encoding: str | None = None
    query: str | None = None
    url: str | None = None
    drop_leaks: bool = False


@dataclass(frozen=True)
class Opened:
    """A table that was opened. `sources` are its files of text or Parquet, and none if it was read whole,
    from a file with the SHA-256 `digest` or by a query. `header_line` is the line of the header, 0 if there
    is none and None in other formats."""

    table: Table
    dialect: Dialect
    origin: str
    remarks: Mapping[str, str]
    sources: Sequence[Source] = ()
    digest: str = ""
    sheet: str | None = None
    header_line: int | None = None


def adopt(git: Git, order: Order, person: Dialogue) -> None:
    """Declares a table in the project of `git`, and puts it there with one commit, after questions.

    Raises MlopsError if the table or the project does not allow it; the project is then as it was.
    """
    placing.refuse_unfit_state(git)
    check_declared(git.root)
    declaration.refuse_other_layout(git.root, written_paths(git.root))
    opened, proposed, rows = look(order, person)
    for line in summary(opened, proposed, rows):
        person.say(line)
    proposed = answered(proposed, order, person.ask)
    if not person.ask("Adopt the table so?", True):
        person.say("nothing was changed")
        return
    commit = write(git, opened, proposed)
    for line in next_steps(git, commit, proposed.target):
        person.say(line)


def look(order: Order, person: Dialogue) -> tuple[Opened, Proposal, int]:
    """Returns a table, what is proposed for it, and its number of rows. Nothing is changed."""
    opened = with_header(open_table(order, person.choose), order, person.choose, person.tell)
    target = order.target or person.choose(
        "which column should be predicted?", [*opened.table.columns]
    )
    if target not in opened.table.columns:
        hint = suggestion(target, opened.table.columns)
        raise UsageError(f"the table has no column {target!r}{hint}")
    return opened, *examine(opened, order, target)


def open_table(order: Order, choose: Choose) -> Opened:
    """Returns the table that is named by files, a folder or a query."""
    if (order.query is None) != (order.url is None) or (order.query is None) == (not order.paths):
        raise UsageError("give FILE..., or --sql QUERY and --from URL")
    if order.encoding is not None:
        try:
            params.check_encoding(order.encoding)
        except ValueError as error:
            raise UsageError(f"--{error}") from None
    if order.query is not None and order.url is not None:
        refuse_idle_options(order, ())
        return opened_original(originals.read_query(order.query, order.url), b"")
    if remote := [text for text in order.paths if "://" in text]:
        raise UsageError(
            f"{urls.redact_passwords(remote[0])} is not a file of this machine: download it first, and adopt "
            "the file that you have then"
        )
    header = replace(order.header, column=order.target)
    paths = [path for text in order.paths for path in paths_of(text)]
    suffixes = {format_suffix(path) for path in paths}
    refuse_idle_options(order, suffixes)
    if suffixes & {*EXCEL, *JSON}:
        if len(paths) > 1:
            raise UsageError(
                "give one file of Excel or JSON; several files of CSV or Parquet are read as one table"
            )
        path = Path(paths[0])
        is_excel = format_suffix(path.name) in EXCEL
        if is_excel:
            found = originals.read_excel(path, order.sheet, choose, header)
        else:
            found = originals.read_json(path)
        return opened_original(found, path.read_bytes())
    opened = open_sources(paths, order.encoding, header)
    if unread := files.unread_entries([text for text in order.paths if Path(text).is_dir()]):
        said = f"not read, as their names are not those of tables: {', '.join(unread[:5])}"
        opened = replace(opened, remarks={**opened.remarks, "unread": said})
    return opened


def refuse_idle_options(order: Order, suffixes: Collection[str]) -> None:
    """Raises UsageError for an option about files of another format than those that have the suffixes."""
    is_excel = any(suffix in EXCEL for suffix in suffixes)
    is_text = any(suffix not in (*EXCEL, *JSON, files.PARQUET) for suffix in suffixes)
    for name, is_given, has_meaning, formats in (
        ("--sheet", order.sheet is not None, is_excel, "Excel"),
        ("--encoding", order.encoding is not None, is_text, "CSV"),
        ("--header", order.header.line is not None, is_text or is_excel, "CSV and Excel"),
        ("--names", bool(order.header.names), is_text or is_excel, "CSV and Excel"),
    ):
        if is_given and not has_meaning:
            raise UsageError(
                f"{name} is for files of {formats}, and this table is none: leave it out"
            )


def paths_of(text: str) -> list[str]:
    """Returns the files that a path names: itself, or the tables of a folder. Raises SourceError if there is
    none."""
    if Path(text).is_file():
        return [text]
    return files.paths_of_input(text)


def opened_original(original: originals.Original, content: bytes) -> Opened:
    digest = hashlib.sha256(content).hexdigest() if content else ""
    said = f", SHA-256 {digest[:16]}..." if digest else ""
    remarks = {str(number): remark for number, remark in enumerate(original.remarks)}
    return Opened(
        original.table,
        Dialect(),
        f"from {original.origin}{said}",
        remarks,
        digest=digest,
        sheet=original.sheet,
        header_line=original.header_line,
    )


def open_sources(paths: Sequence[str], encoding: str | None, header: Header) -> Opened:
    found: Layout | None = None
    opened: list[Source] = []
    for path in paths:
        file = files.file_at(path)
        if format_suffix(path) == files.PARQUET:
            opened.append(sources.open_file(file, (), Dialect()))
            continue
        found = found or layout.find_layout(file, encoding, header)
        opened.append(sources.open_file(file, found.columns, found.dialect))
    names = opened[0].names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{paths[0]} has two columns {twice[0]!r}: rename one")
    for source in opened[1:]:
        if {*source.names} != {*names}:
            other = sorted({*source.names} ^ {*names})
            raise DataError(
                f"{source.file.path} and {opened[0].file.path} have other columns "
                f"({', '.join(map(repr, other[:5]))}): adopt one of them, or files with the same columns"
            )
    origin = ", ".join(Path(path).name for path in paths[:3]) + " ..." * (len(paths) > 3)
    looked_at = table.sample(opened)
    if not looked_at.rows:
        raise DataError(f"{', '.join(paths)} has columns and no rows")
    dialect = found.dialect if found else Dialect()
    remarks = found.remarks if found else {}
    line = found.header_line if found else None
    return Opened(looked_at, dialect, f"from {origin}", remarks, opened, header_line=line)


def with_header(opened: Opened, order: Order, choose: Choose, tell: Tell) -> Opened:
    """Returns the table, after a question about its header if that is not the first line. Raises UsageError
    if the target is not among names that were made."""
    if order.header != TO_BE_FOUND or opened.header_line in (None, 1):
        return opened
    names = tuple(opened.table.columns)
    first = ", ".join([opened.table.texts(name).values[0] for name in names[:8]])
    question = f"the first row is {first}; which line is the header (0: none)"
    said = tell(question, str(opened.header_line))
    if not said.isdecimal():
        raise UsageError(f"{said!r} is not the number of a line")
    given = Header(int(said))
    if given.line == 0:
        made = ",".join(layout.made_names(len(names)))
        said = tell("the names of the columns, with commas between", made)
        given = Header(0, tuple(map(str.strip, said.split(","))))
    if given.line != opened.header_line or (given.names and given.names != names):
        return open_table(replace(order, sheet=opened.sheet, header=given), choose)
    if order.target and order.target not in opened.table.columns:
        raise UsageError(
            f"{opened.origin.removeprefix('from ')} has no header, as its first line is "
            f"{first}: name the columns, --names A,B,C, or the target by its place, such as "
            f"--target {names[-1]}"
        )
    return opened


def examine(opened: Opened, order: Order, target: str) -> tuple[Proposal, int]:
    """Returns what is proposed for the table, and its number of rows. If a part of large files that was not
    looked at first holds something else, its rows are looked at too."""
    looked_at = opened.table
    words = None
    if not looked_at.whole and len(looked_at.words[target]) <= proposal.MOST_CLASSES:
        words = table.count_words(opened.sources, target)
    for _ in range(4):
        found = spelling.find_spelling(looked_at.words, opened.dialect)
        found_columns = columns.find_columns(looked_at, found, target)
        aim = proposal.find_target(looked_at, found_columns.spelling, target, order.task, words)
        spelled = proposal.without_rare_classes(found_columns.spelling, looked_at, aim)
        if spelled is not found_columns.spelling:
            found_columns = replace(found_columns, spelling=spelled)
            aim = proposal.find_target(looked_at, spelled, target, order.task, words)
        if not found_columns.kept:
            raise DataError(
                "no column is left to predict from: "
                + "; ".join(
                    f"{column.name}: {column.remark}" for column in found_columns.columns[:5]
                )
            )
        if looked_at.whole:
            rows = looked_at.rows
            break
        checked = check_whole(opened.sources, found_columns, aim)
        rows, aim = checked.rows, replace(aim, missing=checked.missing)
        if not checked.unlike:
            break
        looked_at = looked_at.extended(checked.unlike)
    else:
        raise DataError(
            f"{'; '.join(checked.faults[:5])}: the columns hold other things in each part of the file: "
            "correct these cells and those like them"
        )
    return proposal.propose(dataset_name(opened), aim, found_columns, rows), rows


def dataset_name(opened: Opened) -> str:
    stem = Path(opened.origin.removeprefix("from ").split(",")[0]).name.split(".")[0]
    return re.sub(r"\W+", "_", stem).strip("_").lower() or "table"


def answered(proposed: Proposal, order: Order, ask: Ask) -> Proposal:
    """Returns the proposal after the questions about what the values cannot tell."""
    found = {column.name: column for column in proposed.columns}
    for column in proposed.columns:
        if column.doubt and ask(f"{column.doubt} Leave it out?", False):
            found[column.name] = column.left_out("an identifier")
        elif column.doubt:
            said = "another whole number in each row, taken for an amount"
            found[column.name] = replace(
                column, remark="; ".join(filter(None, (column.remark, said)))
            )
    for leak in proposed.leaks:
        name = leak.columns[0]
        question = f"{', '.join(leak.columns)}: {leak.words}. Leave {name} out?"
        if order.drop_leaks or ask(question, False):
            found[name] = found[name].left_out(f"a leak: {leak.words}")
        else:
            words = f"perhaps a leak: {leak.words}"
            found[name] = replace(
                found[name], remark="; ".join(filter(None, (found[name].remark, words)))
            )
    findings = replace(proposed.findings, columns=[*found.values()])
    if not findings.kept:
        raise DataError(
            "no column is left to predict from without the leaks: keep them, or add columns"
        )
    kept = {column.name for column in findings.kept}
    subgroups = tuple(name for name in proposed.subgroups if name in kept)
    return replace(proposed, findings=findings, subgroups=subgroups)


def summary(opened: Opened, proposed: Proposal, rows: int) -> Iterator[str]:
    """Yields what was found, in lines for a person."""
    target = proposed.target
    approximately = (
        "" if opened.table.whole else f", of which {opened.table.rows:,} were looked at closely"
    )
    yield f"{opened.origin.removeprefix('from ')}: {counted(rows, 'row')}{approximately}"
    for remark in opened.remarks.values():
        yield f"  {remark}"
    yield f"target {target.name}: {target.task}{f' ({target.remark})' if target.remark else ''}"
    if target.doubt:
        yield f"  if it should be {target.doubt}: --task {target.doubt}"
    if target.missing:
        said = counted(target.missing, "row has no target and is", "rows have no target and are")
        yield f"  {said} dropped"
    for word, counts in proposed.findings.spelling.markers.items():
        yield f"missing: {word!r} {marker_words(counts)}"
        if originals.TOTAL.fullmatch(word):
            yield "  the line with it may be the sum of the others: remove it from the file"
    for kind in columns.KINDS:
        of_kind = [column for column in proposed.columns if column.kind == kind]
        plain = [column.name for column in of_kind if not column.remark]
        if plain:
            shown = ", ".join(plain[:12]) + (
                f" and {len(plain) - 12:,} more" if len(plain) > 12 else ""
            )
            yield f"{kind}: {shown}"
        for column in of_kind:
            if column.remark:
                yield f"{kind}: {column.name}: {column.remark}"
    for leak in proposed.leaks:
        yield f"perhaps a leak: {', '.join(leak.columns)}: {leak.words}"
    for remark in proposed.remarks:
        yield remark
    yield f"split by {proposed.split.column or proposed.split.by}: {proposed.split.why}"
    refused = " or its ".join(
        BOUNDS[end].format(name, abs(value))
        for name, bound in proposed.gate.bounds.items()
        for end, value in bound.items()
    )
    yield f"a model will be refused if its {refused}: it should be {proposed.gate.why}"
    yield f"dev sees {proposed.fraction:.0%} of the rows"
    if proposed.architecture:
        yield f"for so many rows: train.architecture is {proposed.architecture}, if you have chosen none"


def facts(opened: Opened, proposed: Proposal, rows: int) -> dict[str, object]:
    """Returns what was found, for a program."""
    target = proposed.target
    return {
        "from": opened.origin.removeprefix("from "),
        "rows": rows,
        "rows_looked_at": opened.table.rows,
        "remarks": [*opened.remarks.values(), *proposed.remarks],
        "target": {
            "name": target.name,
            "task": target.task,
            "classes": dict(zip(target.classes, target.counts, strict=True)),
            "positive": target.positive,
            "missing": target.missing,
            "remark": target.remark,
        },
        "missing": proposed.findings.spelling.markers,
        "columns": [
            {"name": column.name, "type": column.kind, "remark": column.remark}
            for column in proposed.columns
        ],
        "leaks": [{"columns": leak.columns, "words": leak.words} for leak in proposed.leaks],
        "split": asdict(proposed.split),
        "subgroups": proposed.subgroups,
        "gate": asdict(proposed.gate),
        "dev_fraction": proposed.fraction,
        "architecture": proposed.architecture,
    }


BOUNDS = {
    "above_baseline": "{} is more than {:.10g} under the baseline",
    "below_baseline": "{} is more than {:.10g} over the baseline",
    "min": "{} is under {:.10g}",
}


def marker_words(counts: Mapping[str, int]) -> str:
    shown = ", ".join(f"{count:,} in {name}" for name, count in [*counts.items()][:3])
    return f"({shown}{' ...' if len(counts) > 3 else ''})"


def write(git: Git, opened: Opened, proposed: Proposal) -> str:
    """Writes the declaration and the table, and returns the commit."""
    remarks = source_remarks(opened, proposed)
    old = {path: (git.root / path).read_text(encoding="utf-8") for path in written_paths(git.root)}
    origin = opened.origin
    if not opened.table.whole:
        origin += f"; cells were counted in {proposed.findings.table.rows:,} of its rows"
    texts = {"params.yaml": declaration.params_text(old["params.yaml"], proposed, remarks, origin)}
    for name in environments.CHAIN:
        path = f"environments/{name}.yaml"
        texts[path] = declaration.environment_text(old[path], proposed, name)
    kept = [column.name for column in proposed.findings.kept]
    features, cut = declaration.features_text(old[FEATURES], kept)
    texts[FEATURES] = features
    if EXAMPLES in old:
        texts[EXAMPLES] = declaration.examples_text(old[EXAMPLES], cut)
    message = f"Adopt {opened.origin.removeprefix('from ')}: predict {proposed.target.name}"
    if opened.digest:
        message += f"\n\nThe original has the SHA-256 {opened.digest}."
    return placing.put(
        git, texts, table_files(opened, proposed), message, lambda: check_declared(git.root)
    )


FEATURES, EXAMPLES = "science/features.py", "tests/test_features.py"


def written_paths(root: Path) -> list[str]:
    paths = ["params.yaml", *(f"environments/{name}.yaml" for name in environments.CHAIN), FEATURES]
    return [*paths, *([EXAMPLES] if (root / EXAMPLES).exists() else [])]


def check_declared(root: Path) -> None:
    params.load_configuration(root)


def source_remarks(opened: Opened, proposed: Proposal) -> dict[str, str]:
    remarks = {key: text for key, text in opened.remarks.items() if not key.isdigit()}
    found = proposed.findings.spelling
    if found.markers:
        remarks["missing"] = "; ".join(
            f"{word} {marker_words(c)}" for word, c in found.markers.items()
        )
    if found.ambiguous_dates:
        remarks["dates"] = (
            f"no date of {', '.join(found.ambiguous_dates)} tells the day from the month: check"
        )
    return remarks


def table_files(opened: Opened, proposed: Proposal) -> dict[str, Callable[[Path], None] | Path]:
    """Returns the files of data/raw by name: those that the pipeline reads as they are, or one of Parquet."""
    misfits = [s for s in opened.sources if isinstance(s, ParquetSource) and not fits(s, proposed)]
    if opened.sources and not misfits:
        found: dict[str, Callable[[Path], None] | Path] = {}
        for source in opened.sources:
            name = stored_name(Path(source.file.path).name)
            if name in found:
                raise UsageError(f"two files are called {name}: rename one")
            found[name] = Path(source.file.path)
        return found
    return {f"{proposed.dataset}.parquet": lambda path: write_parquet(path, opened, proposed)}


def stored_name(name: str) -> str:
    """Returns a name by which the pipeline knows the file as one of text or Parquet."""
    if files.is_table_name(name):
        return name
    stem, suffix = Path(name).stem, format_suffix(name)
    if suffix in COMPRESSED:
        return f"{Path(stem).stem}.csv{suffix}"
    return f"{stem.lstrip('._')}.csv"


def fits(source: ParquetSource, proposed: Proposal) -> bool:
    """Returns whether a Parquet file holds its columns as the pipeline reads them."""
    wanted = columns.wanted(proposed.findings, proposed.target.name, proposed.target.task)
    split = proposed.split
    if split.column and split.column not in wanted.names:
        if split.by == "group":
            wanted = replace(wanted, texts=(*wanted.texts, split.column))
        else:
            wanted = replace(wanted, times=(split.column,))
    try:
        source.refuse_unfit(wanted)
    except SourceError:
        return False
    return True


def write_parquet(path: Path, opened: Opened, proposed: Proposal) -> None:
    parts = typed_parts(opened, proposed)
    first = next(parts)
    with parquet.ParquetWriter(path, first.schema) as writer:
        for part in chain([first], parts):
            writer.write_table(part)


def typed_parts(opened: Opened, proposed: Proposal) -> Iterator[pa.Table]:
    """Yields the rows of the table with the types that were found; ignored columns are text. Raises DataError
    for a cell that is not of its type."""
    found, whole, rows = proposed.findings, opened.table, 0
    ignored = {column.name for column in found.columns if column.kind == "ignored"}
    is_text = ignored | ({proposed.target.name} if proposed.target.classes else set())
    origin = {"original": opened.origin.removeprefix("from "), "sha256": opened.digest}
    for part in [whole] if whole.whole else table.parts(opened.sources, [*whole.columns]):
        cells = found.cells if part is found.table else columns.read_as(part, found.spelling)
        kept = {name: each for name, each in cells.numbers.items() if name not in ignored}
        refuse_lost_cells(opened.origin, Cells(kept, {}), (), rows)
        arrays = {
            name: texts.cast(pa.string()) if name in is_text else cells.columns[name].to_arrow()
            for name, texts in part.columns.items()
        }
        yield pa.table(arrays).replace_schema_metadata(origin)
        rows += part.rows


def next_steps(git: Git, commit: str, target: proposal.Target) -> Iterator[str]:
    """Yields what can be done next, also for each environment that holds a model already."""
    yield f"committed as {commit}; `git revert {commit}` undoes it"
    yield "next: mlops repro, then commit, `mlops promote staging` and `mlops promote prod`"
    held: dict[bool, list[str]] = {}
    for name in environments.CHAIN[1:]:
        if latest := records.latest_record(git, name):
            contract = latest.record.answers["contract"]
            same = (contract["target"], contract["task"]) == (target.name, target.task)
            held.setdefault(same, []).append(name)
    for same, names in held.items():
        models = f"the model of {' and '.join(names)}"
        anyway = f"`mlops promote {names[0]} --accept-incomparable {shlex.quote('another table')}`"
        if same:
            yield (
                f"{models} predicts {target.name} too, and a promotion compares the two models; if they "
                f"can't be compared, it says why, and {anyway} releases the new one all the same"
            )
        else:
            yield f"{models} answers another question, and none can be compared with it: {anyway}"
