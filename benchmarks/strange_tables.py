"""Tables as strangers write them, each with what `mlops adopt` should find in it."""

import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

TEMPLATE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TEMPLATE / "tests/fixtures"))

from workbooks import write_workbook  # noqa: E402 - the tests write workbooks too

Columns = dict[str, Sequence[object]]
KINDS = {
    "i": "integer",
    "n": "number",
    "b": "boolean",
    "d": "date",
    "c": "category",
    "-": "ignored",
}


@dataclass(frozen=True)
class Strange:
    """A table. `types` has a letter of KINDS for each column but the target, in order; `leaks` are columns
    that should be named. `write` writes it into a folder and returns the arguments of adopt."""

    name: str
    task: str
    types: str
    write: Callable[[Path], Sequence[str]]
    leaks: Sequence[str] = field(default=())


def made(rows: int = 2000, seed: int = 0, noise: float = 0.6) -> tuple[Columns, np.ndarray]:
    """Returns five columns with a score that depends on them, of shape (rows,)."""
    random = np.random.default_rng(seed)
    age, price = random.integers(18, 90, rows), random.normal(50, 12, rows).round(2)
    city = random.choice(["Köln", "Bonn", "Ulm", "Trier"], rows)
    active, weight = random.random(rows) < 0.5, random.gamma(3, 4, rows).round(3)
    score = (age - 54) / 21 + (price - 50) / 12 + (city == "Bonn") - 0.8 * active
    columns: Columns = {
        "age": age,
        "price": price,
        "city": city,
        "active": active,
        "weight": weight,
    }
    return columns, score + random.normal(0, noise, rows)


def classes(score: np.ndarray, words: Sequence[str] = ("no", "yes")) -> np.ndarray:
    edges = np.quantile(score, np.linspace(0, 1, len(words) + 1)[1:-1])
    return np.array(words)[np.searchsorted(edges, score)]


def written(
    columns: Mapping[str, Sequence[object]],
    name: str = "my table.csv",
    *,
    header: bool = True,
    encoding: str = "utf-8",
    **options: object,
) -> Callable[[Path], Sequence[str]]:
    def write(folder: Path) -> Sequence[str]:
        frame = pd.DataFrame(columns)
        frame.to_csv(folder / name, index=False, header=header, encoding=encoding, **options)
        target = frame.columns[-1] if header else f"column_{len(frame.columns)}"
        return [str(folder / name), "--target", target]

    return write


def bought(**changes: Sequence[object]) -> Columns:
    columns, score = made()
    return {**columns, **changes, "bought": classes(score)}


def learnt() -> Iterator[Strange]:
    """Yields the tables of scikit-learn."""
    from sklearn import datasets

    for name, types in (("iris", "nnnn"), ("wine", "n" * 13), ("breast_cancer", "n" * 30)):
        loaded = getattr(datasets, f"load_{name}")(as_frame=True)
        target = loaded.target_names[loaded.target]
        task = "multiclass" if len(loaded.target_names) > 2 else "binary"
        yield Strange(name, task, types, written({**loaded.data, "target": target}))
    digits = datasets.load_digits()
    pixels = {str(n): digits.data[:, n].astype(int) for n in range(64)}
    kinds = "".join("-" if len({*values}) == 1 else "i" for values in pixels.values())
    yield Strange("digits", "multiclass", kinds, written({**pixels, "digit": digits.target}))
    diabetes = datasets.load_diabetes(as_frame=True)
    yield Strange(
        "diabetes", "regression", "n" * 10, written({**diabetes.data, "y": diabetes.target})
    )


def shared(folder: Path) -> Iterator[Strange]:
    """Yields tables that others have published, and the census."""
    census = TEMPLATE / "{{cookiecutter.project}}/data/raw/adult.csv"
    told = ("test", "clean_test", "code")
    files = {
        "adult": (census, "income", "binary", "iciciccccciiic", ()),
        "bechdel": (
            folder / "bechdel.csv",
            "binary",
            "binary",
            "i--ccnnncnnnii",
            told,
        ),
        "avengers": (
            folder / "avengers.csv",
            "Death1",
            "binary",
            "--ibc--iicbbbbbb----",
            ("Return1",),
        ),
        "candy": (folder / "candy.csv", "winpercent", "regression", "-iiiiiiiiinn", ()),
        "comma": (folder / "comma.csv", "Gender", "binary", "-cbccbcccccc", ()),
    }
    for name, (file, target, task, types, leaks) in files.items():
        if file.exists():
            arguments = [str(file), "--target", target]
            yield Strange(name, task, types, lambda _, given=arguments: given, leaks)


def strange(rows_of_large: int) -> Iterator[Strange]:
    """Yields tables that are made, with one thing strange about each."""
    columns, score = made()
    rows, random = len(score), np.random.default_rng(1)
    usual, answer = "incbn", classes(score)
    small, small_score = made(50)
    yield Strange("50 rows", "binary", usual, written({**small, "y": classes(small_score)}))
    wide = {f"x{n}": random.normal(size=1000).round(4) for n in range(500)}
    wide_score = wide["x0"] + wide["x1"] + random.normal(size=1000) / 2
    yield Strange(
        "500 columns", "regression", "n" * 500, written({**wide, "y": wide_score.round(4)})
    )
    large, large_score = made(rows_of_large)
    yield Strange(
        f"{rows_of_large:,} rows", "binary", usual, written({**large, "y": classes(large_score)})
    )
    words = {f"c{n}": random.choice(list("abcdef"), rows) for n in range(6)}
    yield Strange(
        "all categorical", "binary", "cccccc",
        written({**words, "y": np.where((words["c0"] < "c") ^ (random.random(rows) < 0.1), "yes", "no")}),
    )  # fmt: skip
    holes = {n: pd.Series(v).mask(random.random(rows) < 0.4) for n, v in columns.items()}
    yield Strange("40 % missing", "binary", usual, written({**holes, "y": answer}, na_rep="NA"))
    flags = {f"f{n}": random.choice(["TRUE", "FALSE"], rows) for n in range(5)}
    yield Strange("booleans", "binary", "bbbbb", written({**flags, "y": flags["f0"]}), ("f0",))
    day = pd.Timestamp("2022-01-01") + pd.to_timedelta(random.integers(0, 700, rows), "D")
    mixed = np.where(random.random(rows) < 0.5, day.strftime("%Y-%m-%d"), day.strftime("%d.%m.%Y"))
    yield Strange(
        "dates in two forms", "binary", "incbnd-",
        written(bought(joined=day.strftime("%d.%m.%Y"), left=mixed)),
    )  # fmt: skip
    seen = day + pd.to_timedelta(random.integers(0, 1440, rows), "min")
    yield Strange(
        "dates with a time, in two columns of two forms", "binary", "incbndd",
        written(bought(joined=day.strftime("%d.%m.%Y"), seen=seen.strftime("%m/%d/%Y %I:%M %p"))),
    )  # fmt: skip
    odd = {
        "die Größe": columns["age"], "a.b": columns["price"], 'say "so"': columns["city"],
        "two\nlines": columns["active"], "名前": columns["weight"],
        "remark": [f'{"Text" if n % 2 else "Wort"}\n"{n % 7}"; x' for n in range(rows)], "y": answer,
    }  # fmt: skip
    yield Strange("unicode, quotes and lines", "binary", "incbnc", written(odd))
    yes = [
        random.choice(["Yes", "yes", "Y"]) if one else random.choice(["No", "no", "N"])
        for one in columns["active"]
    ]
    yield Strange("three spellings of yes", "binary", usual, written(bought(active=yes)))
    thirty = classes(score, [f"class {n:02d}" for n in range(30)])
    yield Strange("30 classes", "multiclass", usual, written({**columns, "y": thirty}))
    big, big_score = made(30_000)
    rare = np.where(big_score > np.quantile(big_score, 0.999), "fraud", "fine")
    yield Strange("imbalance 1:1000", "binary", usual, written({**big, "y": rare}))
    yield Strange(
        "a target around 1e9", "regression", usual, written({**columns, "y": 1e9 + score.round(3)})
    )
    people = np.repeat(np.arange(rows // 10), 10)
    yield Strange(
        "repeated people", "binary", "incbn-",
        written(bought(patient_id=[f"P{n:04d}" for n in people])),
    )  # fmt: skip
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(rows), "D")
    trend = (score + np.arange(rows) / 300).round(3)
    yield Strange(
        "a trend in time", "regression", "dincbn",
        written({"day": days.strftime("%Y-%m-%d"), **columns, "sold": trend}),
    )  # fmt: skip
    alive = np.where(answer == "yes", "alive", "dead")
    yield Strange(
        "a leak", "binary", "incbnc", written({**columns, "alive": alive, "y": answer}), ("alive",)
    )
    fare, tolls = random.normal(20, 6, rows).round(2), random.normal(3, 1, rows).round(2)
    tip = score.round(2) + 5
    total = (fare + tolls + tip).round(2)
    yield Strange(
        "a sum that leaks", "regression", "incbnnnn",
        written({**columns, "fare": fare, "tolls": tolls, "total": total, "tip": tip}),
        ("fare", "tolls", "total"),
    )  # fmt: skip
    yield Strange(
        "semicolons, decimal commas", "binary", usual, written(bought(), sep=";", decimal=",")
    )
    yield Strange("Latin-1", "binary", usual, written(bought(), encoding="latin-1"))
    yield Strange(
        "UTF-16, tabs", "binary", usual, written(bought(), "t.tsv", encoding="utf-16", sep="\t")
    )
    yield Strange("no header", "binary", usual, written(bought(), header=False))
    yield Strange("compressed", "binary", usual, written(bought(), "t.csv.gz"))
    yield from spelled()
    yield from in_other_formats(bought())


def spelled() -> Iterator[Strange]:
    """Yields tables whose numbers or columns are not what they look like."""
    columns, score = made()
    rows, random, answer = len(score), np.random.default_rng(2), classes(score)
    money = [f"${value * 1000:,.2f}" for value in columns["price"]]
    share = [f"{value:.1f}%" for value in columns["weight"]]
    yield Strange(
        "money and percent", "binary", "incbn", written(bought(price=money, weight=share))
    )
    coded = {
        "id": random.permutation(rows) + 10**9, "number": np.arange(rows), "always": "x",
        **columns, "copy": columns["age"], "lab": np.where(random.random(rows) < 0.1, -999, columns["age"]),
        "zip": [f"{n:05d}" for n in random.integers(500, 540, rows)],
        "note": [f"somebody wrote a note about the row {n}" for n in range(rows)], "y": answer,
    }  # fmt: skip
    questions = {n: [f"What is your {n}?", *values] for n, values in bought().items()}
    yield Strange(
        "a survey with its questions below the header", "binary", "incbn", written(questions)
    )
    yield Strange("identifiers, copies, text", "binary", "---incbn-ic-", written(coded))


def in_other_formats(columns: Columns) -> Iterator[Strange]:
    frame = pd.DataFrame(columns)
    cells = [[*frame.columns], *frame.astype(object).to_numpy().tolist()]

    def excel(folder: Path) -> Sequence[str]:
        sheets = {"Data": [["Report of 2024"], [], *cells]}
        return [str(write_workbook(folder / "a.xlsx", sheets)), "--target", "bought"]

    def sheets(folder: Path) -> Sequence[str]:
        book = {"Codes": [["code", "name"], [1, "a"], [2, "b"]], "Data": cells}
        return [str(write_workbook(folder / "b.xlsx", book)), "--target", "bought"]

    def lines(folder: Path) -> Sequence[str]:
        frame.to_json(folder / "a.jsonl", orient="records", lines=True)
        return [str(folder / "a.jsonl"), "--target", "bought"]

    def parquet(folder: Path) -> Sequence[str]:
        frame.to_parquet(folder / "a.parquet")
        return [str(folder / "a.parquet"), "--target", "bought"]

    def sql(folder: Path) -> Sequence[str]:
        with sqlite3.connect(folder / "a.db") as database:
            frame.assign(active=frame.active.map({True: "true", False: "false"})).to_sql(
                "t", database, index=False
            )
        return [
            "--sql",
            "SELECT * FROM t",
            "--from",
            f"sqlite:///{folder / 'a.db'}",
            "--target",
            "bought",
        ]

    def parts(folder: Path) -> Sequence[str]:
        (folder / "parts").mkdir()
        frame[:1000].to_csv(folder / "parts/one.csv", index=False)
        frame[1000:].to_csv(folder / "parts/two.csv", index=False)
        return [str(folder / "parts"), "--target", "bought"]

    def aligned(folder: Path) -> Sequence[str]:
        (folder / "a.data").write_text(frame.to_string(index=False))
        return [str(folder / "a.data"), "--target", "bought"]

    ways = {
        "aligned with spaces": aligned,
        "Excel below a title": excel,
        "Excel, two sheets": sheets,
        "JSON lines": lines,
    }
    ways |= {"Parquet": parquet, "SQLite": sql, "a folder": parts}
    for name, write in ways.items():
        yield Strange(name, "binary", "incbn", write)
