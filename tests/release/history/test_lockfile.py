"""What is read of a dvc.lock, in the layout that DVC writes and in any other."""

import pytest
from ruamel.yaml import YAML

from mlops.errors import MlopsError
from mlops.release.history.core_yaml import parse_yaml
from mlops.release.history.lockfile import Lock

HEAD = "schema: '2.0'\nstages:\n"
PREPARE = """\
  prepare:
    cmd: python -m mlops.prepare
    params:
      params.yaml:
        positive: yes
        rate: 1e-05
      environments/dev.yaml:
        data:
          fraction: 0.3
    outs:
    - path: data/train.parquet
      hash: md5
      md5: aa
      size: 3
      isexec: true
    - path: data/übung.parquet
      hash: md5
      md5: bb.dir
"""
TRAIN = """\
  train:
    cmd: python -m mlops.train
    params:
      params.yaml:
        train.seed: 1
    outs:
    - path: 'models/a model: the first.onnx'
      hash: md5
      md5: cc
"""
LOCK = HEAD + PREPARE + TRAIN
OUTPUTS = {
    "data/train.parquet": "aa",
    "data/übung.parquet": "bb.dir",
    "models/a model: the first.onnx": "cc",
}


@pytest.mark.parametrize(
    "text", ["stages: [", "[]", "stages: {a: {outs: [{path: x}]}}", "stages: 3"]
)
def test_a_file_that_no_dvc_wrote_is_an_error(text: str) -> None:
    with pytest.raises(MlopsError, match=r"dvc\.lock"):
        Lock.parse(text.encode())


@pytest.mark.parametrize("text", [LOCK, f"# ours\n{LOCK}", LOCK.replace("  train:", "\n  train:")])
def test_outputs_and_parameters_are_the_same_in_every_layout(text: str) -> None:
    lock = Lock.parse(text.encode())
    assert lock.outputs == OUTPUTS
    assert lock.parameters == {
        "params.yaml": {"positive": "yes", "rate": 1e-05, "train.seed": 1},
        "environments/dev.yaml": {"data": {"fraction": 0.3}},
    }


def test_only_what_is_in_quotes_needs_the_slow_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lock, "parse_any_layout", lambda _: pytest.fail("the slow parser ran"))
    assert [*Lock.parse((HEAD + PREPARE).encode()).outputs] == [*OUTPUTS][:2]


@pytest.mark.parametrize(
    "scalar",
    ["no", "on", "true", "1e-05", "1e3", ".5", "1.", "1:30", "0x1f", "-3", "1_000", "~", "", "'1'", ".inf"],
)  # fmt: skip
def test_a_scalar_is_what_dvc_takes_it_for(scalar: str) -> None:
    text = f"a: {scalar}"
    expected = YAML(typ="safe", pure=True).load(text)["a"]
    found = parse_yaml(text, "params.yaml")["a"]
    assert (found, type(found)) == (expected, type(expected))


def test_keys_are_merged_from_an_anchor() -> None:
    text = "a: &a {x: 1}\nb: {<<: *a, y: no}"
    assert parse_yaml(text, "params.yaml")["b"] == {"x": 1, "y": "no"}
