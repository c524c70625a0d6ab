import hashlib
from pathlib import Path

from mlops import provenance
from small_project import change


def test_what_made_a_stage_is_every_file_that_dvc_yaml_lists(untrained: Path) -> None:
    for name in ("b.csv", "a/c.csv"):
        file = Path("data/raw", name)
        file.parent.mkdir(exist_ok=True)
        file.write_text(name)
    Path("code.py").write_text("code")
    for stray in ("__pycache__/d.pyc", "a/.DS_Store", "b.csv.orig"):
        file = Path("data/raw", stray)
        file.parent.mkdir(exist_ok=True)
        file.write_text("of no stage")
    change("dvc.yaml", "stages", {"prepare": {"deps": ["data/raw", "code.py"]}})
    made_from = provenance.made_from("prepare")
    assert list(made_from) == [
        "data/raw/a/c.csv",
        "data/raw/b.csv",
        "data/raw/table.csv",
        "code.py",
    ]
    for path, md5 in made_from.items():
        assert md5 == hashlib.md5(Path(path).read_bytes(), usedforsecurity=False).hexdigest()
