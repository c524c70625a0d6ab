"""params.yaml and environments/*.yaml as typed models, which are frozen and strict.

A parameter stands in params.yaml and is the same in every environment; a setting stands in a file of
environments/. Every stage loads all files, so that a mistake in any block is found before anything runs.
DVC tracks the values themselves, so no stage depends on this module.
"""

import codecs
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args

import msgspec
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML, Node
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import YAMLError

import science.architectures  # noqa: F401 - declares the project's architectures
from mlops.architectures import ARCHITECTURES, hyperparameters
from mlops.errors import ParameterError, suggestion
from mlops.metrics import METRICS
from mlops.predict.dates import is_date_form, part_names
from mlops.predict.dialect import Dialect
from mlops.predict.release import ServeSettings
from mlops.predict.schema import Severity
from mlops.predict.task import Task
from mlops.yaml_faults import fault_words

NAMES_IGNORED_BY_DVC = ("size", "nfiles")

MARKS = ("+", "-", ".", ",")
"""The signs of which a number consists, beside its digits."""

NO_ENCODINGS_OF_FILES = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape")
"""Codecs of Python that take text, and in which no file is written: a name of the web, an escaped text."""


def said(sentence: str) -> WrapValidator:
    """Returns a validator that says of a value what it should be, instead of why it is none of several
    types."""

    def validate(value: object, handler: ValidatorFunctionWrapHandler) -> object:
        try:
            return handler(value)
        except ValidationError:
            raise ValueError(f"{value!r} should be {sentence}") from None

    return WrapValidator(validate)


Names = Annotated[tuple[str, ...], Field(strict=False)]
Delimiter = Annotated[
    Annotated[str, Field(pattern="^[ -~\t]$")] | None,
    said("one ASCII character, such as ';' or a tab, or null if it is found in the header"),
]
Thousands = Annotated[
    str,
    Field(pattern=r"^[^\d+-]?$"),
    said("one character, or '' if there is none, and no digit or sign"),
]
Forms = Annotated[
    str | dict[str, str], said("the form of all dates, or the form of each column of dates")
]
ClassWeights = Annotated[
    Literal["balanced"] | Mapping[str, Annotated[float, Field(ge=1e-6, le=1e6)]] | None,
    said("null, 'balanced', or a number from 1e-6 to 1e6 for each class, whose name is text"),
]
Rows = Annotated[int, Field(ge=2)]
Fraction = Annotated[float, Field(gt=0, le=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ColumnParams(Strict):
    integer: Names
    number: Names
    boolean: Names
    date: Names
    category: Names
    ignored: Names

    @model_validator(mode="after")
    def each_name_once(self) -> "ColumnParams":
        names = [*self.inputs, *self.ignored]
        if twice := sorted(name for name, count in Counter(names).items() if count > 1):
            raise ValueError(f"{', '.join(twice)}: a column has one type; name it once")
        parts = {part: name for name in self.date for part in part_names(name, with_hour=True)}
        if taken := [name for name in names if name in parts]:
            raise ValueError(
                f"{taken[0]}: the date {parts[taken[0]]!r} gives the model a column of this name: rename one"
            )
        if not self.inputs:
            raise ValueError("a model needs at least one column")
        return self

    @property
    def inputs(self) -> tuple[str, ...]:
        """Returns the columns that the model is given."""
        return (*self.integer, *self.number, *self.boolean, *self.date, *self.category)


class SplitParams(Strict):
    by: Literal["row", "class", "group", "time"]
    column: str | None
    validation: Fraction
    test: Fraction
    seed: int

    @model_validator(mode="after")
    def column_fits(self) -> "SplitParams":
        if self.by in ("group", "time") and not self.column:
            raise ValueError(f"column: a split by {self.by} needs the name of a column")
        if self.by in ("row", "class") and self.column is not None:
            raise ValueError(
                f"column: {self.column!r} has no meaning for a split by {self.by}: set it to null, or set "
                "by to group or time"
            )
        return self

    @model_validator(mode="after")
    def leave_rows_to_train_on(self) -> "SplitParams":
        if self.validation + self.test >= 1:
            raise ValueError(
                f"validation {self.validation} and test {self.test} leave no rows to train on: "
                "their sum must be under 1"
            )
        return self


class ContractParams(Strict):
    missing_value: Severity
    unknown_category: Severity
    out_of_range: Severity
    extra_column: Severity


def check_encoding(name: str) -> None:
    """Raises ValueError if this is no encoding of text."""
    try:
        "".encode(name)
        is_known = codecs.lookup(name).name not in NO_ENCODINGS_OF_FILES
    except (LookupError, ValueError):
        is_known = False
    if not is_known:
        raise ValueError(
            f"encoding: {name!r} is not known; files of Excel are often cp1252 or utf-16"
        )


class SourceParams(Strict):
    encoding: str
    delimiter: Delimiter
    decimal: Literal[".", ","]
    thousands: Thousands
    units: Names
    names: Names
    skip: Annotated[int, Field(ge=0)]
    missing: Names
    true_words: Names
    false_words: Names
    dates: Forms

    @model_validator(mode="after")
    def can_be_read(self) -> "SourceParams":
        check_encoding(self.encoding)
        if self.decimal == self.thousands:
            raise ValueError(
                f"{self.decimal!r} has two meanings: decimal and thousands must differ"
            )
        return self

    @field_validator("units")
    @classmethod
    def units_are_no_numbers(cls, units: tuple[str, ...]) -> tuple[str, ...]:
        for unit in units:
            if unit in ("", *MARKS) or unit.lstrip("".join(MARKS))[:1].isdecimal():
                raise ValueError(
                    f"{unit!r} would be taken away from numbers that it is a part of: name what stands "
                    "beside numbers, such as '$' or '%'"
                )
        return units

    @model_validator(mode="after")
    def words_have_one_meaning(self) -> "SourceParams":
        meanings = [{*self.missing}, {*self.true_words}, {*self.false_words}]
        words = [word for meaning in meanings for word in sorted(meaning)]
        if twice := next((word for word in words if words.count(word) > 1), None):
            raise ValueError(
                f"{twice!r} has two meanings: missing, true_words and false_words must differ"
            )
        words = [*self.true_words, *self.false_words]
        if upper := next((word for word in words if word != word.lower()), None):
            raise ValueError(
                f"{upper!r}: write true_words and false_words in lower case; files may have any case"
            )
        return self

    @field_validator("dates")
    @classmethod
    def dates_can_be_read(cls, dates: str | dict[str, str]) -> str | dict[str, str]:
        for form in [dates] if isinstance(dates, str) else dates.values():
            if not is_date_form(form):
                raise ValueError(
                    f"{form!r} should hold each of %Y (or %y), %m (or %b) and %d once, such as %d.%m.%Y or "
                    "%d-%b-%y for 24-Dec-24; a time may follow, "
                    "such as %Y-%m-%d %H:%M:%S, or one that never changes, such as %Y-%m-%d 00:00:00"
                )
        return dates

    @property
    def dialect(self) -> Dialect:
        return Dialect(**self.model_dump())


class PrepareParams(Strict):
    dataset: str
    task: Task
    target: str
    positive: str | None
    rows_without_target: Literal["refuse", "drop"]
    source: SourceParams
    columns: ColumnParams
    split: SplitParams
    contract: ContractParams

    @property
    def further_column(self) -> str | None:
        """Returns the column of the split if it is none of the inputs; it is read, and no model sees it."""
        return None if self.split.column in self.columns.inputs else self.split.column

    @model_validator(mode="after")
    def each_date_has_a_form(self) -> "PrepareParams":
        forms = self.source.dates
        if isinstance(forms, str):
            return self
        if lacking := {*self.columns.date} - forms.keys():
            raise ValueError(f"source.dates: {sorted(lacking)[0]!r} has no form: add it")
        if more := forms.keys() - {*self.columns.date, self.split.column}:
            raise ValueError(f"source.dates: {sorted(more)[0]!r} is no column of dates: remove it")
        return self

    @model_validator(mode="after")
    def target_is_no_input(self) -> "PrepareParams":
        for kind, names in self.columns:
            if self.target in names and kind != "ignored":
                raise ValueError(
                    f"target: {self.target!r} is also in prepare.columns.{kind}: remove it there"
                )
        return self

    @model_validator(mode="after")
    def split_fits_the_columns(self) -> "PrepareParams":
        by, column = self.split.by, self.split.column
        if column == self.target:
            raise ValueError(f"split.column: {column!r} is the target: name another column")
        if by == "time" and column in (*self.columns.category, *self.columns.boolean):
            raise ValueError(
                f"split.column: {column!r} holds categories or booleans and no time: declare it as date, "
                "integer or number, or as ignored"
            )
        if by == "class" and self.task == "regression":
            raise ValueError("split.by: a number has no classes: split by row, group or time")
        return self

    @model_validator(mode="after")
    def positive_fits_the_task(self) -> "PrepareParams":
        if self.task == "binary" and self.positive is None:
            raise ValueError(
                "positive: a binary task needs the class that false positives are about"
            )
        if self.task != "binary" and self.positive is not None:
            raise ValueError(
                f"positive: {self.positive!r} has no meaning for the task {self.task}: set it to null"
            )
        return self


class CostParams(Strict):
    false_positive: Annotated[float, Field(gt=0)]
    false_negative: Annotated[float, Field(gt=0)]


class ThresholdParams(Strict):
    """The rule by which the threshold of a binary task is chosen: exactly one of its keys is given."""

    probability: Annotated[float, Field(gt=0, lt=1)] | None = None
    precision: Fraction | None = None
    costs: CostParams | None = None

    @model_validator(mode="after")
    def one_rule(self) -> "ThresholdParams":
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError("give one of probability, precision and costs")
        return self


class TrainParams(Strict):
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    class_weights: ClassWeights
    threshold: ThresholdParams | None
    architecture: str
    architectures: Mapping[str, Mapping[str, Any]]

    @model_validator(mode="after")
    def architectures_are_known(self) -> "TrainParams":
        for name in [self.architecture, *self.architectures]:
            if name not in ARCHITECTURES:
                raise ValueError(
                    f"{name!r} is not an architecture{suggestion(name, ARCHITECTURES)}"
                )
        if self.architecture not in self.architectures:
            raise ValueError(f"architectures has no block {self.architecture!r}: add one")
        for name, values in self.architectures.items():
            check_hyperparameters(name, values)
        return self

    @property
    def hyperparameters(self) -> Mapping[str, Any]:
        """Returns the hyperparameters of the chosen architecture."""
        return self.architectures[self.architecture]


def check_hyperparameters(architecture: str, values: Mapping[str, Any]) -> None:
    """Raises ValueError that names every hyperparameter that is missing, unknown or of another type."""
    model = hyperparameters(ARCHITECTURES[architecture])
    try:
        model.model_validate(values)
    except ValidationError as error:
        faults = [f"architectures.{architecture}.{fault}" for fault in fault_messages(error, model)]
        raise ValueError("; ".join(faults)) from None


class EvaluateParams(Strict):
    subgroups: Names
    importance_rows: Annotated[int, Field(gt=0)]


class AboutParams(Strict):
    purpose: str = ""
    limits: str = ""


class Params(Strict):
    about: AboutParams = AboutParams()
    prepare: PrepareParams
    train: TrainParams
    evaluate: EvaluateParams

    @model_validator(mode="after")
    def training_fits_the_task(self) -> "Params":
        task = self.prepare.task
        if self.train.threshold and task != "binary":
            raise ValueError(f"train.threshold has no meaning for the task {task}: set it to null")
        if self.train.class_weights and task == "regression":
            raise ValueError("train.class_weights has no meaning for a regression: set it to null")
        return self

    @model_validator(mode="after")
    def subgroups_are_columns(self) -> "Params":
        names = self.evaluate.subgroups
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"evaluate.subgroups: {twice[0]!r} is named twice: name it once")
        for name in names:
            columns = self.prepare.columns
            if name not in (fitting := (*columns.category, *columns.boolean)):
                raise ValueError(
                    f"evaluate.subgroups: {name!r} is not in prepare.columns.category or boolean"
                    + suggestion(name, fitting)
                )
        return self


class DataSettings(Strict):
    fraction: Fraction


class Bound(Strict):
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def bounds_something(self) -> "Bound":
        if not self.model_dump(exclude_none=True):
            raise ValueError(f"a bound needs a limit: {', '.join(type(self).model_fields)}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"no value is at least {self.min} and at most {self.max}: swap them")
        return self


class BoundWithBaseline(Bound):
    """A bound that can also say how much larger or smaller than the baseline a metric has to be."""

    above_baseline: float | None = None
    below_baseline: float | None = None

    @property
    def is_relative(self) -> bool:
        return self.above_baseline is not None or self.below_baseline is not None


class SubgroupSettings(Strict):
    min_rows: Rows
    bounds: Mapping[str, Bound]
    max_drop: Mapping[str, Annotated[float, Field(gt=0)]]


class GateSettings(Strict):
    on_failure: Literal["report", "stop"]
    min_rows: Rows
    bounds: Mapping[str, BoundWithBaseline]
    max_drop: Mapping[str, Annotated[float, Field(ge=0)]]
    subgroups: SubgroupSettings

    def faults(self, params: Params) -> Iterator[str]:
        """Yields what is wrong with names of metrics, which depend on the task, and with subgroups."""
        task, subgroups = params.prepare.task, self.subgroups
        paired = {name: metric for name, metric in METRICS[task].items() if metric.is_paired}
        named = {
            "bounds": (self.bounds, METRICS[task]),
            "max_drop": (self.max_drop, paired),
            "subgroups.bounds": (subgroups.bounds, METRICS[task]),
            "subgroups.max_drop": (subgroups.max_drop, paired),
        }
        for key, (names, known) in named.items():
            for name in names:
                if name not in known:
                    yield (
                        f"gate.{key}: {name!r} is not a metric for it of the task {task}"
                        + suggestion(name, known)
                    )
        if (subgroups.bounds or subgroups.max_drop) and not params.evaluate.subgroups:
            yield (
                "gate.subgroups: params.yaml names no column in evaluate.subgroups: name one, or empty "
                "bounds and max_drop"
            )


class DeploySettings(Strict):
    max_milliseconds: Annotated[float, Field(gt=0)]
    max_megabytes: Annotated[float, Field(gt=0)]
    max_memory_megabytes: Annotated[float, Field(gt=0)]


def strict_model(struct: type[msgspec.Struct]) -> type[BaseModel]:
    """Returns a strict model with the fields and the bounds of a struct, all of which it requires."""
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(struct):
        kind, *metas = get_args(field.type) or (field.type,)
        bounds = {name: getattr(meta, name) for meta in metas for name in ("gt", "ge", "lt", "le")}
        fields[field.name] = (kind, Field(**bounds))
    return create_model(struct.__name__, __base__=Strict, **fields)


class Environment(Strict):
    data: DataSettings
    gate: GateSettings
    deploy: DeploySettings
    serve: strict_model(ServeSettings)  # type: ignore[valid-type] # no stage reads it


class Configuration(Strict):
    """The parameters, and the settings of the environment that a stage runs for."""

    params: Params
    environment: Environment


def load_configuration(root: Path = Path()) -> Configuration:
    """Returns the parameters, and the settings of the environment that branch.yaml names, of the project in
    `root`. Raises ParameterError that names file, key, value and remedy of every mistake in any file."""
    faults: list[str] = []
    params = validate_file(Params, root / "params.yaml", faults)
    files = sorted((root / "environments").glob("*.yaml"))
    environments = {file.stem: validate_file(Environment, file, faults) for file in files}
    name = str(read_yaml(root / "branch.yaml").get("environment"))
    if name not in environments:
        faults.append(
            f"branch.yaml: environment: {name!r} has no file in environments/"
            + suggestion(name, environments)
        )
    if params:
        for file in files:
            if environment := environments[file.stem]:
                faults += [f"{file}: {fault}" for fault in environment.gate.faults(params)]
    if faults:
        raise ParameterError("\n  ".join(["nothing was run:", *faults]))
    return Configuration(params=params, environment=environments[name])


def validate_file(model: type[BaseModel], file: Path, faults: list[str]) -> Any:
    """Returns the file as a `model`. If it is not valid, adds what is wrong to `faults` and returns None."""
    try:
        content = read_yaml(file)
        faults += [f"{file}: {fault}" for fault in keys_ignored_by_dvc(content)]
        return model.model_validate(content)
    except ParameterError as error:
        faults.append(str(error))
    except RecursionError:
        faults.append(f"{file}: an anchor (&) holds itself (*): write out what is meant")
    except ValidationError as error:
        faults += [f"{file}: {fault}" for fault in fault_messages(error, model)]
    return None


def read_yaml(file: Path) -> dict[str, Any]:
    """Returns the content of a YAML file, which is read as DVC reads it. Raises ParameterError if the file is
    missing, is not YAML or holds something else than keys and values."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = Constructor
    try:
        text = file.read_bytes().decode()
        content = yaml.load(text)
    except FileNotFoundError:
        raise ParameterError(f"{file} is missing: restore it, `git restore {file}`") from None
    except IsADirectoryError:
        raise ParameterError(
            f"{file} is a folder: rename it, and restore the file, `git restore {file}`"
        ) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ParameterError(
            f"{file} is not UTF-8: line {line}: save the file in this encoding"
        ) from None
    except YAMLError as error:
        raise ParameterError(f"{file} is not valid YAML: {fault_words(error, text)}") from None
    if content is None:
        raise ParameterError(f"{file} holds no keys: restore it, `git restore {file}`")
    if not isinstance(content, dict):
        raise ParameterError(f"{file} should hold keys and values, not {content!r}")
    return content


class Constructor(SafeConstructor):
    """Makes the values of a YAML file, and names the place of one that cannot be made."""

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError):
            problem = f"{node.value!r} is written like a date or a number and is none"
            raise ConstructorError(problem=problem, problem_mark=node.start_mark) from None


def keys_ignored_by_dvc(content: object, path: str = "") -> Iterator[str]:
    if not isinstance(content, Mapping):
        return
    for key, value in content.items():
        if key in NAMES_IGNORED_BY_DVC:
            yield f"{path}{key}: DVC ignores changes of a parameter with this name; rename it"
        yield from keys_ignored_by_dvc(value, f"{path}{key}.")


def fault_messages(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    for fault in error.errors(include_url=False):
        key = ".".join(str(name) for name in fault["loc"] if name != "[key]")
        prefix = f"{key}: " if key else ""
        match fault["type"]:
            case "extra_forbidden":
                known = keys_at(model, fault["loc"][:-1])
                yield f"{prefix}unknown key{suggestion(str(fault['loc'][-1]), known)}"
            case "missing":
                yield f"{prefix}missing; add it"
            case "value_error":
                yield prefix + fault["msg"].removeprefix("Value error, ")
            case "string_type":
                yield f"{prefix}{fault['input']!r} should be text: put it in quotes"
            case "tuple_type":
                yield f"{prefix}{fault['input']!r} should be a list"
            case "model_type" | "mapping_type" | "dict_type":
                yield f"{prefix}{fault['input']!r} should hold keys and values"
            case _:
                yield f"{prefix}{fault['input']!r} {fault['msg'].removeprefix('Input ')}"


def keys_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Returns the keys of the block at `path`; all values of a mapping are blocks of one kind."""
    block: Any = model
    for name in path:
        kinds = get_args(block)
        block = kinds[-1] if kinds else block.model_fields[name].annotation
        if NoneType in get_args(block):
            block, _ = get_args(block)
    return list(block.model_fields)
