"""Tests `mlops promote` with real models: one in staging, and one that is worse, better, equal or
incomparable."""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

import small_project
from baking import NAME, Process, Run
from contenders import PAIRED, parse_strict_json
from production import TABLE

TEST_ROWS = "data/prepared/test.parquet"
TRAINING_ROWS = "data/prepared/train.parquet"
DROP = re.compile(
    r"(\w+) was ([\d.]+) and is ([\d.]+), a drop of ([\d.e-]+) where ([\d.]+) is allowed"
)


@pytest.fixture(scope="module")
def champion(run: Run, bake: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project and of its storage; its staging has a sound model and allows no drop."""
    folder = tmp_path_factory.mktemp("champion")
    (folder / "storage").mkdir()
    project = bake(folder, remote_url="../storage")
    small_project.table().to_csv(project / TABLE, index=False)
    for name in small_project.ENVIRONMENTS:
        text = small_project.ENVIRONMENT.format(fraction=1.0, on_failure="stop")
        (project / f"environments/{name}.yaml").write_text(text)
    allow(project, dict.fromkeys(PAIRED, 0))
    train_sound(project)
    reproduce(run, project, "A sound model")
    mlops(run, project, "promote", "staging")
    return folder


@pytest.fixture(scope="module")
def worse(run: Run, champion: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a worse model on dev."""
    folder = tmp_path_factory.mktemp("worse") / "copy"
    shutil.copytree(champion, folder, symlinks=True)
    train(folder / NAME, "random_forest", trees=1, leaves=500)
    reproduce(run, folder / NAME, "A single tree")
    return folder


@pytest.fixture
def challenged(champion: Path, tmp_path: Path) -> Path:
    """A copy of the project with the champion in staging."""
    shutil.copytree(champion, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy" / NAME


@pytest.fixture
def with_worse(worse: Path, tmp_path: Path) -> Path:
    """A copy of the project with the champion in staging and a worse model on dev."""
    shutil.copytree(worse, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy" / NAME


def mlops(run: Run, project: Path, *arguments: str, check: bool = True) -> Process:
    return run("mlops", *arguments, cwd=project, check=check)


def edit(file: Path, change: Callable[[Any], None]) -> None:
    content = YAML(typ="safe", pure=True).load(file)
    change(content)
    YAML().dump(content, file)


def train(project: Path, architecture: str, **options: float) -> None:
    """Makes an architecture the only one of params.yaml, and chooses it."""
    chosen = {"architecture": architecture, "architectures": {architecture: options}}
    edit(project / "params.yaml", lambda content: content["train"].update(chosen))


def train_sound(project: Path) -> None:
    train(project, "linear", inverse_penalty=1.0, iterations=500)


def allow(project: Path, max_drop: Mapping[str, float], on_failure: str = "stop") -> None:
    gate = {"max_drop": dict(max_drop), "on_failure": on_failure}
    edit(project / "environments/staging.yaml", lambda content: content["gate"].update(gate))


def commit(run: Run, project: Path, message: str) -> None:
    run.git("add", "--all", cwd=project)
    run.git("commit", "--quiet", "--message", message, cwd=project)


def reproduce(run: Run, project: Path, message: str) -> None:
    mlops(run, project, "repro")
    commit(run, project, message)


def refused(run: Run, project: Path, code: int, *options: str) -> str:
    """Returns the output of a promotion, and checks that it ends with `code` and that no ref has moved."""
    before = run.git("for-each-ref", cwd=project)
    done = mlops(run, project, "promote", "staging", *options, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert run.git("for-each-ref", cwd=project) == before
    return done.stderr


def test_compare_shows_rows_that_are_answered_differently_and_which_model_is_right(
    run: Run, with_worse: Path
) -> None:
    said = mlops(run, with_worse, "compare", "staging", "dev").stdout.splitlines()
    first, counts, *examples = said[said.index("predictions") + 1 :]
    flipped = re.fullmatch(
        r"  (\d+) of the \d+ test rows of dev .* another class, .* differ", first
    )
    assert flipped
    right = re.fullmatch(
        r"  (\d+) of them are right only with dev, and (\d+) only with staging", counts
    )
    assert right
    gained, lost = map(int, right.groups())
    assert gained < lost <= gained + lost == int(flipped[1])
    target = YAML(typ="safe", pure=True).load(with_worse / "params.yaml")["prepare"]["target"]
    actual = pd.read_parquet(with_worse / TEST_ROWS)[target]
    for line in examples:
        shown = re.fullmatch(
            r"  test row ([\d,]+): (\S+) -> (\S+), where (\S+) is right: age .*", line
        )
        assert shown
        assert shown[2] != shown[3]
        assert shown[4] == actual[int(shown[1].replace(",", "")) - 1]
    assert len(examples) == min(5, int(flipped[1]))


def comparison(run: Run, project: Path, number: int) -> Any:
    """Returns the comparison of the record staging/000`number`, parsed as strict JSON."""
    tag = f"refs/tags/staging/{number:04d}"
    message = run.git("for-each-ref", "--format=%(contents:body)", tag, cwd=project)
    return parse_strict_json(message)["comparison"]


def measured(project: Path) -> Any:
    return json.loads((project / "reports/metrics.json").read_text())["test"]


def test_a_worse_model_is_refused_by_each_metric_and_no_reason_helps(
    run: Run, with_worse: Path
) -> None:
    said = refused(run, with_worse, 4, "--accept-incomparable", "we want it")
    assert "worse than the model now in staging: " in said
    found = {name: tuple(map(float, numbers)) for name, *numbers in DROP.findall(said)}
    assert list(found) == list(PAIRED)
    for name, (was, now, drop, allowed) in found.items():
        assert (now < was) == (name == "accuracy")
        assert now == pytest.approx(measured(with_worse)[name], abs=2e-6)
        assert drop == pytest.approx(abs(was - now), abs=2e-6)
        assert allowed == 0


def test_a_drop_may_be_as_large_as_the_limit_and_no_larger(run: Run, with_worse: Path) -> None:
    said = refused(run, with_worse, 4)
    drops = {name: float(drop) for name, _, _, drop, _ in DROP.findall(said)}
    allow(with_worse, {name: round(drop - 1e-6, 6) for name, drop in drops.items()})
    commit(run, with_worse, "A little less than the drops")
    assert [name for name, *_ in DROP.findall(refused(run, with_worse, 4))] == list(PAIRED)
    allow(with_worse, {**drops, "brier": 0})
    commit(run, with_worse, "The drops, but for one")
    assert [name for name, *_ in DROP.findall(refused(run, with_worse, 4))] == ["brier"]
    allow(with_worse, drops)
    commit(run, with_worse, "The drops")
    done = mlops(run, with_worse, "promote", "staging", "--dry-run")
    for name in PAIRED:
        assert re.search(
            rf"gate: {name} .* -> .*, advantage -.* passed$", done.stdout, re.MULTILINE
        )


def test_where_drops_are_reported_a_worse_model_is_released_and_a_better_one_replaces_it(
    run: Run, with_worse: Path
) -> None:
    allow(with_worse, dict.fromkeys(PAIRED, 0), "report")
    subgroups = {"min_rows": 10, "bounds": {"accuracy": {"min": 0}}, "max_drop": {"accuracy": 0.9}}
    file = with_worse / "environments/staging.yaml"
    edit(file, lambda content: content["gate"].update(subgroups=subgroups))
    commit(run, with_worse, "Report")
    done = mlops(run, with_worse, "promote", "staging")
    for name in PAIRED:
        assert re.search(
            rf"gate: {name} .* -> .*, advantage -.* FAILED$", done.stdout, re.MULTILINE
        )
    worse = comparison(run, with_worse, 2)
    assert (worse["passed"], worse["stops"]) == (False, False)
    for name, drop in worse["subgroups"].items():
        assert drop["passed"]
        assert f"gate: {name}: drop {drop['drop']} on {drop['rows']} rows" in done.stdout
    assert {name.split(":")[0] for name in worse["subgroups"]} == {
        f"accuracy of {column}" for column in ("sex", "race")
    }
    assert re.search(r"gate: accuracy of (sex|race): .* \(min 0.0, rows \d+\) passed", done.stdout)
    allow(with_worse, dict.fromkeys(PAIRED, 0))
    train_sound(with_worse)
    reproduce(run, with_worse, "A sound model again, and stop")
    mlops(run, with_worse, "promote", "staging")
    better = comparison(run, with_worse, 3)
    assert (better["passed"], better["stops"]) == (True, True)
    for name, drop in better["metrics"].items():
        assert drop["advantage"] == -worse["metrics"][name]["advantage"] > 0
        assert drop["challenger"] == worse["metrics"][name]["champion"]
        assert drop["interval"][0] < drop["advantage"] < drop["interval"][1]


def test_the_same_predictions_in_other_bytes_pass(run: Run, challenged: Path) -> None:
    export = challenged / "mlops/train/export.py"
    last = "    content: bytes = model.SerializeToString("
    text = export.read_text()
    assert text.count(last) == 1
    export.write_text(text.replace(last, f'    model.doc_string = "Other bytes"\n{last}'))
    reproduce(run, challenged, "Another export")
    mlops(run, challenged, "promote", "staging")
    found = comparison(run, challenged, 2)
    assert found["passed"]
    assert list(found["metrics"]) == list(PAIRED)
    for drop in found["metrics"].values():
        assert (drop["advantage"], drop["interval"], drop["passed"]) == (0, [0, 0], True)


def test_what_leaves_the_bundle_alone_is_not_compared(run: Run, challenged: Path) -> None:
    (challenged / "README.md").write_text("Another text\n")
    commit(run, challenged, "Another text")
    mlops(run, challenged, "promote", "staging")
    assert comparison(run, challenged, 2) == {"passed": True, "same_bundle": True}


def incomparable(run: Run, project: Path) -> str:
    """Returns why the challenger is refused as incomparable, in the words of the module that found the
    reason."""
    said = refused(run, project, 3)
    found = re.search(
        r"the challenger cannot be compared with the model now in staging: Incomparable: (.*)\. "
        "To release it without a comparison, give a reason: --accept-incomparable REASON",
        said,
    )
    assert found, said
    return found[1]


def test_rows_seen_in_training_are_left_out_whatever_is_missing_in_them(
    run: Run, challenged: Path
) -> None:
    training = pd.read_parquet(challenged / TRAINING_ROWS).drop(columns="income")
    edit(challenged / "params.yaml", lambda content: content["prepare"]["split"].update(seed=2))
    reproduce(run, challenged, "Another split")
    rows = pd.read_parquet(challenged / TEST_ROWS).drop(columns="income")
    seen = rows.merge(training.drop_duplicates())  # NaN equals NaN here
    lacking = seen.isna().any(axis=1).sum()
    assert 0 < lacking < len(seen) < len(rows)
    left = len(rows) - len(seen)
    few: dict[str, Any] = {"min_rows": left + 1, "bounds": {}}
    edit(challenged / "environments/staging.yaml", lambda content: content["gate"].update(few))
    commit(run, challenged, "More rows than are left")
    assert incomparable(run, challenged) == (
        f"the champion was trained on {len(seen)} of the {len(rows)} test rows, and gate.min_rows wants "
        f"{left + 1} others"
    )
    few["min_rows"] = 2
    edit(challenged / "environments/staging.yaml", lambda content: content["gate"].update(few))
    allow(challenged, dict.fromkeys(PAIRED, 1000))
    commit(run, challenged, "Enough rows")
    done = mlops(run, challenged, "promote", "staging")
    assert f"compared on {left} test rows, without {len(seen)} on which" in done.stdout
    found = comparison(run, challenged, 2)
    assert (found["rows"], found["left_out"]) == (left, len(seen))


def test_a_column_that_the_champion_needs_is_named_and_a_reason_releases(
    run: Run, challenged: Path
) -> None:
    def ignore(content: Any) -> None:
        columns = content["prepare"]["columns"]
        columns["integer"].remove("fnlwgt")
        columns["ignored"].append("fnlwgt")

    edit(challenged / "params.yaml", ignore)
    reproduce(run, challenged, "Without fnlwgt")
    reason = "the test rows lack fnlwgt, which the champion needs"
    assert incomparable(run, challenged) == reason
    mlops(run, challenged, "promote", "staging", "--accept-incomparable", "it tells nothing")
    assert comparison(run, challenged, 2) == {
        "incomparable": f"Incomparable: {reason}",
        "accepted": "it tells nothing",
    }


def test_another_positive_class_is_refused(run: Run, challenged: Path) -> None:
    edit(challenged / "params.yaml", lambda content: content["prepare"].update(positive="other"))
    reproduce(run, challenged, "The other class is the positive one")
    assert incomparable(run, challenged) == (
        "the champion's positive class is '>50K', and the challenger's is 'other'"
    )


def test_one_test_row_of_a_class_is_too_few(run: Run, challenged: Path) -> None:
    table = small_project.table()
    test = run(
        "python",
        "-c",
        "from mlops import params; from mlops.prepare import position, raw, split_rules\n"
        "options = params.load_configuration().params.prepare\n"
        "(rows,) = raw.read_rows(options)\n"
        "rule = split_rules.split_rule(options)\n"
        "names = rule(rows, position.input_hashes(rows, options))\n"
        "print(*((names == 'test') & (rows.texts['income'].values == '>50K')).nonzero()[0])",
        cwd=challenged,
    ).stdout.split()
    assert len(test) > 2
    for name in ("dev", "staging"):
        file = challenged / f"environments/{name}.yaml"
        edit(file, lambda content: content["gate"].update(bounds={}))
    table.drop(index=[int(row) for row in test[1:]]).to_csv(challenged / TABLE, index=False)
    reproduce(run, challenged, "One positive test row")
    assert incomparable(run, challenged) == (
        "false_negative_percent can be measured on 1 of the test rows, and gate.min_rows is "
        "2: add rows, give the test split a larger share (prepare.split), or take the metric out of "
        "gate.max_drop"
    )
