"""Maps a function over pieces in threads, because Arrow and the model release Python's global lock."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

One = TypeVar("One")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Returns how many cores this process may use; only Linux tells a process of fewer than there are."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_in_order(
    function: Callable[[One], Result], ones: Iterable[One], workers: int
) -> Iterator[Result]:
    """Yields the result for each of `ones`, in their order. At most two more of them than there are `workers`
    are in memory at a time."""
    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[Result]] = deque()
    try:
        for one in ones:
            waiting.append(pool.submit(function, one))
            if len(waiting) > workers + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
