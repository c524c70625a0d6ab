"""Tests what a service answers whose model has more than two classes, or predicts a number."""

from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest

from mlops.service import ask
from running_service import deployment, running
from three_tasks import CLASSES, SCHEMAS


def test_a_model_of_three_classes_answers_with_a_probability_for_each(
    bundles: dict[str, Path], tmp_path: Path
) -> None:
    folder = deployment(tmp_path / "v1", bundles["multiclass"])
    row = SCHEMAS["multiclass"].example()
    with running(folder) as service:
        answers = service.predict([row | {"age": age} for age in (10, 50, 90)]).json()
        document = service.client.get("/openapi.json").json()
        metrics = service.client.get("/metrics").text
        page = service.client.get("/docs").text
    assert [each["prediction"] for each in answers["predictions"]] == [*CLASSES]
    for each in answers["predictions"]:
        assert [*each["probability"]] == [*CLASSES]
        assert sum(each["probability"].values()) == pytest.approx(1)
        assert max(each["probability"], key=each["probability"].get) == each["prediction"]
    assert 'predictions_total{class="the \\"bee\\""} 1.0' in metrics
    assert "predicts animal, which is one of ape, the &quot;bee&quot;, cat." in page
    check_answer(answers, document)
    answers["predictions"][0]["prediction"] = "dog"
    with pytest.raises(jsonschema.ValidationError, match="dog"):
        check_answer(answers, document)


def test_a_model_that_predicts_a_number_answers_with_all_its_digits_and_no_probability(
    bundles: dict[str, Path], tmp_path: Path
) -> None:
    folder = deployment(tmp_path / "v1", bundles["regression"])
    row = SCHEMAS["regression"].example()
    with running(folder) as service:
        answers = service.predict([row | {"age": age} for age in (10, 50, 90, 95)]).json()
        document = service.client.get("/openapi.json").json()
        metrics = service.client.get("/metrics").text
        page = service.client.get("/docs").text
    assert [each["prediction"] for each in answers["predictions"]] == [
        999_999_999.5, 1e9, 1_000_000_000.5, 1_000_000_000.5,
    ]  # fmt: skip
    assert not any("probability" in each for each in answers["predictions"])
    assert 'predictions_bucket{le="9.999999995e+08"} 1.0' in metrics
    assert "predictions_count 4.0" in metrics
    assert "predicts weight, a number." in page
    check_answer(answers, document)
    answers["predictions"][0]["prediction"] = "heavy"
    with pytest.raises(jsonschema.ValidationError, match="heavy"):
        check_answer(answers, document)
    asked = ask.answer_row(folder)
    assert '"prediction": 1000000000.0' in asked
    assert "probability" not in asked


def check_answer(answer: object, document: dict[str, object]) -> None:
    """Raises ValidationError unless the OpenAPI document allows the answer."""
    jsonschema.validate(answer, {"$ref": "#/components/schemas/Answer", **document})
