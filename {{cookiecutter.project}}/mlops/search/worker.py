"""A process that measures trials: `python -m mlops.search.worker`.

It first says how many parts the measured rows have. Then it reads tasks from standard input and answers each
on standard output, all as lines of JSON. It ends when its standard input does, so that it never outlives the
search that started it.
"""

import json
import math
import os
import sys
import threading
from queue import SimpleQueue
from typing import Any, TextIO

from mlops.errors import MlopsError
from mlops.stage import run_stage


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    tasks: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=read_tasks, args=(tasks,), daemon=True).start()
    from mlops.params import load_configuration
    from mlops.search.bench import Bench

    bench = Bench(load_configuration())
    answer(answers, {"parts": bench.parts, "rows": bench.rows, "metric": bench.metric})
    while True:
        task = json.loads(tasks.get())
        try:
            loss = bench.measure(**task)
            if not math.isfinite(loss):
                raise ValueError(f"the loss is {loss}")
            answer(answers, {"loss": loss})
        except Exception as error:  # estimators raise whatever their author chose
            kind = "" if isinstance(error, MlopsError) else f"{type(error).__name__}: "
            answer(answers, {"fault": f"{kind}{error}"})


def read_tasks(tasks: "SimpleQueue[str]") -> None:
    for line in sys.stdin:
        tasks.put(line)
    os._exit(0)


def answer(answers: TextIO, content: Any) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


if __name__ == "__main__":
    run_stage("train", main)
