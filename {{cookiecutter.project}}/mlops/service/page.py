"""GET /docs: the model's inputs, and a form to ask it.

FastAPI's own page loads its scripts from elsewhere, which many places that run a service can't reach.
"""

import json
from collections.abc import Iterator
from html import escape
from string import Template

from mlops.predict.release import Release
from mlops.predict.schema import Schema
from mlops.service.openapi import training_range

PAGE = Template("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; connect-src 'self';
 style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
table { border-collapse: collapse }
th, td { padding: .3rem .7rem; text-align: left; vertical-align: top; border-bottom: 1px solid #8884 }
textarea, pre, input { font: 13px/1.4 ui-monospace, monospace }
textarea { width: 100%; box-sizing: border-box }
pre { overflow-x: auto; padding: .7rem; background: #8882 }
</style>
<h1>$title</h1>
<p>$model answers. <a href="openapi.json">OpenAPI document</a>, <a href="model">model</a>,
<a href="metrics">metrics</a>.</p>
<h2>Ask</h2>
<form>
<p><label>POST /predict: a row, or a list of rows<br>
<textarea name="rows" rows="$height" spellcheck="false">$example</textarea></label>
<p><label>X-API-Key, where one is needed <input name="key" type="password"></label> <button>Ask</button>
</form>
<pre id="answer" aria-live="polite">The answer comes here.</pre>
<h2>Or from a shell</h2>
<pre id="curl">curl <i>ADDRESS</i>/predict -H 'Content-Type: application/json'$key -d '$shell'</pre>
<h2>Columns</h2>
<table>
<tr><th>Name</th><th>Type</th><th></th></tr>
$columns
</table>
<script>
const form = document.querySelector("form"), answer = document.querySelector("#answer");
const address = new URL(".", location).href.replace(/\\/$$/, "");
document.querySelector("#curl i").replaceWith(address);
form.onsubmit = async event => {
  event.preventDefault();
  const headers = { "Content-Type": "application/json" };
  if (form.key.value) headers["X-API-Key"] = form.key.value;
  try {
    const response = await fetch("predict", { method: "POST", headers, body: form.rows.value });
    answer.textContent = response.status + "\\n" + JSON.stringify(await response.json(), null, 1);
  } catch (error) {
    answer.textContent = error;
  }
};
</script>
</html>
""")


def render_docs(release: Release, schema: Schema, *, secured: bool) -> str:
    example = json.dumps(schema.example(), indent=1, ensure_ascii=False)
    shell = json.dumps(schema.example(), ensure_ascii=False).replace("'", "'\\''")
    return PAGE.substitute(
        title=escape(f"{schema.target}, from {schema.dataset}"),
        model=escape(f"{release.name} of {release.environment}"),
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
