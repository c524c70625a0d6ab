import shutil
from pathlib import Path

import pytest

from machinery import PROJECT
from mlops import params
from mlops.architectures import ARCHITECTURES, hyperparameters
from mlops.errors import ParameterError
from small_project import change

ARCHITECTURE = next(iter(ARCHITECTURES))
OPTIONS = f"train.architectures.{ARCHITECTURE}"
OPTION = next(iter(hyperparameters(ARCHITECTURES[ARCHITECTURE]).model_fields))
TARGET = params.load_configuration(PROJECT).params.prepare.target
PROD = "environments/prod.yaml"
NO_COLUMNS: dict[str, list[str]] = {name: [] for name in params.ColumnParams.model_fields}


def refusal() -> str:
    with pytest.raises(ParameterError) as refused:
        params.load_configuration()
    return str(refused.value)


def test_what_the_project_ships_is_valid() -> None:
    assert params.load_configuration(PROJECT).params.train.architecture in ARCHITECTURES


@pytest.mark.parametrize(
    ("file", "key", "value", "message"),
    [
        ("params.yaml", "train.sed", 1, "train.sed: unknown key; did you mean 'seed'?"),
        ("params.yaml", "train.seed", "x", "train.seed: 'x' should be a valid integer"),
        ("params.yaml", "train.seed", True, "train.seed: True should be a valid integer"),
        ("params.yaml", "train.seed", -1, "train.seed: -1 should be greater than or equal to 0"),
        ("params.yaml", "train.architecture", f"{ARCHITECTURE}s", f"did you mean '{ARCHITECTURE}'?"),
        ("params.yaml", f"{OPTIONS}.{OPTION}s", 1, f"{OPTION}s: unknown key; did you mean"),
        ("params.yaml", f"{OPTIONS}.{OPTION}", "x", f"{OPTION}: 'x' should be a valid"),
        ("params.yaml", OPTIONS, {}, f"architectures.{ARCHITECTURE}.{OPTION}: missing; add it"),
        ("params.yaml", OPTIONS, 3, f"{OPTIONS}: 3 should hold keys and values"),
        ("params.yaml", "train.architectures", {}, f"has no block '{ARCHITECTURE}': add one"),
        ("params.yaml", "train.threshold", {}, "threshold: give one of probability, precision and costs"),
        ("params.yaml", "train.threshold", {"probability": 0.3, "precision": 0.9}, "threshold: give one of"),
        ("params.yaml", "train.threshold", {"probability": 1}, "probability: 1 should be less than 1"),
        ("params.yaml", "train.threshold", {"probabilty": 0.3}, "threshold.probabilty: unknown key; did you"),
        ("params.yaml", "train.threshold", {"costs": {"false_postive": 1}}, "false_postive: unknown key"),
        *(("params.yaml", "train.class_weights", value, f"class_weights: {value!r} should be null, 'bal")
          for value in ({"yes": 0}, {"yes": 1e308}, {"yes": "2"}, {1: 2}, "balance", 3)),
        ("params.yaml", "prepare.positive", 1, "prepare.positive: 1 should be text: put it in quotes"),
        ("params.yaml", "prepare.source.missing", "?", "prepare.source.missing: '?' should be a list"),
        ("params.yaml", "prepare.source.missing", ["yes"], "'yes' has two meanings: missing, true_words and"),
        ("params.yaml", "prepare.source.true_words", ["Ja"], "'Ja': write true_words and false_words in"),
        ("params.yaml", "prepare.source.true_words", [True], "True should be text: put it in quotes"),
        *(("params.yaml", "prepare.source.delimiter", value, f"delimiter: {value!r} should be one ASCII char")
          for value in ("§", "\0", "\n", "", ";;", 1)),
        *(("params.yaml", "prepare.source.encoding", value, f"encoding: {value!r} is not known; files of")
          for value in ("", "punycode", "IDNA", "undefined", "unicode_escape", "base64", "rot13", "\0")),
        *(("params.yaml", "prepare.source.thousands", value, f"thousands: {value!r} should be one character,")
          for value in (", ", "0", "-", "٣")),
        *(("params.yaml", "prepare.source.units", [value], f"units: {value!r} would be taken away")
          for value in ("1", "", ".", "-", ".5", "10 kg", "٣")),
        ("params.yaml", "prepare.source.units", [1], "units.0: 1 should be text: put it in quotes"),
        ("params.yaml", "prepare.source.units", 1, "units: 1 should be a list"),
        ("params.yaml", "prepare.source.units", [["1"]], "units.0: ['1'] should be text"),
        ("params.yaml", "prepare.source.dates", 3, "dates: 3 should be the form of all dates, or the form"),
        ("params.yaml", "prepare.columns", {**NO_COLUMNS, "category": ["a", TARGET]},
         f"prepare: target: '{TARGET}' is also in prepare.columns.category: remove it there"),
        ("params.yaml", "prepare.source.dates", "%d.%m", "'%d.%m' should hold each of %Y (or %y), %m"),
        ("params.yaml", "prepare.source.dates", "%Y-%m-%d %H", "'%Y-%m-%d %H' should hold each of %Y"),
        ("params.yaml", "prepare.source.dates", {"a": "%d.%m.%Y"}, "'a' is no column of dates: remove it"),
        ("params.yaml", "prepare.columns", {**NO_COLUMNS, "date": ["a"], "number": ["a.year"]},
         "a.year: the date 'a' gives the model a column of this name: rename one"),
        ("params.yaml", "prepare.columns.number", ["a", "a"], "a: a column has one type; name it once"),
        ("params.yaml", "prepare.split.test", 1.5, "test: 1.5 should be less than or equal to 1"),
        ("params.yaml", "prepare.split.test", 0.9, "test 0.9 leave no rows to train on"),
        ("params.yaml", "evaluate.subgroups", ["a", "b", "a"], "evaluate.subgroups: 'a' is named twice"),
        ("params.yaml", "evaluate.subgroups", ["none"], "'none' is not in prepare.columns.category"),
        ("params.yaml", "evaluate", None, "evaluate: None should hold keys and values"),
        ("params.yaml", "prepare.size", 3, "prepare.size: DVC ignores changes of a parameter"),
        ("params.yaml", f"{OPTIONS}.nfiles", 3, f"{OPTIONS}.nfiles: DVC ignores changes"),
        ("branch.yaml", "environment", "stagin", "did you mean 'staging'?"),
        (PROD, "data.fraction", 0, "data.fraction: 0 should be greater than 0"),
        (PROD, "data", {}, "data.fraction: missing; add it"),
        (PROD, "gate.on_failure", "halt", "gate.on_failure: 'halt' should be 'report' or 'stop'"),
        (PROD, "gate.bounds", {"acuracy": {"min": 1}}, "bounds: 'acuracy' is not a metric for it"),
        (PROD, "gate.max_drop", {"roc_auc": 1}, "of the task binary; it is one of accuracy, false_pos"),
        (PROD, "gate.bounds", {1: {"min": 1}}, "gate.bounds.1: 1 should be text: put it in quotes"),
        (PROD, "gate.bounds.accuracy", {"mn": 1}, "accuracy.mn: unknown key; did you mean 'min'?"),
        (PROD, "gate.bounds.accuracy", {}, "a bound needs a limit: min, max, above_baseline, below_baseline"),
        (PROD, "gate.bounds.accuracy", {"min": 0.9, "max": 0.1}, "no value is at least 0.9 and at most"),
        (PROD, "gate.bounds.accuracy.min", float("nan"), "min: nan should be a finite number"),
        ("params.yaml", "prepare.contract.extra_column", "warn",
         "contract.extra_column: 'warn' should be 'error' or 'warning'"),
        ("params.yaml", "prepare.contract.extra_columns", "error", "did you mean 'extra_column'?"),
        ("params.yaml", "prepare.contract", {}, "prepare.contract.unknown_category: missing; add it"),
        (PROD, "serve.api_key_required", "no", "serve.api_key_required: 'no' should be a valid boolean"),
        (PROD, "serve.max_rows", 0, "serve.max_rows: 0 should be greater than 0"),
        (PROD, "serve.max_row", 5, "serve.max_row: unknown key; did you mean 'max_rows'?"),
        (PROD, "deploy.max_memory_megabytes", 0, "max_memory_megabytes: 0 should be greater than 0"),
        (PROD, "deploy.max_megabytes", None, "deploy.max_megabytes: None should be a valid number"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_its_file_its_key_and_the_cure(
    untrained: Path, file: str, key: str, value: object, message: str
) -> None:
    if key == "train.architectures":
        change(file, "train.architecture", ARCHITECTURE)
    change(file, key, value)
    refused = refusal()
    assert f"{file}: " in refused
    assert message in refused


@pytest.mark.parametrize(
    ("task", "key", "value", "message"),
    [
        ("binary", "prepare.positive", None, "positive: a binary task needs the class"),
        (
            "multiclass",
            "prepare.positive",
            "yes",
            "positive: 'yes' has no meaning for the task mult",
        ),
        (
            "regression",
            "prepare.positive",
            "yes",
            "positive: 'yes' has no meaning for the task reg",
        ),
        ("multiclass", "train.threshold", {"precision": 0.9}, "train.threshold has no meaning"),
        ("regression", "train.class_weights", "balanced", "train.class_weights has no meaning"),
        (
            "regression",
            "evaluate.subgroups",
            [],
            "prod.yaml: gate.bounds: 'accuracy' is not a metric",
        ),
    ],
)
def test_what_does_not_fit_the_task_is_refused(
    untrained: Path, task: str, key: str, value: object, message: str
) -> None:
    change("params.yaml", "prepare.task", task)
    if task != "binary":
        change("params.yaml", "prepare.positive", None)
    change("params.yaml", key, value)
    assert message in refusal()


def test_prod_asks_for_a_key_and_where_people_try_things_out_none_is_asked_for(
    untrained: Path,
) -> None:
    shutil.copytree(PROJECT / "environments", "environments", dirs_exist_ok=True)
    required = {}
    for name in ("dev", "staging", "prod"):
        change("branch.yaml", "environment", name)
        required[name] = params.load_configuration().environment.serve.api_key_required
    assert required == {"dev": False, "staging": False, "prod": True}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "params.yaml holds no keys: restore it, `git restore params.yaml`"),
        (b"# nothing\n", "params.yaml holds no keys"),
        (
            b"train: \n\tseed: 1\n",
            "line 2: found character '\\t' that cannot start any token: indent with",
        ),
        (
            b"train:\n  a: 1\n  seed:1\nb: 2\n",
            "line 3: could not find expected ':': write `key: value`",
        ),
        (b"train:\n  seed:1\n  a: 2\n", "line 3: mapping values are not allowed"),
        (b"a: 1\nb: 'x\nc: 2\n", "line 2: found unexpected end of stream: close the quote"),
        (b"a: 1\nb: *c\n", "line 2: found undefined alias 'c': name a value so, with & before it"),
        (
            b"a: &b {c: *b}\n",
            "params.yaml: an anchor (&) holds itself (*): write out what is meant",
        ),
        (b"a: 1\nb: \x07\n", "line 2: the character '\\x07' has no place in YAML: remove it"),
        (b"- train\n", "params.yaml should hold keys and values, not ['train']"),
        (b"train: [1\nprepare: 2\n", "params.yaml is not valid YAML: line 2: expected ',' or ']'"),
        (
            b"train: 1\ntrain: 2\n",
            'params.yaml is not valid YAML: line 2: found duplicate key "train": leave one of them',
        ),
        *(
            (
                f"a: 1\nb: {value}\n".encode(),
                f"not valid YAML: line 2: '{value}' is written like a date",
            )
            for value in (
                "2024-02-30",
                "2024-13-45",
                "2024-02-01 25:00:00",
                "0000-01-01",
                "-_",
                "0x_",
            )
        ),
        (
            b"a: !!int x\n",
            "not valid YAML: line 1: 'x' is written like a date or a number and is none",
        ),
        (
            b"a: 1\ntrain: \xff\n",
            "params.yaml is not UTF-8: line 2: save the file in this encoding",
        ),
    ],
)
def test_a_file_that_is_no_yaml_is_refused(untrained: Path, content: bytes, message: str) -> None:
    Path("params.yaml").write_bytes(content)
    assert message in refusal()


@pytest.mark.parametrize("file", ["params.yaml", "branch.yaml"])
def test_a_missing_file_is_refused(untrained: Path, file: str) -> None:
    Path(file).unlink()
    assert f"{file} is missing: restore it, `git restore {file}`" in refusal()
    Path(file).mkdir()
    assert f"{file} is a folder: rename it, and restore the file, `git restore {file}`" in refusal()


def test_the_faults_of_all_files_are_named_at_once_whatever_the_environment(
    untrained: Path,
) -> None:
    change("params.yaml", "train.seed", "x")
    change("environments/staging.yaml", "data.fraction", 2)
    change(PROD, "data.fraction", 3)
    change("branch.yaml", "environment", "test")
    assert refusal().splitlines() == [
        "nothing was run:",
        "  params.yaml: train.seed: 'x' should be a valid integer",
        "  environments/prod.yaml: data.fraction: 3 should be less than or equal to 1",
        "  environments/staging.yaml: data.fraction: 2 should be less than or equal to 1",
        "  branch.yaml: environment: 'test' has no file in environments/; "
        "it is one of dev, prod, staging",
    ]


def test_a_small_number_is_read_as_dvc_reads_it(untrained: Path) -> None:
    text = Path(PROD).read_text()
    Path(PROD).write_text(text.replace("fraction: 1.0", "fraction: 1e-5"))
    change("branch.yaml", "environment", "prod")
    assert params.load_configuration().environment.data.fraction == 0.00001
