"""What distillation costs: a BCKD step against a plain student step plus a teacher forward, in time and in memory.

    python benchmarks/bckd_step.py

Time is measured in one process with the candidates in turn. Peak memory is that of a process of its own for each
candidate, above what the process holds before the first step with both models built; the teacher's weights are thus in
neither of the two numbers, and their ratio is what distillation adds beyond them. It is taken with and without glibc's
habit of keeping freed memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from scene import scene
from timing import medians, save

from limbeck.config import TrainConfig
from limbeck.lookup import method_config, model_config
from limbeck.training.fit import build_methods, seeded_model
from limbeck.training.module import Distillation
from limbeck.training.teacher import FrozenTeacher

SIDE = 320
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


CASES = [
    Case("gfl, 2 classes", "gfl", "resnet50", "resnet18", 2, (256, 256), 8, "bf16"),
    Case("gfl, 80 classes", "gfl", "resnet50", "resnet18", 80, (256, 256), 8, "bf16"),
    Case("gfl, 2 classes, light student", "gfl", "resnet18", "mobilenetv3_small_100", 2, (128, 64), 8, "bf16"),
    Case("retinanet, 80 classes", "retinanet", "resnet50", "resnet18", 80, (256, 256), 4, "fp32"),
]


class Bench:
    """The candidates of a case."""

    def __init__(self, case: Case) -> None:
        classes = tuple(f"class {number}" for number in range(case.num_classes))
        self.case = case
        self.batch = scene(case.batch_size, SIDE, case.num_classes)
        settings = (
            {"model": case.model, "backbone": b, "channels": c}
            for b, c in zip((case.teacher, case.student), case.channels, strict=True)
        )
        teacher, student = (seeded_model(model_config(s), classes, seed) for seed, s in enumerate(settings))
        self.teacher_bytes = sum(p.numel() * p.element_size() for p in teacher.state_dict().values())
        self.teacher = FrozenTeacher(teacher)
        methods = build_methods([method_config({"name": "bckd"})], student.spec, teacher.spec)
        config = TrainConfig()
        self.plain = Distillation(student.train(), [], None, config, seed=0, total_steps=1000)
        self.distilled = Distillation(student, methods, self.teacher, config, seed=0, total_steps=1000)
        self.optimizer = self.plain.configure_optimizers()["optimizer"]

    def _precision(self) -> torch.autocast | nullcontext[None]:
        return torch.autocast("cpu", torch.bfloat16) if self.case.precision == "bf16" else nullcontext()

    def step(self, module: Distillation) -> None:
        """One training step."""
        self.optimizer.zero_grad()
        with self._precision():
            total = torch.stack(list(module.loss_terms(self.batch).losses.values())).sum()
        total.backward()
        self.optimizer.step()

    def candidates(self) -> dict[str, Callable[[], object]]:
        """What is timed."""

        def forward() -> None:
            with self._precision():
                self.teacher(self.batch)

        return {
            "student_step": lambda: self.step(self.plain),
            "teacher_forward": forward,
            "bckd_step": lambda: self.step(self.distilled),
        }


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
    command = [sys.executable, __file__, str(number), candidate]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | malloc)
    return int(done.stdout.split()[-1])


def main() -> None:
    """Measure all cases."""
    rows = []
    for number, case in enumerate(CASES):
        bench = Bench(case)
        seconds = medians(bench.candidates(), rounds=7)
        student, distilled = (_peak_elsewhere(number, name, EXACT_MALLOC) for name in ("student_step", "bckd_step"))
        loose_student, loose_distilled = (_peak_elsewhere(number, name, {}) for name in ("student_step", "bckd_step"))
        rows.append(
            {
                "case": case.name,
                "batch_size": case.batch_size,
                "precision": case.precision,
                "teacher": case.teacher,
                "student": case.student,
                **{name: round(value, 4) for name, value in seconds.items()},
                "time_ratio": round(seconds["bckd_step"] / (seconds["student_step"] + seconds["teacher_forward"]), 4),
                "student_peak_mib": round(student / 2**20, 1),
                "bckd_peak_mib": round(distilled / 2**20, 1),
                "teacher_weights_mib": round(bench.teacher_bytes / 2**20, 1),
                "memory_ratio": round(distilled / student, 4),
                "memory_ratio_default_malloc": round(loose_distilled / loose_student, 4),
            }
        )
    save("bckd_step", rows, "python benchmarks/bckd_step.py")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(peak_bytes(int(sys.argv[1]), sys.argv[2]))
    else:
        main()
