from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from mlops.contract.contract import Contract
from mlops.predict import derived, schema
from mlops.predict.errors import BundleError
from mlops.predict.predictor import Predictor, chosen_classes
from mlops.tables import splits

BUNDLE = Path("deploy")


@pytest.mark.parametrize("name", ["model.onnx", "schema.json"])
def test_a_bundle_without_one_of_its_files_is_refused(trained: Path, name: str) -> None:
    (BUNDLE / name).unlink()
    with pytest.raises(BundleError, match=f"deploy/{name} is missing: run `mlops repro`"):
        Predictor(BUNDLE)


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_a_broken_model_is_refused(trained: Path, content: bytes) -> None:
    (BUNDLE / "model.onnx").write_bytes(content)
    with pytest.raises(BundleError, match=r"deploy/model\.onnx can't be loaded as a model"):
        Predictor(BUNDLE)


def test_a_model_and_a_schema_of_two_trainings_are_refused(trained: Path) -> None:
    found = schema.read_schema(BUNDLE / "schema.json")
    one_less = msgspec.structs.replace(found, columns=found.columns[:-1])
    schema.write_schema(one_less, BUNDLE / "schema.json")
    with pytest.raises(BundleError, match="not from the same training"):
        Predictor(BUNDLE)


def test_a_bundle_with_other_derived_columns_is_refused(trained: Path, registries: None) -> None:
    derived.number(lambda _: _)
    with pytest.raises(BundleError, match=r"was trained with the derived columns .*<lambda>"):
        Predictor(BUNDLE)


def test_a_row_gets_the_same_answer_alone_as_among_others(trained: Path) -> None:
    predictor = Predictor(BUNDLE)
    test = splits.read_split("test", predictor.schema)
    together = predictor.predict(test.columns)
    for row in range(len(test)):
        alone = predictor.predict(test.take(slice(row, row + 1)).columns)
        assert alone.answers[0] == together.answers[row]
        np.testing.assert_allclose(
            alone.probabilities[0], together.probabilities[row], rtol=0, atol=1e-6
        )


def test_a_row_of_a_client_is_answered_as_the_same_row_of_the_table(trained: Path) -> None:
    predictor = Predictor(BUNDLE)
    test = splits.read_split("test", predictor.schema)
    rows = [
        {
            name: None if values[row] != values[row] else values[row]
            for name, values in test.columns.items()
        }
        for row in range(len(test))
    ]
    np.testing.assert_array_equal(
        predictor.predict(Contract(predictor.schema).columns(rows)).probabilities,
        predictor.predict(test.columns).probabilities,
    )


def test_nothing_known_and_nothing_seen_before_are_answered(trained: Path) -> None:
    predictor = Predictor(BUNDLE)
    example = predictor.schema.example()
    unseen = {
        name: "never seen" if isinstance(value, str) else 10**9 for name, value in example.items()
    }
    answers = predictor.predict(
        Contract(predictor.schema).columns([dict.fromkeys(example), unseen])
    )
    np.testing.assert_allclose(answers.probabilities.sum(axis=1), 1, atol=1e-6)


def test_at_a_tie_the_first_class_is_named() -> None:
    tied = np.array([[0.5, 0.5], [0.4999999, 0.5000001], [0.499, 0.501]])
    table = schema.Schema("d", "t", ("no", "yes"), ())
    assert chosen_classes(table, tied).tolist() == ["no", "no", "yes"]


def test_a_probability_is_never_above_one(trained: Path) -> None:
    """The sum of a forest's trees can exceed 1 by a last bit; here it exceeds 1 by more."""
    model = onnx.load(BUNDLE / "model.onnx")
    for node in model.graph.node:
        node.output[:] = ["sums" if name == "probabilities" else name for name in node.output]
    half = onnx.numpy_helper.from_array(np.array(0.5, np.float32), "half")
    model.graph.initializer.append(half)
    model.graph.node.append(onnx.helper.make_node("Add", ["sums", "half"], ["probabilities"]))
    onnx.save(model, BUNDLE / "model.onnx")
    predictor = Predictor(BUNDLE)
    columns = Contract(predictor.schema).columns([predictor.schema.example()])
    assert predictor.predict(columns).probabilities.max() <= 1
