"""Tests all faults and hundreds of random histories, until they end or the time is over.

    make soak

writes benchmarks/soak.md. With --log FILE, a soak that was interrupted continues where it stopped.
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
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).resolve().parents[1]
PAGE = Path(__file__).with_suffix(".md")
BATCH = 10
FUZZ_REQUESTS = 100_000
FAULTS = (
    "faults", "lost_places", "races", "caller_environment", "batch_faults", "fuzz", "connections",
    "deletable", "own_table", "cron", "update", "update_struck", "ci_files",
    "lesson", "exercises",
)  # fmt: skip
KINDS = (*FAULTS, "histories")

Entry = Mapping[str, Any]


def main() -> int:
    options = arguments()
    end = time.monotonic() + 60 * options.minutes
    batches = [f"histories {seed}" for seed in range(1, 2 * options.histories // BATCH + 1)]
    jobs = [job for job in (*FAULTS, *batches) if job.split()[0] in options.only]
    done = {entry["job"] for entry in entries(options.log) if entry["kind"] == "passed"}

    def is_needed(job: str) -> bool:
        is_missing = job in FAULTS or len(stories(entries(options.log))) < options.histories
        return job not in done and is_missing and time.monotonic() < end

    def passes(job: str) -> bool:
        return run(job, options.log) if is_needed(job) else True

    with ThreadPoolExecutor(options.processes) as pool:
        failed = [*pool.map(passes, jobs)].count(False)
    options.page.write_text(page(entries(options.log), failed, options.histories))
    print(f"wrote {options.page}; the log is {options.log}")
    return 1 if failed else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the faults and random histories.")
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=240, help="no batch begins after them")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--log", type=Path, default=Path(tempfile.mkdtemp()) / "soak.jsonl")
    return parser.parse_args()


def entries(log: Path) -> list[Entry]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def stories(log: Iterable[Entry]) -> set[tuple[str, ...]]:
    """Returns the different histories; hypothesis draws some of them twice."""
    return {tuple(entry["story"]) for entry in log if entry["kind"] == "history"}


def run(job: str, log: Path) -> bool:
    """Runs the tests of a job, and returns whether they pass."""
    name, _, seed = job.partition(" ")
    options = [f"--hypothesis-seed={seed}"] if seed else []
    (test,) = TEMPLATE.glob(f"tests/**/test_{name}.py")
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--show-capture=no", str(test), *options],
        cwd=TEMPLATE,
        env={
            **os.environ,
            "SOAK_LOG": str(log.resolve()),
            "HISTORIES": str(BATCH),
            "FUZZ_REQUESTS": str(FUZZ_REQUESTS),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    passed, minutes = done.returncode == 0, (time.monotonic() - start) / 60
    print(f"{job}: {'passed' if passed else done.stdout} after {minutes:.1f} min", flush=True)
    with log.open("a") as file:
        kind = "passed" if passed else "failed"
        entry = {"kind": kind, "job": job, "minutes": minutes, "commit": commit()}
        file.write(json.dumps(entry) + "\n")
    return passed


def page(log: Sequence[Entry], failed: int, wanted: int) -> str:
    passed = [entry for entry in log if entry["kind"] == "passed"]
    minutes = sum(entry["minutes"] for entry in passed)
    return "\n".join(
        [
            "# Faults, fuzzed requests and random histories",
            "",
            "    make soak",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, {machine()}. {minutes:.0f} minutes of one process; "
            f"{len(passed)} batches of tests passed, {failed} failed.",
            "",
            *batches(passed),
            "",
            *(line for section in sections(log, wanted) for line in (*section, "")),
        ]
    )


def sections(log: Sequence[Entry], wanted: int) -> Iterator[list[str]]:
    """Yields a section for each kind of test that was run."""
    of_kind = {kind: [entry for entry in log if entry["kind"] == kind] for kind in SECTIONS}
    yield from (SECTIONS[kind](runs) for kind, runs in of_kind.items() if runs)
    if different := stories(log):
        yield histories(different, wanted)


def batches(passed: Iterable[Entry]) -> list[str]:
    """Returns a table of what was run, and at which commits: a soak can be interrupted and go on later."""
    of_name: dict[str, list[Entry]] = {}
    for entry in passed:
        of_name.setdefault(entry["job"].split()[0], []).append(entry)
    return [
        "| Tests | Batches | Minutes | Commit |",
        "|---|--:|--:|---|",
        *(
            f"| {name} | {len(runs)} | {sum(entry['minutes'] for entry in runs):.0f} "
            f"| {', '.join(dict.fromkeys(entry['commit'] for entry in runs))} |"
            for name, runs in of_name.items()
        ),
    ]


def commit() -> str:
    """Returns the tested commit, and which files were changed since."""
    changed = git("diff", "--name-only", "HEAD").splitlines()
    changes = f" with changes to {', '.join(changed)}" if changed else ""
    return f"{git('rev-parse', '--short', 'HEAD')}{changes}"


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=TEMPLATE, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("dvc", "hypothesis"))
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, {git('--version')}, {libraries}"
    )


def kills(struck: list[Entry]) -> list[str]:
    """Returns the section on where releases were killed, and what each one left."""
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


def lost_places(struck: list[Entry]) -> list[str]:
    """Returns the section on an origin or storage that was lost, how the command ended, and what it left."""
    count = Counter(
        (each["command"], each["place"], each["fault"], each["code"], each["left"])
        for each in struck
    )
    return [
        "## Origin and storage that are lost",
        "",
        f"{len(struck)} commands, at a call of Git of which origin or the storage went away, refused, became "
        "read-only or was full. None ended in a traceback, branches and tags were all old or all new, and "
        "with the place back, the same command completed.",
        "",
        "| Command | Place | Fault | Exit code | Left | Times |",
        "|---|---|---|--:|---|--:|",
        *(f"| {' | '.join(map(str, key))} | {times} |" for key, times in sorted(count.items())),
    ]


def races(ran: list[Entry]) -> list[str]:
    """Returns the section on where somebody committed during a release, and how the release ended."""
    ends = [("kept", "released"), ("kept", "refused"), ("refused by Git's lock", "released")]
    count = Counter(
        (each["release"], each["branch"], each["where"], each["commit"], each["ended"])
        for each in ran
    )
    rows = sorted({key[:3] for key in count})
    return [
        "## A commit at each call of Git",
        "",
        f"{len(ran)} releases to staging, during each of which somebody committed on its source (dev) or "
        "its target (staging). No commit was lost; each release happened whole or was refused with exit "
        "code 3 and nothing moved. While origin takes the refs, those here are locked: Git then refuses "
        "the commit.",
        "",
        "| Release | Commit on | kept, released | kept, refused | not made, released |",
        "|---|---|--:|--:|--:|",
        *(
            f"| {release} | {branch} {place} "
            f"| {' | '.join(str(count[release, branch, place, *end]) for end in ends)} |"
            for release, branch, place in rows
        ),
    ]


def batch_kills(struck: list[Entry]) -> list[str]:
    """Returns the section on where batches were killed, and what each one left."""
    count = Counter((each["database"], each["when"], each["left"]) for each in struck)
    rows = sorted({key[:2] for key in count})
    return [
        "## Kill -9 of a batch",
        "",
        f"{len(struck)} batches were killed. Each left nothing or the whole batch to whoever looked; "
        "the next run completed it, with exactly the rows of a batch that nothing disturbed.",
        "",
        "| Database | Killed | nothing | the batch |",
        "|---|---|--:|--:|",
        *(
            f"| {database} | {when} | {count[database, when, 'nothing']} "
            f"| {count[database, when, 'the batch']} |"
            for database, when in rows
        ),
    ]


def callers(led: list[Entry]) -> list[str]:
    """Returns the section on which commands ran under which variables of the caller."""
    count = Counter((each["command"], each["variable"]) for each in led)
    commands, variables = (list(dict.fromkeys(of)) for of in zip(*count, strict=True))
    return [
        "## The caller's environment",
        "",
        f"{len(led)} commands ran under variables that Git sets for what it starts, or that lead to other "
        "code or another Python. Each ended, spoke and left refs, index, working tree and settings as the "
        "same command without them; no foreign module or interpreter ran, and no other repository changed.",
        "",
        f"| `mlops` | {' | '.join(variables)} |",
        f"|---|{'--:|' * len(variables)}",
        *(
            f"| {command} | {' | '.join(str(count[command, name]) for name in variables)} |"
            for command in commands
        ),
    ]


def fuzzed(sent: list[Entry]) -> list[str]:
    requests = Counter[str]()
    for each in sent:
        requests[each["of"]] += each["requests"]
    return [
        "## Fuzzed requests",
        "",
        f"{requests.total():,} requests, made from the service's own OpenAPI document, from mutated rows and "
        "from random bytes: none was answered with a 500, and none kept others waiting.",
        "",
        "| Requests | Sent |",
        "|---|--:|",
        *(f"| {what} | {number:,} |" for what, number in sorted(requests.items())),
    ]


def attacks(made: list[Entry]) -> list[str]:
    """Returns the section on clients that are silent or slow, and how long others waited beside them."""
    return [
        "## Silent and slow clients beside a stalled log",
        "",
        "Nobody read the service's log. A well-behaved client asked all the while; SIGTERM then ended the "
        "service.",
        "",
        "| Silent connections | Slow heads | Answers to others | Longest wait, s |",
        "|--:|--:|--:|--:|",
        *(
            f"| {each['silent']} | {each['slow']} | {each['asked']} | {each['longest']:.2f} |"
            for each in made
        ),
    ]


def forges(green: list[Entry]) -> list[str]:
    """Returns the section on the CI of a generated project."""
    branches = {each["branch"]: None for each in green}
    return [
        "## CI of a project in production",
        "",
        "The commands of the GitHub workflow, and the jobs of GitLab's file, ran in a clone of each branch; "
        "dev held the merge of a feature. All were green.",
        "",
        "| Branch | GitHub | GitLab |",
        "|---|---|---|",
        *(
            f"| {branch} | {ran(green, branch, 'GitHub')} | {ran(green, branch, 'GitLab')} |"
            for branch in branches
        ),
    ]


def ran(green: list[Entry], branch: str, forge: str) -> str:
    wanted = {"branch": branch, "forge": forge}
    return "green" if any(wanted.items() <= each.items() for each in green) else "not run"


def where(entry: Entry) -> str:
    if "VICTIM" not in entry["fault"]:
        return f"{entry['fault']}, at {SLICES} moments of its time"
    return f"at each call of Git, which {'never runs' if 'exit' in entry['fault'] else 'goes on'}"


SLICES = 20
SECTIONS = {
    "kill": kills,
    "lost place": lost_places,
    "race": races,
    "caller": callers,
    "batch kill": batch_kills,
    "fuzz": fuzzed,
    "attack": attacks,
    "CI": forges,
}


def histories(histories_run: Collection[Sequence[str]], wanted: int) -> list[str]:
    """Returns the section on random histories, with a table of their steps."""
    steps = Counter(summarize_step(step) for story in histories_run for step in story)
    return [
        "## Random histories",
        "",
        f"{len(histories_run)} different histories (wanted: {wanted}) with {sum(map(len, histories_run))} "
        "steps. After each release, and at the end, these hold: every entry of every "
        "dvc.lock is attested by a run; every record's model is, byte for byte, what its record names "
        "and what its own parameters make; all that was released is reachable and in the storage; no "
        "commit of an environment's branch is lost, and no number is used twice. So it is where tags were "
        "deleted, moved or made by others.",
        "",
        "| Step | Times |",
        "|---|--:|",
        *(f"| {step} | {times} |" for step, times in sorted(steps.items())),
    ]


def summarize_step(step: str) -> str:
    """Returns what a step did and, if it was refused, the beginning of the reason."""
    _, _, event = step.partition("\n")[0].partition(" ")
    action, _, refusal = event.partition(": ")
    reason = " ".join(refusal.split()[:8])
    reason = re.sub(r"\b[0-9a-f]{7,40}\b", "COMMIT", reason)
    reason = re.sub(r"\d+(\.\d+)*", "N", reason)
    return f"{action}: {reason} ..." if refusal else action


if __name__ == "__main__":
    sys.exit(main())
