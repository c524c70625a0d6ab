"""Makes the OpenAPI document of a model from its input schema."""

import re
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mlops.contract.contract import column_bounds
from mlops.predict.cells import LARGEST
from mlops.predict.release import Model
from mlops.predict.schema import Column, Schema
from mlops.service.endpoint import Answer
from mlops.service.problems import ProblemBody
from mlops.service.settings import Settings

Document = dict[str, Any]

PREDICT = "/predict"
REFERENCE = "#/components/schemas/{name}"
TYPES = {
    "integer": ["integer"],
    "number": ["number"],
    "boolean": ["boolean"],
    "date": ["string"],
    "category": ["string", "integer"],
}
WHOLE_NUMBER = re.compile("0|-?[1-9][0-9]*")
PROBLEMS = {
    400: "The body is not JSON",
    401: "X-API-Key is missing or wrong",
    413: "The body, or its list, is too long",
    415: "The body is not declared as JSON",
    422: "The rows break the input contract, or the model answers them with NaN or infinity",
    503: "The service is too busy, out of time or shutting down",
}


def component_reference(name: str) -> Document:
    return {"$ref": REFERENCE.format(name=name)}


def json_content(schema: Document, **more: Any) -> Document:
    return {"application/json": {"schema": schema, **more}}


def problem_response(status: int) -> dict[int | str, Document]:
    return {
        status: {
            "description": PROBLEMS[status],
            "content": json_content(component_reference("ProblemBody")),
        }
    }


MODEL: dict[int | str, Document] = {200: {"content": json_content(component_reference("Model"))}}
METRICS: dict[int | str, Document] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}}
}


def openapi_document(app: FastAPI, schema: Schema, settings: Settings, secured: bool) -> Document:
    """Returns the document of the application; `secured` says whether /predict asks for a key."""
    document: Document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    _, components = msgspec.json.schema_components(
        [Answer, ProblemBody, Model], ref_template=REFERENCE
    )
    own = {"Row": row_schema(schema), "Prediction": prediction_schema(schema, components)}
    document["components"] = {"schemas": {**components, **own}}
    document["paths"][PREDICT] = {"post": predict_operation(schema, settings)}
    if secured:
        key = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
        document["components"]["securitySchemes"] = {"key": key}
        document["paths"][PREDICT]["post"]["security"] = [{"key": []}]
    return document


def predict_operation(schema: Schema, settings: Settings) -> Document:
    rows = {
        "type": "array",
        "items": component_reference("Row"),
        "minItems": 1,
        "maxItems": settings.max_rows,
    }
    body = json_content({"oneOf": [component_reference("Row"), rows]}, example=schema.example())
    problems = {
        str(code): response
        for status in PROBLEMS
        for code, response in problem_response(status).items()
    }
    return {
        "summary": f"Predict {schema.target} of one row, or of a list of rows",
        "operationId": "predict",
        "requestBody": {"required": True, "content": body},
        "responses": {
            "200": {
                "description": "A prediction for each row, in their order",
                "content": json_content(component_reference("Answer")),
            },
            **problems,
        },
    }


def prediction_schema(schema: Schema, components: dict[str, Document]) -> Document:
    """Returns the JSON Schema of the answer to a row, which names the classes of the model."""
    generated = components["Prediction"]
    warnings = {"warnings": generated["properties"]["warnings"]}
    if not schema.classes:
        properties: Document = {"prediction": {"type": "number"}}
    else:
        share = {"type": "number", "minimum": 0, "maximum": 1}
        properties = {
            "prediction": {"type": "string", "enum": [*schema.classes]},
            "probability": {
                "type": "object",
                "properties": dict.fromkeys(schema.classes, share),
                "required": [*schema.classes],
                "additionalProperties": False,
            },
        }
    description = f"What is predicted for a row: {answer_range(schema)}"
    return {
        **generated,
        "description": description,
        "properties": {**properties, **warnings},
        "required": [*properties],
    }


def answer_range(schema: Schema) -> str:
    """Returns what the model can answer, as a text for people."""
    if not schema.classes:
        return f"{schema.target}, a number"
    return f"{schema.target}, which is one of {', '.join(schema.classes)}"


def row_schema(schema: Schema) -> Document:
    return {
        "type": "object",
        "properties": {column.name: column_schema(column, schema) for column in schema.columns},
        "required": [column.name for column in schema.columns],
        "additionalProperties": schema.policy.extra_column == "warning",
        "example": schema.example(),
    }


def column_schema(column: Column, schema: Schema) -> Document:
    """Returns the JSON Schema of a column. A value that is refused breaks one of its constraints; one that
    gets a warning is only described."""
    nullable = column.missing or schema.policy.missing_value == "warning"
    types = [*TYPES[column.type], *(["null"] if nullable else [])]
    return {
        "type": types if len(types) > 1 else types[0],
        "description": training_range(column),
        **constraints(column, schema, nullable),
    }


def constraints(column: Column, schema: Schema, nullable: bool) -> Document:
    match column.type:
        case "category":
            return text_constraints(column, schema, nullable)
        case "boolean":
            return {"examples": [column.example]}
        case "date":
            form = "date-time" if column.has_time else "date"
            return {"format": form, "examples": [column.example]}
        case _:
            return number_constraints(column, schema)


def number_constraints(column: Column, schema: Schema) -> Document:
    strict = schema.policy.out_of_range == "error"
    low, high = (
        column_bounds(column) if strict else (-int(LARGEST), int(LARGEST))
    )  # to the last digit
    return {"minimum": low, "maximum": high, "examples": [column.example]}


def text_constraints(column: Column, schema: Schema, nullable: bool) -> Document:
    if schema.policy.unknown_category == "warning":
        return {"examples": list(column.categories)}
    unknown = {"": None, **dict.fromkeys(schema.source.missing)} if nullable else {}
    texts = [*column.categories, *unknown]
    numbers = [int(text) for text in texts if WHOLE_NUMBER.fullmatch(text)]
    return {"enum": [*texts, *numbers, *([None] if nullable else [])]}


def training_range(column: Column) -> str:
    """Returns the values that training saw in a column, as a text for people."""
    if column.type == "category":
        seen = ", ".join(column.categories)
    elif column.type == "boolean":
        seen = "true, false"
    else:
        seen = f"{column.minimum} to {column.maximum}"
    return f"In training: {seen}{', or missing' if column.missing else ''}"
