"""What distillation costs: a step of each method against a plain student step plus a teacher forward.

    python benchmarks/method_step.py                    # all cases and methods
    python benchmarks/method_step.py --rounds 1 --trainer-steps 4      # does it still run?

Time is measured in one process with the candidates in turn. Peak memory is that of a process of its own for each
candidate, above what the process holds before the first step with both models built; the teacher's weights are thus in
neither of the two numbers, and their ratio is what distillation adds beyond them. It is taken with and without glibc's
habit of keeping freed memory.

FitNet trains adapters, so it is also measured through the whole trainer (`trainer_step.py`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from scene import scene
from timing import medians, save
from trainer_step import trainer_row

from limbeck.config import TrainConfig
from limbeck.core.model import Model
from limbeck.lookup import method_config, model_config
from limbeck.training.fit import build_methods, seeded_model
from limbeck.training.module import Distillation
from limbeck.training.precision import autocast
from limbeck.training.teacher import FrozenTeacher

SIDE = 320
METHODS = ("bckd", "fitnet", "kd")
IN_TRAINER = "fitnet"
EXACT_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536"}
"""Makes glibc give every freed tensor back at once: the peak is that of the tensors, not of the holes in the heap."""
MEMORY_STEPS = 3


@dataclass(frozen=True)
class Case:
    """One pair of models."""

    name: str
    model: str
    teacher: str
    student: str
    num_classes: int
    channels: tuple[int, int]
    batch_size: int
    precision: str

    def models(self) -> tuple[Model[Any, Any, Any, Any], Model[Any, Any, Any, Any]]:
        """Return teacher and student with random weights."""
        classes = tuple(f"class {number}" for number in range(self.num_classes))
        settings = (
            {"model": self.model, "backbone": backbone, "channels": channels}
            for backbone, channels in zip((self.teacher, self.student), self.channels, strict=True)
        )
        teacher, student = (seeded_model(model_config(s), classes, seed) for seed, s in enumerate(settings))
        return teacher, student


CASES = [
    Case("gfl, 2 classes", "gfl", "resnet50", "resnet18", 2, (256, 256), 8, "bf16"),
    Case("gfl, 80 classes", "gfl", "resnet50", "resnet18", 80, (256, 256), 8, "bf16"),
    Case("gfl, 2 classes, light student", "gfl", "resnet18", "mobilenetv3_small_100", 2, (128, 64), 8, "bf16"),
    Case("retinanet, 80 classes", "retinanet", "resnet50", "resnet18", 80, (256, 256), 4, "fp32"),
]


class Bench:
    """The candidates of a case; they train the same student in turn."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.batch = scene(case.batch_size, SIDE, case.num_classes)
        self.teacher, self.student = case.models()
        self.teacher_bytes = sum(p.numel() * p.element_size() for p in self.teacher.state_dict().values())
        self.frozen = FrozenTeacher(self.teacher)
        self.student.train()

    def candidates(self) -> dict[str, Callable[[], object]]:
        """What is timed."""
        steps = {f"{name}_step": self._step(name) for name in METHODS}
        return {"student_step": self._step(), "teacher_forward": self._forward, **steps}

    def _forward(self) -> None:
        with autocast(self.case.precision, torch.device("cpu")):
            self.frozen(self.batch)

    def _step(self, *names: str) -> Callable[[], None]:
        """Return a function that does one training step by the methods named."""
        configs = [method_config({"name": name}) for name in names]
        methods = build_methods(configs, self.student, self.teacher, [self.batch])
        module = Distillation(self.student, methods, self.frozen, TrainConfig(), seed=0, total_steps=1000)
        optimizer = module.configure_optimizers()["optimizer"]

        def step() -> None:
            optimizer.zero_grad()
            with autocast(self.case.precision, torch.device("cpu")):
                total = torch.stack(list(module.loss_terms(self.batch).losses.values())).sum()
            total.backward()
            optimizer.step()

        return step


def peak_bytes(number: int, candidate: str) -> int:
    """Run a candidate in this process and return how far its peak memory rises above what is held before (Linux)."""
    run = Bench(CASES[number]).candidates()[candidate]
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _memory("VmRSS")
    for _ in range(MEMORY_STEPS):
        run()
    return _memory("VmHWM") - before


def _memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def _peak_elsewhere(number: int, candidate: str, malloc: dict[str, str]) -> int:
    command = [sys.executable, __file__, "--peak", str(number), candidate]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | malloc)
    return int(done.stdout.split()[-1])


def step_rows(number: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Measure the methods of a case and yield a row for each."""
    case, bench = CASES[number], Bench(CASES[number])
    seconds = medians(bench.candidates(), rounds)
    plain = seconds["student_step"] + seconds["teacher_forward"]
    exact, loose = (_peak_elsewhere(number, "student_step", malloc) for malloc in (EXACT_MALLOC, {}))
    for method in METHODS:
        mine, mine_loose = (_peak_elsewhere(number, f"{method}_step", malloc) for malloc in (EXACT_MALLOC, {}))
        yield {
            **described(case, method),
            "student_step": round(seconds["student_step"], 4),
            "teacher_forward": round(seconds["teacher_forward"], 4),
            "method_step": round(seconds[f"{method}_step"], 4),
            "time_ratio": round(seconds[f"{method}_step"] / plain, 4),
            "student_peak_mib": round(exact / 2**20, 1),
            "method_peak_mib": round(mine / 2**20, 1),
            "teacher_weights_mib": round(bench.teacher_bytes / 2**20, 1),
            "memory_ratio": round(mine / exact, 4),
            "memory_ratio_default_malloc": round(mine_loose / loose, 4),
        }


def described(case: Case, method: str) -> dict[str, Any]:
    """Return what a row begins with."""
    return {
        "case": case.name,
        "method": method,
        "batch_size": case.batch_size,
        "precision": case.precision,
        "teacher": case.teacher,
        "student": case.student,
    }


def main() -> None:
    """Measure all cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trainer-steps", type=int, default=6, help="steps of a training in one turn")
    parser.add_argument("--peak", nargs=2, metavar=("CASE", "CANDIDATE"), help="print the peak memory of one candidate")
    arguments = parser.parse_args()
    if arguments.peak:
        print(peak_bytes(int(arguments.peak[0]), arguments.peak[1]))
        return
    rows = [row for number in range(len(CASES)) for row in step_rows(number, arguments.rounds)]
    for case in CASES:
        row = trainer_row(
            *case.models(),
            scene(case.batch_size, SIDE, case.num_classes),
            IN_TRAINER,
            case.precision,
            steps=arguments.trainer_steps,
            rounds=arguments.rounds,
        )
        rows.append(described(case, f"{IN_TRAINER}, through the trainer") | row)
    save("method_step", rows, "python benchmarks/method_step.py")


if __name__ == "__main__":
    main()
