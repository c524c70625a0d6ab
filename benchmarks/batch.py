"""Measures batch predictions beside those of peers, in one run, on the same million rows.

    make install && .venv/bin/python benchmarks/batch.py

writes benchmarks/batch.md. Every figure is the median over rounds, in which the contestants take turns, and
covers whole processes from start to end. The benchmark needs an otherwise idle machine and 10 GB of disk.
--environments DIR keeps the installed environments for the next run.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median

import environments  # the modules that follow are of benchmarks/
import project
import repeated_rows
from environments import Environment
from page import Target, machine, paragraph, table, target_table
from pipeline import ENVIRONMENT
from places import Places, count_answers
from processes import Cost, cost
from project import MLFLOW, PEERS, SAME_MODEL, Project
from repeated_rows import Table

FEW = 10
DRIVERS = ["sqlalchemy", "psycopg2-binary"]
LIBRARIES = ["mlflow", "pandas", "scikit-learn", "sqlalchemy", "psycopg2-binary"]
OWN_LIBRARIES = ["adbc-driver-postgresql", "adbc-driver-sqlite", "onnxruntime", "pyarrow"]

OURS, BY_HAND, PARTS = "this template", "pandas, scikit-learn, to_sql", "fastest parts alone"


@dataclass(frozen=True)
class Case:
    """The format of the table to score, and the destination of its answers."""

    form: str
    to: str

    def __str__(self) -> str:
        return f"{self.form} to {self.to}"


CASES = [Case(form, to) for to in ("SQLite", "PostgreSQL") for form in ("CSV", "Parquet")]
CSV_TO_SQLITE, _, _, PARQUET_TO_POSTGRESQL = CASES
CSV_TO_FILE = Case("CSV", "a file")

Rounds = Mapping[Case, Sequence[Cost]]


@dataclass(frozen=True)
class Contestant:
    """What is measured. `command` returns the command for a table and the place of its answers."""

    name: str
    command: Callable[[Path, str], Sequence[str | Path]]
    folder: Path = PEERS
    variables: Mapping[str, str] = field(default_factory=dict)
    cases: Sequence[Case] = tuple(CASES)


@dataclass(frozen=True)
class Results:
    """The rounds of every contestant, and those of this template on few rows and on ten times as many."""

    rounds: Mapping[str, Rounds]
    few: Rounds
    many: Rounds


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        parent = options.environments or scratch / "environments"
        mlflow = environments.make_environment(
            parent, "mlflow-batch", MLFLOW, *SAME_MODEL, *DRIVERS
        )
        made = project.make_project(scratch, mlflow)
        with closing(Places(scratch)) as places:
            results = contest(list(contestants(made, mlflow)), made, options, places)
    Path(__file__).with_suffix(".md").write_text(page(results, mlflow, options))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure batch scoring side by side.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--environments", type=Path, metavar="DIR", help="kept for the next run")
    return parser.parse_args()


def contest(
    contestants: Sequence[Contestant], made: Project, options: argparse.Namespace, places: Places
) -> Results:
    few, rows, many = (
        repeated_rows.write_table(made.test_rows, count, made.twin)
        for count in (FEW, options.rows, 10 * options.rows)
    )
    template = contestants[0]
    take_turns(1, [template], few, places)  # the first run also prepares the deployment
    twice = replace(template, cases=(CSV_TO_SQLITE, PARQUET_TO_POSTGRESQL))
    return Results(
        few=take_turns(options.rounds, [template], few, places)[OURS],
        rounds=take_turns(options.rounds, contestants, rows, places),
        many=take_turns(1, [twice], many, places)[OURS],
    )


def contestants(made: Project, mlflow: Environment) -> Iterator[Contestant]:
    yield Contestant(
        OURS,
        lambda file, place: [
            *(sys.executable, "-m", "mlops.cli", "score", file, "--to", place, "--key", "id"),
            *("--environment", "dev"),
        ],
        folder=made.folder,
    )
    yield Contestant(
        PARTS,
        lambda file, place: [
            sys.executable,
            PEERS / "fastest_parts.py",
            *(made.folder / "deploy", file, place),
        ],
        variables={"PYTHONPATH": str(made.folder)},
    )
    yield Contestant(
        BY_HAND,
        lambda file, place: [
            mlflow.python,
            "score_by_hand.py",
            made.joblib,
            file,
            sqlalchemy_url(place),
        ],
    )
    yield Contestant(
        "mlflow.pyfunc, to_sql",
        lambda file, place: [
            mlflow.python,
            "score_pyfunc.py",
            made.mlflow,
            file,
            sqlalchemy_url(place),
        ],
        cases=(CSV_TO_SQLITE, PARQUET_TO_POSTGRESQL),
    )
    yield Contestant(
        "mlflow models predict",
        lambda file, place: [
            *(mlflow.bin / "mlflow", "models", "predict", "--model-uri", made.mlflow),
            *("--env-manager", "local", "--content-type", "csv"),
            *("--input-path", file, "--output-path", place),
        ],
        variables={"PATH": f"{mlflow.bin}:{ENVIRONMENT['PATH']}"},
        cases=(CSV_TO_FILE,),
    )


def sqlalchemy_url(place: str) -> str:
    """Returns the URL with the driver of SQLAlchemy with which `to_sql` is fastest."""
    return place.replace("postgresql:", "postgresql+psycopg2:")


def take_turns(
    rounds: int, contestants: Sequence[Contestant], rows: Table, places: Places
) -> dict[str, dict[Case, list[Cost]]]:
    """Returns the costs of every contestant, by case. Exits with a message if a contestant fails or gives
    other answers."""
    results: dict[str, dict[Case, list[Cost]]] = {
        contestant.name: {case: [] for case in contestant.cases} for contestant in contestants
    }
    for number in range(1, rounds + 1):
        for case in [*CASES, CSV_TO_FILE]:
            for contestant in contestants:
                if case in contestant.cases:
                    cost_of_run = score_once(contestant, case, rows, places)
                    print(
                        f"{rows.rows:,} rows, round {number}, {case}: {contestant.name}, "
                        f"{cost_of_run.seconds:.1f} s",
                        flush=True,
                    )
                    results[contestant.name][case].append(cost_of_run)
    return results


def score_once(contestant: Contestant, case: Case, rows: Table, places: Places) -> Cost:
    with places.new(case.to) as place:
        command = contestant.command(rows.files[case.form], place)
        cost_of_run = cost(command, contestant.folder, {**ENVIRONMENT, **contestant.variables})
        counts = count_answers(place)
        if counts != (rows.rows, rows.positive):
            sys.exit(
                f"{contestant.name}, {case}: {counts} answers and positive answers, but "
                f"{(rows.rows, rows.positive)} are expected"
            )
    return cost_of_run


def page(results: Results, mlflow: Environment, options: argparse.Namespace) -> str:
    own = ", ".join(f"{name} {version(name)}" for name in OWN_LIBRARIES)
    cases = [*CASES, CSV_TO_FILE]
    heads = ["", *map(str, cases)]
    return "\n".join(
        [
            "# Batch predictions beside their peers",
            "",
            "    make install && .venv/bin/python benchmarks/batch.py",
            "",
            paragraph(
                f"{machine()} One model, histogram gradient boosting on the 14 columns of the census "
                f"table, trained by `mlops repro`; its test rows repeated to {options.rows:,} under an "
                f"`id`. Whole processes from start to end, medians of {options.rounds} rounds; after "
                "every run the answers were counted, all of them and the positive ones. The peers "
                "write id, prediction and, by hand, probability; this template checks the input "
                "contract, writes both probabilities, version, batch and profile, holds keys unique "
                "and a batch whole, exactly once."
            ),
            "",
            f"- this template: `mlops score`, {own}",
            f"- peers: {mlflow.versions(*LIBRARIES)}",
            "",
            "## Seconds",
            "",
            table(heads, figures(results.rounds, cases, lambda each: f"{each.seconds:.1f}")),
            "## Times faster than by hand",
            "",
            table(heads[:-1], speed_ups(results.rounds)),
            "## Peak memory, MB",
            "",
            table(heads, figures(results.rounds, cases, lambda each: f"{each.megabytes:.0f}")),
            "The processes of a contestant, each at its own peak; the database server is not counted.",
            "",
            "## Where the time goes",
            "",
            table(["seconds", *map(str, CASES)], breakdown(results)),
            paragraph(
                '"Start" is `mlops score` on ten rows, from the command to the commit. The parts are '
                "those of the fastest parts alone, one after the other in one thread; the rest is what "
                "this template adds to them, and negative where it does at once what they do in turn."
            ),
            "",
            "## Ten times as many rows",
            "",
            table(
                ["this template", "seconds", "MB", f"MB at {options.rows:,} rows"],
                [
                    [
                        str(case),
                        f"{each.seconds:.1f}",
                        f"{each.megabytes:.0f}",
                        f"{median(few.megabytes for few in results.rounds[OURS][case]):.0f}",
                    ]
                    for case, (each,) in results.many.items()
                ],
            ),
            "## Bounds",
            "",
            target_table(batch_targets(results)),
        ]
    )


def figures(
    rounds: Mapping[str, Rounds], cases: Sequence[Case], figure: Callable[[Cost], str]
) -> Iterator[list[str]]:
    for name, by_case in rounds.items():
        yield [name, *(figure(middle(by_case[case])) if case in by_case else "" for case in cases)]


def speed_ups(rounds: Mapping[str, Rounds]) -> Iterator[list[str]]:
    for name, by_case in rounds.items():
        if name != BY_HAND and not by_case.keys().isdisjoint(CASES):
            ratios = [
                f"{faster(by_case[case], rounds[BY_HAND][case]):.1f}" if case in by_case else ""
                for case in CASES
            ]
            yield [name, *ratios]


def faster(costs: Sequence[Cost], than: Sequence[Cost]) -> float:
    """Returns how many times faster the costs are than others: the median of the ratios within each round."""
    pairs = zip(costs, than, strict=True)
    return median(other.seconds / each.seconds for each, other in pairs)


def middle(costs: Sequence[Cost]) -> Cost:
    """Returns the medians of seconds and of megabytes, with the output and the processes of the last
    run."""
    return Cost(
        median(each.seconds for each in costs),
        median(each.megabytes for each in costs),
        costs[-1].printed,
        costs[-1].parts,
    )


def breakdown(results: Results) -> Iterator[list[str]]:
    start = [middle(results.few[case]).seconds for case in CASES]
    parts = [median_parts(results.rounds[PARTS][case]) for case in CASES]
    whole = [middle(results.rounds[OURS][case]).seconds for case in CASES]
    rest = [
        all_of_it - begun - sum(each.values())
        for all_of_it, begun, each in zip(whole, start, parts, strict=True)
    ]
    yield ["start", *map("{:.2f}".format, start)]
    for part in parts[0]:
        yield [part, *(f"{each[part]:.2f}" for each in parts)]
    yield ["the rest", *map("{:.2f}".format, rest)]
    yield ["this template, whole", *map("{:.2f}".format, whole)]


def median_parts(costs: Sequence[Cost]) -> dict[str, float]:
    printed = [json.loads(each.printed) for each in costs]
    return {part: median(each[part] for each in printed) for part in printed[0]}


def batch_targets(results: Results) -> Iterator[Target]:
    ours, by_hand = results.rounds[OURS], results.rounds[BY_HAND]
    for case in CASES:
        ratio = faster(ours[case], by_hand[case])
        yield Target(f"{case}, against by hand", ratio, least=4.5, unit=" times faster")
    highest = max(middle(costs).megabytes for costs in [*ours.values(), *results.many.values()])
    yield Target("peak memory", highest, most=350, unit=" MB")
    for case, (many,) in results.many.items():
        growth = many.megabytes / middle(ours[case]).megabytes
        yield Target(f"{case}, memory for ten times the rows", growth, most=1.1, unit=" times")


if __name__ == "__main__":
    main()
