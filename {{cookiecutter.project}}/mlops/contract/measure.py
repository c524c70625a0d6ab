"""Measures what a bundle costs: `python -m mlops.contract.measure BUNDLE` prints it as JSON."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from mlops.contract.contract import Contract
from mlops.predict.errors import BundleError
from mlops.predict.inputs import Columns
from mlops.predict.predictor import Predictor

ATTEMPTS = 50
PROJECT = Path(__file__).parents[2]


def measure_in_process(bundle: Path) -> dict[str, float]:
    """Returns what `measure_here` returns, measured in a process whose memory holds nothing else.

    Raises BundleError if that process fails.
    """
    command = [sys.executable, "-m", "mlops.contract.measure", str(bundle.resolve())]
    # PYTHONPATH alone says where the code is, whatever the caller's variables say.
    variables = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONSAFEPATH": "1"}
    process = subprocess.run(
        command, cwd=PROJECT, env=variables, capture_output=True, errors="replace", check=False
    )
    if process.returncode:
        raise BundleError(f"{bundle} cannot be measured: {process.stderr.strip()[-1000:]}")
    cost: dict[str, float] = json.loads(process.stdout)
    return cost


def measure_here(bundle: Path) -> dict[str, float]:
    """Returns milliseconds for one row, the median of ATTEMPTS; megabytes of the bundle's files; and the
    peak of this process's resident memory in megabytes, once it has answered."""
    predictor = Predictor(bundle)
    row = Contract(predictor.schema).columns([predictor.schema.example()])
    return {
        "milliseconds": round(
            median(seconds_to_predict(predictor, row) for _ in range(ATTEMPTS)) * 1000, 3
        ),
        "megabytes": bundle_megabytes(bundle),
        "memory_megabytes": round(peak_memory() / 1e6, 1),
    }


def seconds_to_predict(predictor: Predictor, row: Columns) -> float:
    start = time.perf_counter()
    predictor.predict(row)
    return time.perf_counter() - start


def bundle_megabytes(bundle: Path) -> float:
    """Returns the size of the bundle's files in megabytes of 1,000,000 bytes."""
    return round(sum(file.stat().st_size for file in bundle.iterdir()) / 1e6, 3)


def peak_memory() -> int:
    """Returns the peak of the resident memory in bytes.

    On Linux, getrusage would count the memory of the parent from before this program was loaded.
    """
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        (kibibytes,) = re.findall(r"VmHWM:\s*(\d+) kB", status)
        return int(kibibytes) * 1024
    if sys.platform == "win32":
        return peak_working_set()
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def peak_working_set() -> int:
    """Returns the peak of this process's resident memory in bytes, as Windows counts it."""
    import ctypes

    # PROCESS_MEMORY_COUNTERS: its size and the page faults in 4 bytes each, the peak, then seven more sizes.
    counters = (ctypes.c_size_t * 9)()
    size, this_process = ctypes.sizeof(counters), ctypes.c_void_p(-1)
    kernel: Any = getattr(ctypes, "windll").kernel32  # noqa: B009 # only Windows has it
    kernel.K32GetProcessMemoryInfo(this_process, counters, size)
    return counters[1]


if __name__ == "__main__":
    print(json.dumps(measure_here(Path(sys.argv[1]))))
