"""`python -m mlops.service.ask FOLDER [ROW]` answers one row with the release in FOLDER.

ROW is a JSON object. Without it, the example of the bundle's schema is answered. If it is `-`, the rows of a
JSON list are read from standard input.
"""

import json
import sys
from pathlib import Path

from mlops.contract.contract import Contract
from mlops.contract.errors import MalformedBody
from mlops.errors import MlopsError, open_streams, printable_text, say, writing_output
from mlops.predict import release
from mlops.predict.predictor import Predictor

STANDARD_INPUT = "-"


def main() -> None:
    folder, *row = sys.argv[1:]
    open_streams()
    try:
        if row == [STANDARD_INPUT]:
            answers = answer_rows(Path(folder), sys.stdin.buffer.read())
            with writing_output():
                print(json.dumps(answers), flush=True)
        else:
            say(answer_row(Path(folder), *row))
    except MlopsError as error:
        sys.exit(printable_text(f"mlops: {error}"))


def answer_row(folder: Path, row: str | None = None) -> str:
    """Returns a row and the answer to it as JSON, with the names of the service, and writes warnings about
    the row to standard error.

    Raises BundleError if the folder does not hold the released bundle, and InputError for a wrong row.
    """
    predictor = released_predictor(folder)
    body = json.dumps(predictor.schema.example()) if row is None else row
    contract = Contract(predictor.schema)
    try:
        decoded = contract.decode(body.encode(errors="surrogateescape"), most_rows=1)
    except MalformedBody as error:
        raise MalformedBody(
            f'{error}. Give the row itself, such as \'{{"age": 37, ...}}\', or a file\'s: "$(cat row.json)"'
        ) from None
    for warning in decoded.warnings:
        print(printable_text(f"warning: {warning}"), file=sys.stderr)
    predictions = predictor.predict(contract.arrays(decoded.values))
    (answer,), (probabilities,) = predictions.answers.tolist(), predictions.probabilities.tolist()
    content = {"row": json.loads(body), "prediction": answer}
    if classes := predictor.schema.classes:
        content["probability"] = dict(zip(classes, probabilities, strict=True))
    return json.dumps(content, indent=1, ensure_ascii=False)


def answer_rows(folder: Path, body: bytes) -> dict[str, object]:
    """Returns the answers to the rows of a JSON list: `answers` and `probabilities` in their order, the first
    `warnings`, and how many `more` there are. Raises what `answer_row` does."""
    predictor = released_predictor(folder)
    contract = Contract(predictor.schema)
    decoded = contract.decode(body, most_rows=sys.maxsize)
    predictions = predictor.predict(contract.arrays(decoded.values))
    return {
        "answers": predictions.answers.tolist(),
        "probabilities": predictions.probabilities.tolist(),
        "warnings": [f"row {each.row}: {each}" for each in decoded.warnings],
        "more": decoded.more,
    }


def released_predictor(folder: Path) -> Predictor:
    bundle = folder / release.BUNDLE
    release.verify_bundle(release.read_release(folder), bundle)
    return Predictor(bundle)


if __name__ == "__main__":
    main()
