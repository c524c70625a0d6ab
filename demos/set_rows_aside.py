"""Keeps a part of the census in data/raw, and writes the rest into files of rows that arrive later.

It runs in a project, with its libraries: python set_rows_aside.py FOLDER. The split of a row depends on the
row alone, so that each file can change chosen splits, and the test rows are the same for all models.
"""

import csv
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))  # the project, wherever it is installed

from mlops import params
from mlops.prepare import position, raw, split_rules


def main(folder: Path) -> None:
    prepare_params = params.load_configuration().params.prepare
    census = raw.RAW / "adult.csv"
    split_of = split_rules.split_rule(prepare_params)
    header, *lines = census.read_text().splitlines(keepends=True)
    splits = [
        split
        for rows in raw.read_rows(prepare_params)
        for split in split_of(rows, position.input_hashes(rows, prepare_params))
    ]
    training, validation, testing = (
        [number for number, split in enumerate(splits) if split == name]
        for name in ("train", "validation", "test")
    )
    folder.mkdir(exist_ok=True)
    files = {
        census: sorted(training[:5000] + validation[:4000] + testing),
        folder / "march.csv": training[5000:10_000],
        folder / "april.csv": training[10_000:] + validation[4000:],
    }
    for file, numbers in files.items():
        file.write_text(header + "".join(lines[number] for number in numbers))
        print(f"{len(numbers):7,} rows  {file}")
    without_income = [line.rpartition(",")[0] + "\n" for line in (header, *lines)]
    people = folder / "people.csv"
    people.write_text(without_income[0] + "".join(without_income[1 + n] for n in testing))
    print(f"{len(testing):7,} rows  {people}, without their income")
    person = next(csv.DictReader(without_income))
    integers = {name: int(person[name]) for name in prepare_params.columns.integer}
    (folder / "person.json").write_text(json.dumps({**person, **integers}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
