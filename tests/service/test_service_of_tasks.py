"""Tests what a service answers whose model has more than two classes, or predicts a number."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pytest
from msgspec.structs import replace

from mlops.contract.errors import MalformedBody
from mlops.predict.errors import Unanswered
from mlops.predict.schema import write_schema
from mlops.service import ask
from running_service import deployment, running
from three_tasks import CLASSES, SCHEMAS, write_unanswering


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


def test_a_row_that_the_model_answers_with_nan_is_refused_and_fails_no_other_request(
    bundles: dict[str, Path], tmp_path: Path
) -> None:
    bundle = write_unanswering(bundles["regression"], tmp_path / "regression")
    model = SCHEMAS["regression"]
    old = replace(model.columns[0], example=90)
    write_schema(replace(model, columns=(old, *model.columns[1:])), bundle / "schema.json")
    row, folder = model.example(), deployment(tmp_path / "v1", bundle)
    ages = [10, 90] * 40
    with running(folder) as service, ThreadPoolExecutor(16) as threads:
        single = [*threads.map(lambda age: service.predict(row | {"age": age}), ages)]
        few = service.predict([row | {"age": age} for age in (90, 10, 90, 50)])
        many = service.predict([row | {"age": age} for age in ages * 5])
        metrics = service.client.get("/metrics").text
        document = service.client.get("/openapi.json").json()
    assert [each.status_code for each in single] == [422, 200] * 40
    answers = {each.json()["predictions"][0]["prediction"] for each in single[1::2]}
    assert [*answers] == pytest.approx([1e9 + 0.5 * np.log(0.7)])
    problem = few.json()
    assert (few.status_code, many.status_code) == (422, 422)
    assert problem["error"].startswith("the model answers 2 of 4 rows with NaN or infinity: change")
    assert [(each["row"], each["column"], each["kind"]) for each in problem["faults"]] == [
        (1, "weight", "answer"), (3, "weight", "answer"),
    ]  # fmt: skip
    assert (len(many.json()["faults"]), many.json()["more"]) == (100, 100)
    jsonschema.validate(problem, {"$ref": "#/components/schemas/ProblemBody", **document})
    assert 'input_faults_total{column="",kind="answer",severity="error"} 142.0' in metrics
    assert "predictions_count 40.0" in metrics


def test_a_row_that_is_not_utf_8_is_refused(bundles: dict[str, Path], tmp_path: Path) -> None:
    folder = deployment(tmp_path / "v1", bundles["regression"])
    row = os.fsdecode('{"soil": "é"}'.encode("latin-1"))
    with pytest.raises(MalformedBody, match=r"byte 0xe9 .* is not UTF-8: send the text in UTF-8"):
        ask.answer_row(folder, row)


def test_nothing_is_answered_with_nan_on_the_command_line(
    bundles: dict[str, Path], tmp_path: Path
) -> None:
    bundle = write_unanswering(bundles["multiclass"], tmp_path / "multiclass")
    folder = deployment(tmp_path / "v1", bundle)
    rows = json.dumps([SCHEMAS["multiclass"].example()]).encode()
    for answer in (lambda: ask.answer_row(folder), lambda: ask.answer_rows(folder, rows)):
        with pytest.raises(Unanswered, match=r"answers 1 of 1 rows with NaN or infinity: change"):
            answer()


def check_answer(answer: object, document: dict[str, object]) -> None:
    """Raises ValidationError unless the OpenAPI document allows the answer."""
    jsonschema.validate(answer, {"$ref": "#/components/schemas/Answer", **document})
