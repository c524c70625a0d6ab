"""All the faults and hundreds of random histories, in two processes, until they are through or time is up.

    make soak

writes benchmarks/soak.md. With --log FILE a soak that was interrupted goes on where it was.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).resolve().parents[1]
PAGE = Path(__file__).with_suffix(".md")
BATCH = 10

Entry = Mapping[str, Any]


def main() -> int:
    asked = arguments()
    end = time.monotonic() + 60 * asked.minutes
    batches = [f"histories {seed}" for seed in range(1, asked.histories // BATCH + 1)]
    done = {entry["job"] for entry in entries(asked.log) if entry["kind"] == "passed"}
    jobs = [job for job in ["faults", *batches] if job not in done]
    with ThreadPoolExecutor(2) as pool:
        passed = list(pool.map(lambda job: run(job, asked.log, end), jobs))
    PAGE.write_text(page(entries(asked.log), failed=passed.count(False), left=passed.count(None)))
    print(f"wrote {PAGE}; the log is {asked.log}")
    return 1 if False in passed else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the faults and random histories.")
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=120, help="no batch begins after them")
    parser.add_argument("--log", type=Path, default=Path(tempfile.mkdtemp()) / "soak.jsonl")
    return parser.parse_args()


def entries(log: Path) -> list[Entry]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def run(job: str, log: Path, end: float) -> bool | None:
    """Whether the tests passed; None where time is up before they begin."""
    if time.monotonic() > end:
        return None
    name, _, seed = job.partition(" ")
    options = [f"--hypothesis-seed={seed}"] if seed else []
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--show-capture=no", f"tests/test_{name}.py", *options],
        cwd=TEMPLATE,
        env={**os.environ, "SOAK_LOG": str(log.resolve()), "HISTORIES": str(BATCH)},
        capture_output=True,
        text=True,
        check=False,
    )
    passed, minutes = done.returncode == 0, (time.monotonic() - start) / 60
    print(f"{job}: {'passed' if passed else done.stdout} after {minutes:.1f} min", flush=True)
    with log.open("a") as file:
        kind = "passed" if passed else "failed"
        file.write(json.dumps({"kind": kind, "job": job, "minutes": minutes}) + "\n")
    return passed


def page(log: Iterable[Entry], failed: int, left: int) -> str:
    found: dict[str, list[Entry]] = {}
    for entry in log:
        found.setdefault(entry["kind"], []).append(entry)
    minutes = sum(entry["minutes"] for entry in found.get("passed", []))
    return "\n".join(
        [
            "# Faults and random histories",
            "",
            "    make soak",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, {machine()}. {minutes:.0f} minutes of one process; "
            f"{failed} batches failed, for {left} there was no time.",
            "",
            *kills(found.get("kill", [])),
            "",
            *histories([entry["story"] for entry in found.get("history", [])]),
            "",
        ]
    )


def machine() -> str:
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True)
    libraries = ", ".join(f"{name} {version(name)}" for name in ("dvc", "hypothesis"))
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, {git.stdout.strip()}, {libraries}"
    )


def kills(struck: list[Entry]) -> list[str]:
    """A table of where releases were killed and what was left then."""
    count = Counter((each["release"], where(each), each["left"]) for each in struck)
    left = ("old", "new on origin", "new")
    rows = sorted({key[:2] for key in count})
    return [
        "## Kill -9",
        "",
        f"{len(struck)} releases were killed. Each left branches and tags all old or all new, here and "
        "on origin, and the user's working tree and index as they were; no process ran on; the next "
        "command brought here and origin together.",
        "",
        f"| Release | Killed | {' | '.join(left)} |",
        f"|---|---|{'--:|' * len(left)}",
        *(
            f"| {release} | {place} | {' | '.join(str(count[release, place, name]) for name in left)} |"
            for release, place in rows
        ),
    ]


def where(entry: Entry) -> str:
    if "VICTIM" not in entry["fault"]:
        return f"{entry['fault']}, at {SLICES} moments of its time"
    return f"at each call of Git, which {'never runs' if 'exit' in entry['fault'] else 'goes on'}"


SLICES = 20


def histories(stories: list[list[str]]) -> list[str]:
    """How many there were, and a table of what happened in them."""
    steps = Counter(in_brief(step) for story in stories for step in story)
    return [
        "## Random histories",
        "",
        f"{len(stories)} histories, {len({tuple(story) for story in stories})} of them different, "
        f"{sum(map(len, stories))} steps. After each release, and at the end: every entry of every "
        "dvc.lock is attested by a run; every record's model is, byte for byte, what its record names "
        "and what its own parameters make; all that was released is reachable and in the storage.",
        "",
        "| Step | Times |",
        "|---|--:|",
        *(f"| {step} | {times} |" for step, times in sorted(steps.items())),
    ]


def in_brief(step: str) -> str:
    """What somebody did and, where it was refused, the beginning of the reason."""
    _, _, what = step.partition("\n")[0].partition(" ")
    did, _, refusal = what.partition(": ")
    reason = " ".join(refusal.split()[:8])
    reason = re.sub(r"\b[0-9a-f]{7,40}\b", "COMMIT", reason)
    reason = re.sub(r"\d+(\.\d+)*", "N", reason)
    return f"{did}: {reason} ..." if refusal else did


if __name__ == "__main__":
    sys.exit(main())
