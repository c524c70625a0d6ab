"""The threads of a fit: how many there are, and how they wait for each other."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from threadpoolctl import ThreadpoolController

CELLS_OF_A_THREAD = 1_000_000
"""The cells of the training rows for which one more thread is worth its waiting: with fewer, boosters were
not faster with two threads than with one, and up to ten times slower where the threads sleep as they wait."""

SECONDS_OF_A_LOOK = 0.1
"""How long the use of the processors is measured."""


def choose_waiting() -> None:
    """Lets threads of OpenMP sleep while they wait, if other processes use half a processor or more: threads
    that spin would keep a processor from them. On an idle machine they spin, because waking up takes longer
    than most waits. OpenMP reads this when it is loaded, and what the user has set stays."""
    seconds_before = seconds_in_use()
    time.sleep(SECONDS_OF_A_LOOK)
    if seconds_in_use() - seconds_before >= SECONDS_OF_A_LOOK / 2:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def seconds_in_use() -> float:
    """Returns for how many seconds all processors together were used since the machine started, without work
    of low priority."""
    times = psutil.cpu_times()
    seconds: float = times.user + times.system
    return seconds


@contextmanager
def fitting_threads(cells: int) -> Iterator[None]:
    """Limits the threads of OpenMP to those that are worth their waiting for a table of so many cells, and
    never raises them. BLAS has one: with more, the sums of logistic regression, and so its bytes, differ from
    run to run."""
    controller = ThreadpoolController()
    allowed = (pool.num_threads for pool in controller.select(user_api="openmp").lib_controllers)
    openmp = min([max(1, cells // CELLS_OF_A_THREAD), *allowed])
    with controller.limit(limits={"openmp": openmp, "blas": 1}):
        yield
