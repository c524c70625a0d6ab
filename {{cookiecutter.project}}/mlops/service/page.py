"""Renders the page at /docs: a form to ask the model, and its input columns.

FastAPI's own page loads scripts from the internet, which many places that run a service can't reach.
"""

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from string import Template

from mlops.predict.release import Release
from mlops.predict.schema import Schema
from mlops.service.openapi import answer_range, training_range

PAGE = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))


def render_docs(release: Release, schema: Schema, *, secured: bool) -> str:
    example = json.dumps(schema.example(), indent=1, ensure_ascii=False)
    shell = json.dumps(schema.example(), ensure_ascii=False).replace("'", "'\\''")
    return PAGE.substitute(
        title=escape(f"{schema.target}, from {schema.dataset}"),
        model=escape(f"{release.name} of {release.environment}"),
        answer=escape(answer_range(schema)),
        example=escape(example),
        height=len(schema.columns) + 2,
        shell=escape(shell),
        key=escape(' -H "X-API-Key: $API_KEY"' if secured else ""),
        columns="\n".join(column_rows(schema)),
    )


def column_rows(schema: Schema) -> Iterator[str]:
    for column in schema.columns:
        cells = (column.name, column.type, training_range(column))
        yield f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
