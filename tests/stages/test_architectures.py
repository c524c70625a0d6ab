from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops import architectures, params
from mlops.architectures import (
    ARCHITECTURES,
    SEARCH_RANGES,
    Between,
    Inputs,
    architecture,
    between,
    hyperparameters,
)
from mlops.errors import ParameterError
from mlops.predict.predictor import Predictor
from mlops.tables import splits
from mlops.train import train
from small_project import change

SHIPPED = list(ARCHITECTURES)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_architecture_trains_and_answers_as_its_estimator_twice_alike(
    trained: Path, name: str
) -> None:
    change("params.yaml", "train.architecture", name)
    models = []
    for _ in range(2):
        train.main()
        models.append(Path("models/model.onnx").read_bytes())
    assert models[0] == models[1]


def test_an_architecture_is_one_function_and_its_block(trained: Path, registries: None) -> None:
    @architecture
    def single_tree(inputs: Inputs, seed: int, *, leaves: int) -> Any:
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.tree import DecisionTreeClassifier

        model = DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=seed)
        return make_pipeline(architectures.one_hot(inputs, SimpleImputer()), model)

    change("params.yaml", "train.architectures.single_tree", {"leaves": 2})
    change("params.yaml", "train.architecture", "single_tree")
    train.main()
    predictor = Predictor(Path("models"))
    test = splits.read_split("test", predictor.schema)
    probabilities = predictor.predict(test.columns).probabilities
    assert len(np.unique(probabilities[:, 1])) == 2


def test_its_keyword_arguments_are_its_hyperparameters(untrained: Path, registries: None) -> None:
    @architecture
    def guess(inputs: Inputs, seed: int, *, often: float, how: str) -> Any: ...

    assert list(hyperparameters(guess).model_fields) == ["often", "how"]
    change("params.yaml", "train.architectures.guess", {"often": 1, "how": 2})
    with pytest.raises(ParameterError, match=r"guess\.how: 2 should be text: put it in quotes"):
        params.load_configuration()


def test_a_hyperparameter_without_a_type_takes_the_value_as_it_is(
    untrained: Path, registries: None
) -> None:
    exec(  # noqa: S102 - as an owner writes it, which the checks of types here would not allow
        "@architecture\ndef plain(inputs, seed, depth, how='fast'): ...",
        {"architecture": architecture},
    )
    change("params.yaml", "train.architectures.plain", {"depth": 3, "how": [1, "two"]})
    assert params.load_configuration().params.train.architectures["plain"] == {
        "depth": 3,
        "how": [1, "two"],
    }
    change("params.yaml", "train.architectures.plain", {"depth": 3, "x": 4})
    with pytest.raises(ParameterError) as refused:
        params.load_configuration()
    assert "plain.how: missing; add it" in str(refused.value)
    assert "plain.x: unknown key; it is one of depth, how" in str(refused.value)


def test_a_type_that_is_written_as_text_counts(untrained: Path, registries: None) -> None:
    @architecture
    def postponed(inputs: "Inputs", seed: "int", *, trees: "int") -> Any: ...

    change("params.yaml", "train.architectures.postponed", {"trees": "many"})
    with pytest.raises(ParameterError, match=r"trees: 'many' should be a valid integer"):
        params.load_configuration()


@pytest.mark.parametrize(
    ("ranges", "fault"),
    [
        (
            "depht=between(1, 2)",
            "has no hyperparameter 'depht', for which @architecture gives a range",
        ),
        ("seed=between(1, 2)", "has no hyperparameter 'seed'"),
        ("depth=between(5, 1)", r"between\(5, 1\): the first should be the smaller"),
        ("depth=between(0, 1, log=True)", r"between\(0, 1, log=True\): both should be over 0"),
        ("depth=3", r"@architecture\(depth=3\) of tree should be between\(LOW, HIGH\) or a list"),
        ("depth=[]", r"@architecture\(depth=\[\]\) of tree should be"),
    ],
)
def test_a_range_that_cannot_be_searched_is_refused(
    ranges: str, fault: str, registries: None
) -> None:
    written = f"@architecture({ranges})\ndef tree(inputs, seed, *, depth): ..."
    with pytest.raises((TypeError, ValueError), match=fault):
        exec(written, {"architecture": architecture, "between": between})  # noqa: S102
    assert "tree" not in ARCHITECTURES


def test_every_range_of_the_project_takes_the_value_of_its_params(untrained: Path) -> None:
    shipped = params.load_configuration().params.train.architectures
    for name in SHIPPED:
        for hyperparameter, each in SEARCH_RANGES[name].items():
            assert isinstance(each, Between)
            assert each.low <= shipped[name][hyperparameter] <= each.high


@pytest.mark.parametrize(
    "signature", ["", "inputs", "inputs, *, seed", "inputs, seed, *more", "inputs, seed, **options"]
)
def test_a_signature_that_takes_no_inputs_seed_and_names_is_refused(
    signature: str, registries: None
) -> None:
    written = f"@architecture\ndef strange({signature}): ..."
    with pytest.raises(TypeError, match=r"strange\(.*\) should take the inputs and the seed, then"):
        exec(written, {"architecture": architecture})  # noqa: S102
    assert "strange" not in ARCHITECTURES
