"""Measures real-time predictions beside those of peers, in one run, on the same model and rows.

    make install && .venv/bin/python benchmarks/serving.py

writes benchmarks/serving.md. A service has one core for itself, and wrk has the other one. Every round starts
every service anew, and figures are medians of the rounds. The benchmark needs wrk (apt-get install wrk) and
an otherwise idle machine with two cores. --environments DIR keeps the installed environments for the next
run.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

import environments  # the modules that follow are of benchmarks/
import project
from environments import Environment
from page import Target, machine, paragraph, table, target_table
from pipeline import TEMPLATE
from project import MLFLOW, SAME_MODEL, Project, call
from service import CLIENT_CORE, CONNECTIONS, Round, Service, measure_service

LOCK = TEMPLATE / "{{cookiecutter.project}}" / "requirements" / "serve.txt"
WEB = [f"{name}=={version(name)}" for name in ("fastapi", "uvicorn", "uvloop", "httptools")]
BENTOML = "bentoml==1.4.39"  # 1.4.40 asks for a certifi that the package index lacks
ROWS = 1000

OURS, FOLLOWING = "this template", "this template, `mlops serve`"
BY_HAND, EMPTY = "FastAPI, pandas, scikit-learn by hand", "empty FastAPI"

Results = Mapping[str, Sequence[Round]]


def main() -> None:
    options = arguments()
    if not shutil.which("wrk"):
        sys.exit("wrk is not on PATH. On Debian: sudo apt-get install wrk")
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        parent = options.environments or scratch / "environments"
        mlflow = environments.make_environment(parent, "mlflow", MLFLOW, *SAME_MODEL)
        made = project.make_project(scratch, mlflow)
        services = [*ours(made, parent), *peers(made, parent, mlflow), *floors(parent)]
        results = contest(services, made, options, scratch)
        text = page(services, results, options)
    Path(__file__).with_suffix(".md").write_text(text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure services beside each other.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each load in each round")
    parser.add_argument("--environments", type=Path, metavar="DIR", help="kept for the next run")
    return parser.parse_args()


def ours(made: Project, parent: Path) -> Iterator[Service]:
    deployment = (
        "from mlops.release.follow import deployment; from mlops.release.history.git import Git; "
        "print(deployment.open_deployment(Git.of_current_directory(), 'dev').folder)"
    )
    folder = Path(call(sys.executable, "-c", deployment, cwd=made.folder).strip())
    yield Service(
        OURS,
        environments.make_environment(
            parent, "serve", "--require-hashes", "--requirement", str(LOCK)
        ),
        ["fastapi", "msgspec", "onnxruntime", "uvicorn"],
        ["python", "-m", "mlops.service", "--port", "{port}"],
        folder=folder,
        variables={"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"},
        label=first_label,
    )
    yield Service(
        FOLLOWING,
        Environment(Path(sys.prefix)),
        ["fastapi", "msgspec", "onnxruntime", "uvicorn", "dvc"],
        [sys.executable, "-m", "mlops.cli", "serve", "--environment", "dev", "--port", "{port}"],
        folder=made.folder,
        label=first_label,
    )


def first_label(answer: Any) -> object:
    return answer["predictions"][0]["prediction"]


def peers(made: Project, parent: Path, mlflow: Environment) -> Iterator[Service]:
    joblib = {"MODEL": str(made.joblib)}
    yield Service(
        BY_HAND,
        environments.make_environment(
            parent, "by-hand", *WEB, "uvicorn[standard]", "joblib", *SAME_MODEL
        ),
        ["fastapi", "pandas", "scikit-learn", "uvicorn"],
        ["uvicorn", "by_hand:app", "--port", "{port}"],
        variables=joblib,
    )
    yield Service(
        "BentoML",
        environments.make_environment(parent, "bentoml", BENTOML, *SAME_MODEL),
        ["bentoml", "scikit-learn"],
        ["bentoml", "serve", "bento:Census", "--host", "127.0.0.1", "--port", "{port}"],
        variables={**joblib, "BENTOML_DO_NOT_TRACK": "1", "BENTOML_HOME": str(made.twin / "bento")},
        body=lambda row: {"row": row},
    )
    yield Service(
        "MLflow models serve",
        mlflow,
        ["mlflow", "scikit-learn"],
        [
            *("mlflow", "models", "serve", "--model-uri", made.mlflow, "--env-manager", "local"),
            *("--workers", "1", "--host", "127.0.0.1", "--port", "{port}"),
        ],
        path="/invocations",
        body=lambda row: {"dataframe_records": [row]},
        label=lambda answer: answer["predictions"][0],
    )


def floors(parent: Path) -> Iterator[Service]:
    for name, module in ((EMPTY, "empty_fastapi"), ("empty ASGI app", "empty_asgi")):
        yield Service(
            name,
            environments.make_environment(
                parent, "serve", "--require-hashes", "--requirement", str(LOCK)
            ),
            ["fastapi", "uvicorn"] if name == EMPTY else ["uvicorn"],
            ["python", "-m", "uvicorn", f"{module}:app", "--no-access-log", "--port", "{port}"],
            label=lambda answer: None,
        )


def contest(
    services: Sequence[Service], made: Project, options: argparse.Namespace, scratch: Path
) -> Results:
    table = pd.read_parquet(made.test_rows).dropna().head(ROWS)
    labels = list(table["prediction"])
    inputs = table.drop(columns=["prediction", "probability"])
    rows = json.loads(inputs.to_json(orient="records"))
    os.sched_setaffinity(0, {CLIENT_CORE})
    results: dict[str, list[Round]] = {service.name: [] for service in services}
    for number in range(1, options.rounds + 1):
        for service in services:
            print(f"round {number}: {service.name}", flush=True)
            figures = measure_service(service, rows, labels, options.seconds, scratch)
            results[service.name].append(figures)
    return results


def page(services: Sequence[Service], results: Results, options: argparse.Namespace) -> str:
    return "\n".join(
        [
            "# Real-time predictions beside their peers",
            "",
            "    make install && .venv/bin/python benchmarks/serving.py",
            "",
            paragraph(
                f"{machine()} One model, histogram gradient boosting on the 14 columns of the census "
                f"table, trained by `mlops repro`; one row a request, {ROWS:,} test rows in turn; "
                "every service first gave all of them the same labels. The service has one core for "
                f"itself and wrk the other. Medians of {options.rounds} rounds of {options.seconds} s, "
                "in which every service was started anew. This template with validation, request id, "
                "log line and metrics on; the empty endpoints read no body and write no log."
            ),
            "",
            "## Under load",
            "",
            table(
                [
                    "",
                    *(
                        f"{n}: {what}"
                        for n in CONNECTIONS
                        for what in ("median", "p99", "a second")
                    ),
                ],
                [[name, *cells(rounds)] for name, rounds in results.items()],
            ),
            paragraph(
                "Connections: milliseconds to an answer, median and 99th percentile; answers a second. "
                "A request that comes alone pays a whole run of the model, of which ONNX Runtime's fixed "
                "part is most. Requests that come together share it: so this template overtakes the "
                "empty endpoint, which shares nothing."
            ),
            "",
            "## Beside it",
            "",
            table(
                ["", "first answer, s", "resident, MB", "installed, MB"],
                [beside(service, results[service.name]) for service in services],
            ),
            paragraph(
                "First answer since the start of the process; resident memory of all its processes "
                "after the loads; installed size of the libraries, with bytecode, without Python. "
                "`mlops serve` follows a branch from a clone: Git, DVC and the libraries of the other "
                "rooms are beside it."
            ),
            "",
            *(
                f"- {service.name}: {service.environment.versions(*service.libraries)}"
                for service in services
            ),
            "",
            "## Bounds",
            "",
            target_table(serving_targets(services[0], results)),
        ]
    )


def cells(rounds: Sequence[Round]) -> Iterator[str]:
    for count in CONNECTIONS:
        loads = [each.loads[count] for each in rounds]
        yield f"{median(load.median for load in loads):.2f}"
        yield f"{median(load.p99 for load in loads):.1f}"
        yield f"{median(load.per_second for load in loads):,.0f}"


def beside(service: Service, rounds: Sequence[Round]) -> list[str]:
    return [
        service.name,
        f"{median(each.first_answer for each in rounds):.2f}",
        f"{median(each.resident for each in rounds):.0f}",
        f"{service.environment.megabytes:.0f}",
    ]


def serving_targets(service: Service, results: Results) -> Iterator[Target]:
    """Yields the bounds. Ratios are medians of the ratios within each round."""
    rounds = results[service.name]

    def ratio(figure: Callable[[Round], float], other: str) -> float:
        pairs = zip(rounds, results[other], strict=True)
        return median(figure(mine) / figure(theirs) for mine, theirs in pairs)

    def per_second(each: Round) -> float:
        return each.loads[16].per_second

    yield Target(
        "median at 1 connection, against an empty FastAPI endpoint's",
        ratio(lambda each: each.loads[1].median, EMPTY),
        most=1,
        unit=" times",
    )
    yield Target(
        "answers a second at 16 connections, against the service by hand",
        ratio(per_second, BY_HAND),
        least=40,
        unit=" times",
    )
    yield Target(
        "answers a second at 16 connections, against an empty FastAPI endpoint",
        ratio(per_second, EMPTY),
        least=1.2,
        unit=" times",
    )
    yield Target(
        "p99 at 64 connections", median(each.loads[64].p99 for each in rounds), most=20, unit=" ms"
    )
    yield Target("first answer", median(each.first_answer for each in rounds), most=1.5, unit=" s")
    yield Target("resident", median(each.resident for each in rounds), most=110, unit=" MB")
    yield Target("installed", service.environment.megabytes, most=200, unit=" MB")


if __name__ == "__main__":
    main()
