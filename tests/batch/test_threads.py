"""The engine of threads, also on a system that does not tell which cores a process may use."""

import os
import sys
from typing import Any, cast

import pytest

from mlops.batch.engines import threads


@pytest.mark.parametrize("cores", [None, 1, 8])
def test_pieces_come_back_in_their_order_on_macos(
    monkeypatch: pytest.MonkeyPatch, cores: int | None
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    with threads.start_engine(cast(Any, None), cast(Any, lambda piece: -piece)) as score:
        scored: list[Any] = list(score(cast(Any, range(20))))
    assert scored == [-number for number in range(20)]
