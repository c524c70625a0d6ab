"""mlops.compare.agreement on the answers of real models, and on answers at the edge of what agrees."""

from pathlib import Path

import numpy as np
import pytest

from contenders import agreed, rescored
from mlops.compare import agreement
from mlops.errors import Incomparable, Unanswered

Capture = pytest.CaptureFixture[str]


def write(file: str, probability: list[float], called: list[int], positive: str = "yes") -> None:
    np.savez(file, positive=positive, called=called, probability=probability)


def pair(one: list[float], other: list[float], called: tuple[int, int] = (0, 0)) -> None:
    for file, probability, each in zip(("1.npz", "2.npz"), (one, other), called, strict=True):
        write(file, probability, [each] * len(probability))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_answers_that_are_nan_are_refused(here: None, capsys: Capture) -> None:
    pair([0.1, np.nan], [0.1, np.nan])
    with pytest.raises(Unanswered, match="the model answers 1 of the 2 rows with NaN"):
        agreed("1.npz", "2.npz", capsys)
    for one, other in (([0.1, 0.2], [np.nan, np.nan]), ([np.nan, np.nan], [0.1, 0.2])):
        pair(one, other)
        with pytest.raises(Unanswered, match="the model answers 2 of the 2 rows with NaN"):
            agreed("1.npz", "2.npz", capsys)


def test_models_of_other_positive_classes_are_refused(here: None, capsys: Capture) -> None:
    write("1.npz", [0.1], [0], "yes")
    write("2.npz", [0.1], [0], "no")
    with pytest.raises(
        Incomparable, match="positive class of one model is 'yes', of the other 'no'"
    ):
        agreed("1.npz", "2.npz", capsys)


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [(0.0, 1e-5, True), (1e-5, 0.0, True), (0.0, 1.1e-5, False), (1.1e-5, 0.0, False)],
)
def test_probabilities_agree_up_to_the_tolerance(
    here: None, capsys: Capture, one: float, other: float, agree: bool
) -> None:
    pair([0.3, one], [0.3, other])
    found = agreed("1.npz", "2.npz", capsys)
    assert found == {
        "rows": 2,
        "flipped": 0,
        "apart": max(one, other),
        "tolerance": agreement.TOLERANCE,
        "agree": agree,
    }


def test_another_class_does_not_agree_however_near_the_probabilities(
    here: None, capsys: Capture
) -> None:
    pair([0.5], [0.5], called=(0, 1))
    found = agreed("1.npz", "2.npz", capsys)
    assert (found["flipped"], found["agree"]) == (1, False)


def test_real_models_agree_with_their_twins_alone(contenders: Path, capsys: Capture) -> None:
    for name in ("sound", "twin", "misled"):
        rescored(name, f"{name}.npz")
    twins = agreed("sound.npz", "twin.npz", capsys)
    assert (twins["flipped"], twins["apart"], twins["agree"]) == (0, 0, True)
    others = agreed("sound.npz", "misled.npz", capsys)
    assert others["flipped"] > 0
    assert not others["agree"]
