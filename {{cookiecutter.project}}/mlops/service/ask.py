"""`python -m mlops.service.ask FOLDER [ROW]` answers one row with the release in FOLDER.

ROW is a JSON object. Without it, the example of the bundle's schema is answered.
"""

import json
import sys
from pathlib import Path

from mlops.contract.contract import Contract
from mlops.contract.errors import MalformedBody
from mlops.errors import printable_text
from mlops.predict import release
from mlops.predict.errors import AnswerError
from mlops.predict.predictor import Predictor


def main() -> None:
    try:
        print(printable_text(answer_row(Path(sys.argv[1]), *sys.argv[2:])))
    except AnswerError as error:
        sys.exit(printable_text(f"mlops: {error}"))


def answer_row(folder: Path, row: str | None = None) -> str:
    """Returns the answer to a row as JSON, and writes warnings about the row to standard error.

    Raises BundleError if the folder does not hold the released bundle, and InputError for a wrong row.
    """
    bundle = folder / release.BUNDLE
    release.verify_bundle(release.read_release(folder), bundle)
    predictor = Predictor(bundle)
    body = json.dumps(predictor.schema.example()) if row is None else row
    contract = Contract(predictor.schema)
    try:
        decoded = contract.decode(body.encode(), most_rows=1)
    except MalformedBody as error:
        raise MalformedBody(
            f'{error}. Give the row itself, such as \'{{"age": 37, ...}}\', or a file\'s: "$(cat row.json)"'
        ) from None
    for warning in decoded.warnings:
        print(printable_text(f"warning: {warning}"), file=sys.stderr)
    predictions = predictor.predict(contract.arrays(decoded.values))
    (answer,), (probabilities,) = predictions.answers.tolist(), predictions.probabilities.tolist()
    content = {"row": json.loads(body), predictor.schema.target: answer}
    if classes := predictor.schema.classes:
        content["probability"] = dict(zip(classes, probabilities, strict=True))
    return json.dumps(content, indent=1, ensure_ascii=False)


if __name__ == "__main__":
    main()
