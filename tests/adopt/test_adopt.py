"""Tests `mlops adopt` on real projects: what is refused, what is written, and how it is undone."""

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import small_batch
import small_project
from baking import Run
from mlops import params
from mlops.adopt import spelling
from mlops.adopt.adopt import Order, adopt, look, next_steps, summary
from mlops.adopt.dialogue import Dialogue, Tell
from mlops.adopt.layout import Header
from mlops.adopt.proposal import Target
from mlops.batch.monitoring import monitor
from mlops.batch.monitoring.monitor import MonitorOrder
from mlops.cli import adoption
from mlops.deploy import deploy
from mlops.errors import DataError, MlopsError, Refused, UsageError
from mlops.predict import derived, schema
from mlops.predict.task import Task
from mlops.prepare import raw
from mlops.release.history.git import Git
from mlops.tables import csv_source
from workbooks import write_workbook

ROWS = 300
Rows = list[dict[str, object]]


def rows(count: int = ROWS) -> Rows:
    """Returns rows of customers, of whom some have bought something."""
    random = np.random.default_rng(3)
    return [
        {
            "Nr": number + 1,
            "age": int(random.integers(18, 90)),
            "price": round(float(random.normal(50, 9)), 2),
            "city": str(random.choice(["Köln", "Bonn", "Ulm"])),
            "active": bool(random.integers(2)),
            "joined": f"2023-{random.integers(1, 13):02d}-{random.integers(1, 28):02d}",
            "bought": str(random.choice(["yes", "no", "no"])),
        }
        for number in range(count)
    ]


def write_csv(path: Path, table: Rows, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    lines = [delimiter.join(table[0]), *(delimiter.join(map(str, row.values())) for row in table)]
    path.write_text("\n".join([*lines, ""]), encoding=encoding)
    return path


@pytest.fixture
def adopted(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Adopts a table in `project` and returns what was said; all is answered as --yes does."""
    for name, value in run.environment.items():
        if name.startswith("GIT_"):
            monkeypatch.setenv(name, value)

    def refuse(question: str, known: Sequence[str]) -> str:
        raise UsageError(f"{question} {known}")

    def adopted(
        *paths: Path,
        tell: Tell = lambda _, default: default,
        dry_run: bool = False,
        **order: object,
    ) -> list[str]:
        said: list[str] = []
        given = Order(tuple(map(str, paths)), **{"target": "bought", **order})  # type: ignore[arg-type]
        person = Dialogue(said.append, lambda _, default: default, refuse, tell)
        if dry_run:
            return [*summary(*look(given, person))]
        adopt(Git(project), given, person)
        return said

    return adopted


def state(project: Path) -> list[object]:
    git = Git(project)
    table = {file.name: file.read_bytes() for file in (project / "data/raw").iterdir()}
    return [git.run("rev-parse", "HEAD"), git.run("status", "--porcelain"), table]


REFUSED: list[tuple[str, dict[str, object], str]] = [
    ("a,bought\n1,2\n", {"target": "buoght"}, "no column 'buoght'; did you mean 'bought'"),
    ("a,bought\n1,no\n2,no\n3,no\n", {}, "'bought' is 'no' in every row"),
    ("a,bought\n1,\n2,\n3,\n", {}, "'bought' is empty in every row"),
    ("a,bought\n" + "".join(f"{n % 3},word{n}\n" for n in range(30)), {}, "30 different texts in 30 rows"),
    ("a,bought\n" + "".join(f"{n % 3},{n}\n" for n in range(30)), {}, "is a row counter"),
    ("a,bought\n" + "1,no\n2,nan\n" * 30, {}, "'no' in every row but those with 'nan', which means missing"),
    ("a,bought\n" + "".join(f'{n % 7}.5,"{n % 97},5"\n' for n in range(150)), {}, "not written like others"),
    ("a,bought\n" + "x,yes\nx,no\n" * 30, {}, "no column is left to predict from: a: always x"),
    ("a,bought\n" + "1,yes\n2,no\n" * 9 + "1,yes,3\n", {}, r"line 20 \(3 cells, and the header has 2\)"),
    ("3,yes,7\n4,no,8\n" * 20, {}, "has no header, as its first line is 3, yes, 7"),
    ("a,bought\n" + "".join(f"{n % 3},{n}e200\n" for n in range(30)), {}, r"numbers over 3.4e\+38, the la"),
    ("a,bought\n" + "1,yes\n2,no\n" * 30, {"task": "regression"}, "holds text such as"),
    ("a,bought\n" + "1,yes\n2,no\n" * 30, {"encoding": "base64"}, "--encoding: 'base64' is not known"),
    ("a,bought\n" + "1,yes\n2,no\n" * 30, {"url": "sqlite:///x.db"}, "give FILE"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "order", "words"), REFUSED)
def test_a_table_that_cannot_be_used_is_refused_and_changes_nothing(
    project: Path,
    adopted: Callable[..., list[str]],
    tmp_path: Path,
    *,
    text: str,
    order: dict[str, object],
    words: str,
) -> None:
    path = tmp_path / "a table.csv"
    path.write_text(text)
    before = state(project)
    with pytest.raises(MlopsError, match=words):
        adopted(path, **order)
    assert state(project) == before


@pytest.mark.parametrize(
    ("name", "order", "option"),
    [
        ("t.csv", {"sheet": "May"}, "--sheet is for files of Excel"),
        ("t.parquet", {"encoding": "cp1250"}, "--encoding is for files of CSV"),
        ("t.parquet", {"header": Header(3)}, "--header is for files of CSV and Excel"),
        ("t.jsonl", {"header": Header(names=("a", "b"))}, "--names is for files of CSV and Excel"),
        ("t.jsonl", {"sheet": "May"}, "--sheet is for files of Excel"),
        (None, {"encoding": "utf-8"}, "--encoding is for files of CSV"),
    ],
)
def test_an_option_about_files_of_another_format_is_refused(
    adopted: Callable[..., list[str]],
    tmp_path: Path,
    *,
    name: str | None,
    order: dict[str, object],
    option: str,
) -> None:
    paths = [tmp_path / name] if name else []
    for path in paths:
        path.touch()
    query = {} if name else {"query": "SELECT 1", "url": "sqlite:///nowhere.db"}
    with pytest.raises(UsageError, match=f"{option}, and this table is none: leave it out"):
        adopted(*paths, dry_run=True, **order, **query)


def test_files_with_other_columns_are_refused(
    project: Path, adopted: Callable[..., list[str]], tmp_path: Path
) -> None:
    one = write_csv(tmp_path / "one.csv", rows(20))
    two = write_csv(tmp_path / "two.csv", [{**row, "more": 1} for row in rows(20)])
    with pytest.raises(MlopsError, match=r"one.csv have other columns \('more'\)"):
        adopted(one, two)


def test_a_url_is_refused_before_it_is_read(
    project: Path, adopted: Callable[..., list[str]], tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "t.csv", rows(20))
    for url in (path.as_uri(), "s3://nowhere/t.csv"):
        with pytest.raises(UsageError, match=r"t.csv is not a file of this machine: download it"):
            adopted(url)


def test_a_project_whose_files_have_another_layout_is_refused_before_the_table_is_read(
    project: Path, adopted: Callable[..., list[str]], run: Run
) -> None:
    files = {
        "environments/staging.yaml": ("\n  ", "\n    ", "begin lines with two spaces"),
        "environments/prod.yaml": (
            "gate:\n  on_failure",
            "'gate':\n  on_failure",
            "key of the file",
        ),
        "params.yaml": ("evaluate:\n", "evaluate: {}\nmore: [\n", "is not valid YAML"),
        "science/features.py": ("import", "imp ort", "line [0-9]+ is not Python"),
    }
    for path, (old, new, words) in files.items():
        text = (project / path).read_text()
        (project / path).write_text(text.replace(old, new))
        run("git", "commit", "--all", "--message", "another layout", cwd=project)
        before = state(project)
        with pytest.raises(MlopsError, match=rf"{path}.*{words}"):
            adopted(Path("no such table.csv"))
        assert state(project) == before
        run("git", "revert", "--no-edit", "HEAD", cwd=project)


def test_a_project_with_changes_is_refused(
    project: Path, adopted: Callable[..., list[str]], tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "t.csv", rows())
    (project / "data/raw/mine.csv").write_text("a\n1\n")
    with pytest.raises(Refused, match=r"no commit records \(.*mine.csv"):
        adopted(path)
    (project / "data/raw/mine.csv").unlink()
    (project / "README.md").write_text("changed")
    with pytest.raises(Refused, match=r"not committed \(README.md\)"):
        adopted(path)
    Git(project).run("switch", "--quiet", "--detach", "--discard-changes", "HEAD")
    with pytest.raises(Refused, match="no branch is checked out"):
        adopted(path)


def test_a_failure_while_writing_leaves_the_project_as_it_was(
    project: Path, adopted: Callable[..., list[str]], tmp_path: Path
) -> None:
    hook = project / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    inside = write_csv(project / "data/raw/mine.csv", rows())
    before = state(project)
    with pytest.raises(MlopsError, match="git commit"):
        adopted(inside)
    assert state(project) == before


def test_a_table_of_another_country_is_kept_declared_and_can_be_undone(
    project: Path, adopted: Callable[..., list[str]], tmp_path: Path
) -> None:
    table = [
        {"since": "1/31/2024", **row, "price": str(row["price"]).replace(".", ",")}
        for row in rows()
    ]
    path = write_csv(tmp_path / "Export März.csv", table, ";", "cp1252")
    said = adopted(path)
    assert "ignored: Nr: a row counter" in said
    assert any(
        line.startswith("a model will be refused if its accuracy is more than 0.1") for line in said
    )
    assert (project / "data/raw/Export März.csv").read_bytes() == path.read_bytes()
    prepare = params.load_configuration(project).params.prepare
    assert prepare.columns.model_dump() == {
        "integer": ("age",),
        "number": ("price",),
        "boolean": ("active",),
        "date": ("joined",),
        "category": ("city",),
        "ignored": ("since", "Nr"),
    }
    assert prepare.source.dates == "%Y-%m-%d"
    assert (prepare.task, prepare.positive, prepare.source.decimal) == ("binary", "yes", ",")
    (read,) = raw.read_rows(prepare, project / "data/raw")
    assert read.numbers["price"].values[0] == rows()[0]["price"]
    text = (project / "params.yaml").read_text()
    assert "- Nr                  # a row counter\n" in text
    assert "contract:               # a row to predict" in text
    assert "def " not in (project / "science/features.py").read_text()
    assert "EXAMPLES = []\n" in (project / "tests/test_features.py").read_text()
    with (project / "data/raw/Export März.csv").open("a", encoding="cp1252") as stored:
        stored.write("more")
    with pytest.raises(Refused, match=r"no commit records \(Export März.csv\)"):
        adopted(path)
    git = Git(project)
    assert git.lines("status", "--porcelain") == []
    git.run("revert", "--no-edit", "HEAD")
    assert git.succeeds("diff", "--quiet", "HEAD~2", "HEAD")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_short_life_of_a_project_goes_on_with_a_table_of_any_form(
    project: Path, adopted: Callable[..., list[str]], run: Run, tmp_path: Path, form: str
) -> None:
    table = [{**row, "joined": None if row["Nr"] == 7 else row["joined"]} for row in rows()]
    if form == "csv":
        path = write_csv(tmp_path / "Köln.csv", table, ";", "cp1252")
        path.write_text(f"Export von heute\n{path.read_text('cp1252')}", "cp1252")
    else:
        path = tmp_path / "customers.parquet"
        parquet.write_table(pa.Table.from_pylist(table), path)
    adopted(path, tell=lambda _, default: default)
    tests = run(
        "python", "-m", "pytest", "-p", "no:cacheprovider", "tests/test_life.py", cwd=project
    )
    assert "1 passed" in tests.stdout


def test_a_person_is_asked_where_the_header_is_and_for_names(
    adopted: Callable[..., list[str]], tmp_path: Path
) -> None:
    asked: list[str] = []

    def answers(*given: str) -> Tell:
        waiting = [*given]

        def tell(question: str, default: str) -> str:
            asked.append(f"{question} [{default}]")
            return waiting.pop(0) or default

        return tell

    path = tmp_path / "t.csv"
    path.write_text("".join(f"{row['age']},{row['price']},{row['bought']}\n" for row in rows()))
    said = adopted(path, tell=answers("", "age, price, bought"), dry_run=True)
    assert asked[0].endswith("; which line is the header (0: none) [0]")
    assert asked[1].endswith("with commas between [column_1,column_2,column_3]")
    assert "integer: age" in said
    with pytest.raises(UsageError, match="has no header, as its first line is"):
        adopted(path, tell=answers("", ""), dry_run=True)
    with pytest.raises(UsageError, match="'first' is not the number of a line"):
        adopted(path, tell=answers("first"), dry_run=True)
    names = ["age", "price", "bought"]
    cells = [[row[name] for name in names] for row in rows()]
    book = write_workbook(tmp_path / "t.xlsx", {"A": [["x", "y", "z"], [], names, *cells]})
    assert "integer: age" in adopted(book, tell=answers(""), dry_run=True)
    assert asked[-1].endswith("(0: none) [3]")
    said = adopted(book, tell=answers("0", "a,b,bought"), target="bought", dry_run=True)
    assert "integer: age" not in said


def test_a_dry_run_changes_nothing_and_prints_lines_or_json(
    project: Path, run: Run, tmp_path: Path
) -> None:
    before = state(project)
    path = write_csv(tmp_path / "Export März.csv", rows())
    words = ["mlops", "adopt", str(path), "--target", "bought"]
    refused = run(*words, "--format", "json", cwd=project, check=False)
    assert (refused.returncode, "add --dry-run" in refused.stderr) == (2, True)
    said = run(*words, "--dry-run", cwd=project).stdout.splitlines()
    assert "ignored: Nr: a row counter" in said
    assert said[-1] == "nothing was changed (--dry-run)"
    found = json.loads(run(*words, "--dry-run", "--format", "json", cwd=project).stdout)
    types = {column["name"]: column["type"] for column in found["columns"]}
    assert (found["rows"], found["target"]["task"], found["split"]["by"]) == (ROWS, "binary", "row")
    assert (types["Nr"], types["price"], types["city"]) == ("ignored", "number", "category")
    assert sum(found["target"]["classes"].values()) == ROWS
    assert state(project) == before


def test_without_a_terminal_faults_come_before_the_option_that_asks_nothing(
    project: Path, adopted: Callable[..., list[str]], tmp_path: Path
) -> None:
    before = state(project)
    path = tmp_path / "t.csv"
    for words in ("t.csv does not exist", r"at \(Adopt the table so\?\): add --yes"):
        with pytest.raises(MlopsError, match=words):
            adopt(Git(project), Order((str(path),), "bought"), adoption.dialogue(asked=True))
        write_csv(path, rows())
    assert state(project) == before


def test_numbers_may_hold_the_delimiter_between_quotes(
    project: Path, adopted: Callable[..., list[str]], tmp_path: Path
) -> None:
    path = tmp_path / "money.csv"
    lines = [f'"${row["age"]},{n:03d}.50",{row["bought"]}' for n, row in enumerate(rows(100))]
    path.write_text("\n".join(["price,bought", *lines, ""]))
    adopted(path)
    prepare = params.load_configuration(project).params.prepare
    (read,) = raw.read_rows(prepare, project / "data/raw")
    assert read.numbers["price"].values[7] == float(f"{rows()[7]['age']}007.5")


def test_what_was_not_looked_at_first_is_looked_at_if_it_differs(
    project: Path,
    adopted: Callable[..., list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(csv_source, "PIECE", 2_000)
    monkeypatch.setattr("mlops.adopt.table.PIECES", 1)
    cells = [[str(n % 7), str(n % 3), "yes" if n % 7 > 2 else "no"] for n in range(1_000)]
    cells[450][0] = "unknown"
    cells[999][1] = "2.5"
    for row in [*range(400, 412), 700]:
        cells[row][2] = "perhaps" if row < 700 else ""
    path = tmp_path / "long.csv"
    path.write_text("\n".join(["a,b,bought", *map(",".join, cells), ""]))
    said = adopted(path)
    assert "long.csv: 1,000 rows, of which" in said[0]
    assert "missing: 'unknown' (1 in a)" in said
    assert "target bought: multiclass (3 classes; the rarest, perhaps, has 12 rows)" in said
    prepare = params.load_configuration(project).params.prepare
    assert (prepare.columns.integer, prepare.columns.number) == (("a",), ("b",))
    assert (prepare.rows_without_target, prepare.split.by) == ("drop", "class")
    text = (project / "params.yaml").read_text()
    assert re.search("# from long.csv; cells were counted in [0-9]{3} of its rows\n", text)
    assert "# 1 row has no target\n" in text
    with monkeypatch.context() as patch:
        patch.setattr(spelling, "TESTED", 3)
        words = r"long.csv, line 452: column 'a': not a number: 'unknown.*: correct these cells"
        cells[450][0] = "unknown1"
        path.write_text("\n".join(["a,b,bought", *map(",".join, cells), ""]))
        with pytest.raises(MlopsError, match=words):
            adopted(path)
    cells[640].append("more")
    path.write_text("\n".join(["a,b,bought", *map(",".join, cells), ""]))
    with pytest.raises(MlopsError, match=r"line 642 \(4 cells, and the header has 3\)"):
        adopted(path)


@pytest.mark.parametrize("first", ["a.csv", "a.parquet"])
def test_all_rows_of_files_of_text_and_of_parquet_are_counted_and_checked(
    adopted: Callable[..., list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    first: str,
) -> None:
    monkeypatch.setattr(csv_source, "PIECE", 2_000)
    monkeypatch.setattr("mlops.tables.parquet_source.PIECE", 100)
    monkeypatch.setattr("mlops.adopt.table.PIECES", 1)
    monkeypatch.setattr("mlops.adopt.table.ROWS", 100)
    table = [{**row, "price": None if row["Nr"] in (230, 250) else row["price"]} for row in rows()]
    texts = [{name: "" if cell is None else cell for name, cell in row.items()} for row in table]
    text = write_csv(tmp_path / ("a.csv" if first == "a.csv" else "b.csv"), texts)
    stored = tmp_path / ("a.parquet" if first == "a.parquet" else "b.parquet")
    parquet.write_table(pa.Table.from_pylist(table), stored)
    said = adopted(tmp_path, target="price", dry_run=True)
    assert "600 rows, of which" in said[0]
    assert "  4 rows have no target and are dropped" in said
    text.write_text(text.read_text().replace("\n290,", "\n290,1,"))
    with pytest.raises(MlopsError, match=r"line 291 \(8 cells, and the header has 7\)"):
        adopted(tmp_path, target="price", dry_run=True)


def test_many_rows_are_fitted_with_lightgbm_if_the_owner_has_chosen_nothing(
    project: Path,
    adopted: Callable[..., list[str]],
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def chosen() -> str:
        return params.load_configuration(project).params.train.architecture

    path = write_csv(tmp_path / "customers.csv", rows())
    said = "for so many rows: train.architecture is lightgbm, if you have chosen none"
    assert said not in adopted(path)
    assert chosen() == "gradient_boosting"
    monkeypatch.setattr("mlops.adopt.proposal.MANY_ROWS", ROWS)
    assert said in adopted(path)
    assert chosen() == "lightgbm"
    for other in ("linear", "gradient_boosting"):  # the latter without a block for lightgbm
        file = project / "params.yaml"
        lines = file.read_text().splitlines()
        lines = [
            f"  architecture: {other}" if "  architecture:" in each else each for each in lines
        ]
        kept = [each for each in lines if "lightgbm:" not in each]
        file.write_text("\n".join([*kept, ""]))
        run("git", "commit", "--all", "--message", other, cwd=project)
        before = state(project)
        with pytest.raises(
            Refused, match="has this table already, and declares it so: nothing was"
        ):
            adopted(path)
        assert (chosen(), state(project)) == (other, before)


def test_what_the_pipeline_cannot_read_as_it_is_becomes_parquet(
    project: Path,
    adopted: Callable[..., list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "sales.json"
    with monkeypatch.context() as patch:
        patch.setattr(spelling, "TESTED", 50)
        last = {**rows(1)[0], "price": "99x"}
        path.write_text("\n".join(json.dumps(row) for row in [*rows(), last]))
        with pytest.raises(DataError, match=r"'price': not a number: '99x' in row 301 and 0 more"):
            adopted(path)
    dropped = [{**row, "bought": None, "age": None} for row in rows(3)]
    path.write_text("\n".join(json.dumps(row) for row in [*rows(), *dropped]))
    assert "  3 rows have no target and are dropped" in adopted(path)
    (stored,) = (project / "data/raw").iterdir()
    table = parquet.read_table(stored)
    assert [str(kind) for kind in table.schema.types[1:]] == [
        *("double", "double", "string", "bool", "date32[day]", "string")
    ]
    assert table.schema.metadata[b"original"].startswith(b"sales.json, SHA-256 ")
    assert "The original has the SHA-256 " in Git(project).run("log", "-1", "--format=%b")
    prepare = params.load_configuration(project).params.prepare
    (read,) = raw.read_rows(prepare, project / "data/raw")
    assert len(read.numbers["age"].values) == ROWS
    texts = {
        name: pa.array([str(row[name]) for row in rows()]) for name in ("age", "city", "bought")
    }
    parquet.write_table(pa.table({**texts, "list": [[1]] * ROWS}), tmp_path / "texts.parquet")
    assert "ignored: list: it holds lists or records" in adopted(tmp_path / "texts.parquet")
    whole = parquet.read_table(project / "data/raw/texts.parquet")
    assert whole["age"].type == pa.float64()
    monkeypatch.setattr(
        "mlops.tables.parquet_source.PIECE", 100
    )  # rows are read and written in parts
    monkeypatch.setattr("mlops.adopt.table.ROWS", 100)
    adopted(tmp_path / "texts.parquet")
    stored = project / "data/raw/texts.parquet"
    assert parquet.read_metadata(stored).num_row_groups == 3
    assert parquet.read_table(stored).equals(whole)
    texts["age"] = pa.array([*texts["age"].to_pylist()[:-1], "99x"])
    parquet.write_table(pa.table({**texts, "list": [[1]] * ROWS}), tmp_path / "texts.parquet")
    with pytest.raises(DataError, match=r"'age': not a number: '99x' in row 300 and 0 more"):
        adopted(tmp_path / "texts.parquet")


def test_a_folder_of_parquet_files_is_kept_as_it_is(
    project: Path, adopted: Callable[..., list[str]], tmp_path: Path
) -> None:
    columns = {name: [row[name] for row in rows()] for name in rows(1)[0]}
    for name in ("a", "b"):
        parquet.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    (tmp_path / "c.xlsx").touch()
    assert any("not read" in line and line.endswith("c.xlsx") for line in adopted(tmp_path))
    assert {path.name for path in (project / "data/raw").iterdir()} == {"a.parquet", "b.parquet"}
    prepare = params.load_configuration(project).params.prepare
    assert prepare.columns.boolean == ("active",)
    assert (
        sum(len(cells.texts["city"]) for cells in raw.read_rows(prepare, project / "data/raw"))
        == 2 * ROWS
    )


@pytest.mark.parametrize("by", ["group", "time"])
def test_the_column_of_a_split_is_asked_of_no_client_and_never_found_to_drift(
    project: Path,
    adopted: Callable[..., list[str]],
    registries: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    by: str,
) -> None:
    name = {"group": "patient", "time": "at"}[by]

    def value(number: int) -> object:
        hour = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=number)
        return number // 3 if by == "group" else f"{hour:%d.%m.%Y %H:%M}"

    table = [
        {name: value(number), **{key: row[key] for key in ("age", "city", "bought")}}
        for number, row in enumerate(rows(600))
    ]
    said = adopted(write_csv(tmp_path / "visits.csv", table))
    assert any(line.startswith(f"ignored: {name}: rows are split by it") for line in said)
    split = params.load_configuration(project).params.prepare.split
    assert (split.by, split.column) == (by, name)
    monkeypatch.chdir(project)
    derived.DERIVED.clear()
    monkeypatch.setattr(deploy, "refuse_costly", lambda *_: None)
    for stage in small_project.STAGES:
        stage.main()
    trained = parquet.read_table("data/prepared/train.parquet")[name].unique().to_pylist()
    tested = parquet.read_table("data/prepared/test.parquet")[name].unique().to_pylist()
    assert not {*trained} & {*tested}
    if by == "time":
        assert max(trained) < min(tested)
    assert schema.read_schema(Path("deploy/schema.json")).names("integer", "category") == [
        "age",
        "city",
    ]
    folder = small_batch.release(project / "deploy", tmp_path / "release")
    later = [{**row, name: value(10_000 + number)} for number, row in enumerate(table)]
    monkeypatch.chdir(tmp_path)
    write_csv(Path("with.csv"), later[:300])
    write_csv(Path("without.csv"), [{**row, name: ""} for row in later[300:]])
    text = Path("without.csv").read_text()
    Path("without.csv").write_text(text.replace(f"{name},", "").replace("\n,", "\n"))
    small_batch.run(folder, "with.csv", "without.csv")
    order = MonitorOrder(f"sqlite:///{small_batch.DATABASE}", str(folder), report="report.json")
    monitor.monitor(order)
    report = json.loads(Path("report.json").read_text())
    assert (report["exceeded"], report["rows"]) == ([], 600)
    assert {each["column"] for each in report["drifts"]} == {"age", "city", "predictions of bought"}


@pytest.mark.parametrize(
    ("target", "task", "words"),
    [
        (
            "y",
            "binary",
            "the model of staging predicts y too, and a promotion compares the two models",
        ),
        (
            "y",
            "regression",
            "the model of staging answers another question, and none can be compared",
        ),
        ("z", "binary", "the model of staging answers another question, and none can be compared"),
    ],
)
def test_what_can_be_compared_with_a_released_model_is_said(
    in_staging: Path, target: str, task: Task, words: str
) -> None:
    wanted = Target(target, task, ("no", "yes"), (1, 1), np.zeros(2), 0)
    *_, line = next_steps(Git(in_staging), "abc1234", wanted)
    assert line.startswith(words)
    assert "`mlops promote staging --accept-incomparable 'another table'`" in line


def test_without_a_release_nothing_is_said_of_comparisons(on_dev: Path) -> None:
    wanted = Target("y", "binary", ("no", "yes"), (1, 1), np.zeros(2), 0)
    assert len([*next_steps(Git(on_dev), "abc1234", wanted)]) == 2
