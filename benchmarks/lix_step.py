"""What LIX costs: a step of each method against a plain student step plus a teacher forward, for segmenters.

    python benchmarks/lix_step.py
    python benchmarks/lix_step.py --rounds 1      # does it still run?

A step is a whole one: no gradients, forward passes, losses, backward pass, optimizer. Time is measured in one process
with the candidates in turn, four steps each, since LIX compares one of four levels in a step. The teachers read surface
normals beside the image, the students the image alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from scene import mask_scene
from timing import medians, save

from limbeck.config import TrainConfig
from limbeck.core.method import Progress
from limbeck.core.model import Model
from limbeck.core.samples import Batch, SemanticMask
from limbeck.lookup import method_config, model_config
from limbeck.training.fit import build_methods, seeded_model
from limbeck.training.module import Distillation
from limbeck.training.precision import autocast
from limbeck.training.teacher import FrozenTeacher

SIZE_HW, BATCH_SIZE, PRECISION = (256, 416), 4, "bf16"
STEPS = 4
NUM_CLASSES = (7, 2)
METHODS = ("lix", "kd", "dkd", "cwd", "cka")
LEAN = {"backbone": "lean_nano"}
PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lraspp to lraspp": ({"model": "lraspp", **LEAN}, {"model": "lraspp", **LEAN}),
    "seg_duplex to seg_nano": ({"model": "seg_duplex"}, {"model": "seg_nano"}),
    "segformer to segformer": ({"model": "segformer", "backbone": "mit_b0"}, {"model": "segformer", **LEAN}),
}
"""Settings of teacher, to which the normals come, and student."""


class CountedSteps(Distillation):
    """Knows which step it is in without a trainer."""

    steps = 0

    def _progress(self) -> Progress:
        return replace(super()._progress(), step=self.steps)


def candidates(pair: str, num_classes: int) -> dict[str, Callable[[], object]]:
    """Return what is timed for a pair of models; the steps train the same student in turn."""
    classes = tuple(f"class {number}" for number in range(num_classes))
    settings, student_settings = PAIRS[pair]
    teacher = seeded_model(model_config({**settings, "x": "normals"}), classes, 1)
    student = seeded_model(model_config(student_settings), classes, 0).train()
    frozen, batch = FrozenTeacher(teacher), mask_scene(BATCH_SIZE, SIZE_HW, num_classes)

    def forward() -> None:
        for _ in range(STEPS):
            with autocast(PRECISION, torch.device("cpu")):
                frozen(batch)

    steps = {f"{name}_step": step(student, teacher, frozen, batch, name) for name in METHODS}
    return {"student_step": step(student, teacher, frozen, batch), "teacher_forward": forward, **steps}


def step(
    student: Model[Any, Any, Any, Any],
    teacher: Model[Any, Any, Any, Any],
    frozen: FrozenTeacher,
    batch: Batch[SemanticMask],
    *names: str,
) -> Callable[[], None]:
    """Return a function that does `STEPS` training steps by the methods named."""
    configs = [method_config({"name": name}) for name in names]
    methods = build_methods(configs, student, teacher, [batch], SIZE_HW[::-1])
    module = CountedSteps(student, methods, frozen if names else None, TrainConfig(), seed=0, total_steps=1000)
    optimizer = module.configure_optimizers()["optimizer"]

    def run() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            with autocast(PRECISION, torch.device("cpu")):
                total = torch.stack(list(module.loss_terms(batch).losses.values())).sum()
            total.backward()
            optimizer.step()
            module.steps += 1

    return run


def rows(rounds: int) -> Iterator[dict[str, Any]]:
    """Measure all pairs and yield a row for each pair, number of classes and method."""
    for pair in PAIRS:
        for num_classes in NUM_CLASSES:
            taken = medians(candidates(pair, num_classes), rounds, warmup=1)
            seconds = {name: value / STEPS for name, value in taken.items()}
            plain = seconds["student_step"] + seconds["teacher_forward"]
            for method in METHODS:
                yield {
                    "pair": pair,
                    "classes": num_classes,
                    "method": method,
                    "student_step": round(seconds["student_step"], 4),
                    "teacher_forward": round(seconds["teacher_forward"], 4),
                    "method_step": round(seconds[f"{method}_step"], 4),
                    "ratio": round(seconds[f"{method}_step"] / plain, 4),
                }


def main() -> None:
    """Measure all pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    save("lix_step", list(rows(arguments.rounds)), "python benchmarks/lix_step.py")


if __name__ == "__main__":
    main()
