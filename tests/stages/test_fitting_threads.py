"""How many threads a fit has, and how they wait for each other."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier  # loads OpenMP
from threadpoolctl import ThreadpoolController, threadpool_limits

from machinery import PROJECT
from mlops.train.threads import CELLS_OF_A_THREAD, fitting_threads

CHOOSE = "import os; from mlops.train import threads; threads.choose_waiting()"
LIBRARIES_OF_A_FIT = ("sklearn", "numpy", "scipy", "lightgbm", "xgboost")


def threads_of(api: str) -> set[int]:
    pools = ThreadpoolController().select(user_api=api).lib_controllers
    return {pool.num_threads for pool in pools}


@pytest.fixture
def four_threads() -> Iterator[None]:
    assert HistGradientBoostingClassifier
    with threadpool_limits(limits=4):
        yield


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (0, 1),
        (CELLS_OF_A_THREAD * 2 - 1, 1),
        (CELLS_OF_A_THREAD * 2, 2),
        (CELLS_OF_A_THREAD * 3, 3),
        (CELLS_OF_A_THREAD * 100, 4),
    ],
)
@pytest.mark.usefixtures("four_threads")
def test_a_small_table_is_fitted_with_few_threads(cells: int, expected: int) -> None:
    with fitting_threads(cells):
        assert threads_of("openmp") == {expected}
        assert threads_of("blas") == {1}
    assert threads_of("openmp") == {4}


def test_a_large_table_gets_no_more_threads_than_are_allowed() -> None:
    with threadpool_limits(limits=1), fitting_threads(CELLS_OF_A_THREAD * 100):
        assert threads_of("openmp") == {1}


def waiting(prefix: str = "", **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"{prefix}{CHOOSE}; print(os.environ.get('OMP_WAIT_POLICY'))"],
        cwd=PROJECT,
        env={key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
        | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_threads_sleep_while_they_wait_on_a_machine_that_is_busy() -> None:
    spin = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(spin) for _ in range(psutil.cpu_count() or 1)]
    try:
        time.sleep(0.2)
        assert waiting() == "PASSIVE"
        assert waiting(OMP_WAIT_POLICY="ACTIVE") == "ACTIVE"
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_threads_wait_as_openmp_lets_them_on_an_idle_machine() -> None:
    idle = (
        "import psutil, types; "
        "psutil.cpu_times = lambda: types.SimpleNamespace(user=1.0, system=0.5); "
    )
    assert waiting(idle) == "None"


def test_openmp_is_not_loaded_before_its_threads_are_told_how_to_wait() -> None:
    loaded = f"{CHOOSE}; import sys; print([*sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", loaded], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert not [name for name in LIBRARIES_OF_A_FIT if f"'{name}'" in done.stdout]
