"""Renders the page at /docs: a form to ask the model, code that asks it, and the routes.

FastAPI's own page loads scripts from the internet, which many places that run a service can't reach.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from mlops.contract.faults import cut_text
from mlops.contract.profile import AnswerBins, NumberBins
from mlops.errors import UNPRINTABLE, printable_text
from mlops.predict.release import Release
from mlops.predict.schema import Column, Schema
from mlops.service.openapi import PREDICT, answer_range

FOLDER = Path(__file__).parent
PAGE, STYLE, SCRIPT = (
    (FOLDER / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")
)
FIELD = Template("""<div><label for="$id">$label</label>
$control
<p class="hint" id="$id-hint">$hint</p><p class="fault" id="$id-fault"></p></div>""")
ROUTE = Template("""<div><h3>$name</h3>
<p>$summary</p>
<dl>$answers</dl></div>""")
INPUTS = {
    "integer": 'type="number" step="1"',
    "number": 'type="number" step="any"',
    "date": 'type="date"',
}


def source_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; script-src {source_of(SCRIPT)}; "
    f"style-src {source_of(STYLE)}; img-src data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
}


def render_docs(
    release: Release,
    schema: Schema,
    answers: AnswerBins,
    document: dict[str, Any],
    *,
    most_rows: int,
    secured: bool,
) -> str:
    """Returns the page of a release. `answers` is the profile of the predictions for the test rows, and
    `document` the OpenAPI document. Without a key, no line of the page mentions API_KEY."""
    lines = [line for line in PAGE.splitlines() if secured or "API_KEY" not in line]
    return Template("\n".join(lines)).substitute(
        title=shown(f"{schema.target}, from {schema.dataset}"),
        model=shown(f"{release.name} of {release.environment}"),
        answer=shown(answer_range(schema)),
        most_rows=f"{most_rows:,}",
        fields="\n".join(field(f"c{n}", each, schema) for n, each in enumerate(schema.columns)),
        routes="\n".join(route_parts(document)),
        facts=json.dumps(facts(schema, answers)).replace("<", "\\u003c"),
        style=STYLE,
        script=SCRIPT,
    )


def shown(text: str) -> str:
    return escape(printable_text(text))


def json_text(value: object) -> str:
    """Returns the value as JSON that can be read, and that moves neither a cursor nor other text."""
    text = json.dumps(value, ensure_ascii=False)
    return UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def field(control_id: str, column: Column, schema: Schema) -> str:
    nullable = column.missing or schema.policy.missing_value == "warning"
    names = {"name": column.name, "fault": cut_text(column.name)}  # as a fault names it
    attributes = " ".join(
        [
            f'id="{control_id}" aria-describedby="{control_id}-hint {control_id}-fault"',
            *(f'data-{key}="{escape(json_text(name))}"' for key, name in names.items()),
            *([] if nullable else ["required"]),
        ]
    )
    is_typed = column.type in INPUTS
    return FIELD.substitute(
        id=control_id,
        label=shown(column.name),
        control=(input_control if is_typed else select_control)(attributes, column, nullable),
        hint=shown(hint(column, nullable)) if is_typed else "",
    )


def input_control(attributes: str, column: Column, nullable: bool) -> str:
    values = {"min": column.minimum, "max": column.maximum, "value": column.example}
    kind = INPUTS[column.type]
    if column.has_time:
        kind = 'type="datetime-local" step="any"'
        values = {name: f"{value}T00:00"[:19] for name, value in values.items()}
    given = " ".join(f'{name}="{escape(str(value))}"' for name, value in values.items())
    return f"<input {attributes} {kind} {given}>"


def select_control(attributes: str, column: Column, nullable: bool) -> str:
    values = {json_text(value): value for value in column.categories} or {
        text: text for text in ("true", "false")
    }
    if nullable:
        values["null"] = "(missing)"
    example = json_text(column.example)
    options = "".join(
        f'<option value="{escape(value)}"{" selected" * (value == example)}>{shown(text)}</option>'
        for value, text in values.items()
    )
    return f"<select {attributes}>{options}</select>"


def hint(column: Column, nullable: bool) -> str:
    kind = "a whole number, " if column.type == "integer" else ""
    return (
        f"{kind}{column.minimum} to {column.maximum} in training{'' if nullable else '; required'}"
    )


def route_parts(document: dict[str, Any]) -> Iterator[str]:
    paths = document["paths"].items()
    for path, operations in sorted(paths, key=lambda item: item[0] != PREDICT):
        for method, operation in operations.items():
            answers = (
                f"<dt>{status}</dt><dd>{shown(response['description'])}</dd>"
                for status, response in operation["responses"].items()
            )
            name = f"<code>{method.upper()} {path}</code>"
            yield ROUTE.substitute(
                name=f'<a href="{path[1:]}">{name}</a>' if method == "get" else name,
                summary=shown(operation["summary"]),
                answers="".join(answers),
            )


def facts(schema: Schema, answers: AnswerBins) -> dict[str, Any]:
    """Returns what the script says an answer with."""
    edges = answers.edges if isinstance(answers, NumberBins) else ()
    return {
        "target": schema.target,
        "classes": schema.classes,
        "threshold": schema.threshold,
        "range": (edges[0], edges[-1]) if len(edges) > 1 else None,
    }
