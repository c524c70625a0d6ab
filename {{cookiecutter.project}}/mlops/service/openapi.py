"""The OpenAPI document of a model, made from its input schema."""

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mlops.contract.contract import bounds
from mlops.predict.cells import LARGEST
from mlops.predict.release import Model
from mlops.predict.schema import Column, Schema
from mlops.service.prediction import Answer
from mlops.service.problems import ProblemBody
from mlops.service.settings import Settings

Document = dict[str, Any]

PREDICT = "/predict"
REFERENCE = "#/components/schemas/{name}"
TYPES = {"integer": "integer", "number": "number", "category": "string"}
PROBLEMS = {
    400: "The body is no JSON",
    401: "X-API-Key is missing or another",
    413: "The body, or its list, is too long",
    415: "The body is not declared as JSON",
    422: "The rows break the input contract",
    503: "Too busy, out of time, or ending",
}


def reference(name: str) -> Document:
    return {"$ref": REFERENCE.format(name=name)}


def json_of(schema: Document, **more: Any) -> Document:
    return {"application/json": {"schema": schema, **more}}


def problem(status: int) -> dict[int | str, Document]:
    return {status: {"description": PROBLEMS[status], "content": json_of(reference("ProblemBody"))}}


MODEL: dict[int | str, Document] = {200: {"content": json_of(reference("Model"))}}
METRICS: dict[int | str, Document] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}}
}


def document(app: FastAPI, schema: Schema, settings: Settings, secured: bool) -> Document:
    made: Document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    _, components = msgspec.json.schema_components(
        [Answer, ProblemBody, Model], ref_template=REFERENCE
    )
    made["components"] = {"schemas": {**components, "Row": row(schema)}}
    made["paths"][PREDICT] = {"post": prediction(schema, settings)}
    if secured:
        key = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
        made["components"]["securitySchemes"] = {"key": key}
        made["paths"][PREDICT]["post"]["security"] = [{"key": []}]
    return made


def prediction(schema: Schema, settings: Settings) -> Document:
    rows = {
        "type": "array",
        "items": reference("Row"),
        "minItems": 1,
        "maxItems": settings.max_rows,
    }
    body = json_of({"oneOf": [reference("Row"), rows]}, example=schema.example())
    problems: Document = {}
    for status in PROBLEMS:
        problems |= {str(code): said for code, said in problem(status).items()}
    return {
        "summary": f"Predict {schema.target} of one row, or of a list of rows",
        "operationId": "predict",
        "requestBody": {"required": True, "content": body},
        "responses": {
            "200": {
                "description": "A prediction for each row, in their order",
                "content": json_of(reference("Answer")),
            },
            **problems,
        },
    }


def row(schema: Schema) -> Document:
    return {
        "type": "object",
        "properties": {column.name: field(column, schema) for column in schema.columns},
        "required": [column.name for column in schema.columns],
        "additionalProperties": schema.policy.extra_column == "warning",
        "example": schema.example(),
    }


def field(column: Column, schema: Schema) -> Document:
    """What is refused is a constraint; what is answered with a warning is only described."""
    nullable = column.missing or schema.policy.missing_value == "warning"
    kind = TYPES[column.type]
    values = texts(column, schema, nullable) if kind == "string" else numbers(column, schema)
    return {
        "type": [kind, "null"] if nullable else kind,
        "description": described(column),
        **values,
    }


def numbers(column: Column, schema: Schema) -> Document:
    strict = schema.policy.out_of_range == "error"
    low, high = bounds(column) if strict else (-int(LARGEST), int(LARGEST))  # to the last digit
    return {"minimum": low, "maximum": high, "examples": [column.example]}


def texts(column: Column, schema: Schema, nullable: bool) -> Document:
    if schema.policy.unknown_category == "warning":
        return {"examples": list(column.categories)}
    unknown = {"": None, **dict.fromkeys(schema.missing)} if nullable else {}
    return {"enum": [*column.categories, *unknown, *([None] if nullable else [])]}


def described(column: Column) -> str:
    """What training saw."""
    if column.type == "category":
        seen = ", ".join(column.categories)
    else:
        seen = f"{column.minimum} to {column.maximum}"
    return f"In training: {seen}{', or nothing' if column.missing else ''}"
