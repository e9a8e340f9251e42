"""Fair timing: candidates take turns, so that a drift of the machine hits all of them alike; seconds of a command."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from limbeck.run_folder import hardware

RESULTS = Path(__file__).parent / "results"


def medians(
    candidates: Mapping[str, Callable[[], object]], rounds: int, warmup: int = 2, *, own_memory: bool = False
) -> dict[str, float]:
    """Return the median seconds of each candidate over ``rounds`` rounds in which all of them run once in turn.

    With ``own_memory`` each runs once untimed before it is timed, so that it finds the memory that it gave back itself;
    else a short one pays for what the one before it left to the system.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(warmup + rounds):
        for name, run in candidates.items():
            if own_memory:
                run()
            started = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn >= warmup:
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def processor_seconds(command: Sequence[str]) -> float:
    """Run a command on one thread and return the seconds of the processor that it took, user and system.

    Raises:
        CalledProcessError: The command has failed.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def save(name: str, rows: list[dict[str, Any]], command: str) -> None:
    """Print the rows and write them to ``results/NAME.json`` with the machine they were measured on."""
    for row in rows:
        print(json.dumps(row))
    content = {
        "command": command,
        "hardware": hardware(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "load_average": os.getloadavg()[0],
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
