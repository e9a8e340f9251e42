"""What itKD costs: a step of each method against a plain student step plus a teacher forward, for LiDAR detectors.

    python benchmarks/itkd_step.py
    python benchmarks/itkd_step.py --rounds 1      # does it still run?

A step is a whole one: no gradients, forward passes, losses, backward pass, optimizer. Time is measured in one process
with the candidates in turn. The clouds are simulated ones of `limbeck data clouds`, the networks those of Waymo and
nuScenes with a smaller range, so that a step takes seconds: the cost per cell is theirs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from timing import medians, save

from limbeck.config import TrainConfig
from limbeck.core.model import Model
from limbeck.core.samples import Batch, Boxes3D, Frame
from limbeck.data.lidar.config import CLASSES
from limbeck.data.lidar.scenes import lidar_scene
from limbeck.lookup import method_config, model_config
from limbeck.memory import keep_freed_memory
from limbeck.training.fit import build_methods, seeded_model
from limbeck.training.module import Distillation
from limbeck.training.precision import autocast
from limbeck.training.teacher import FrozenTeacher

BATCH_SIZE, PRECISION = 2, "bf16"
GEOMETRIES: dict[str, dict[str, Any]] = {
    "Waymo, a cell per pillar": {"pillar": [0.32, 0.32], "strides": [1, 2, 2], "up_strides": [1, 2, 4]},
    "nuScenes, a cell per 4 x 4 pillars": {"pillar": [0.16, 0.16], "strides": [2, 2, 2], "up_strides": [0.5, 1, 2]},
}
RANGE = [-20.48, -20.48, -3.0, 20.48, 20.48, 3.0]
WIDTHS = (0.5, 0.25)
METHODS: dict[str, dict[str, Any]] = {
    "itkd": {"name": "itkd"},
    "itkd, stride 2": {"name": "itkd", "stride": 2},
    "itkd, stride 1": {"name": "itkd", "stride": 1},
    "itkd, attention alone": {"name": "itkd", "interchange_weight": 0, "compressed_weight": 0},
    "fitnet": {"name": "fitnet"},
    "kd": {"name": "kd"},
    "sparsekd": {"name": "sparsekd"},
}


def clouds() -> Batch[Boxes3D]:
    """Return simulated clouds."""
    scenes = [lidar_scene(number) for number in range(BATCH_SIZE)]
    points = [torch.from_numpy(scene.points) for scene in scenes]
    targets = [
        Boxes3D(torch.from_numpy(scene.boxes), torch.from_numpy(scene.labels), torch.from_numpy(scene.num_points < 5))
        for scene in scenes
    ]
    inputs = {"points": torch.cat(points), "counts": torch.tensor([len(part) for part in points])}
    return Batch(inputs, targets, [Frame(number, Path(f"{number}.npy")) for number in range(BATCH_SIZE)])


def candidates(geometry: dict[str, Any], width: float, batch: Batch[Boxes3D]) -> dict[str, Callable[[], object]]:
    """Return what is timed for a pair of models; the steps train the same student in turn."""
    base = {"model": "centerpoint_pillar", "range": RANGE, **geometry}
    teacher = seeded_model(model_config(base), CLASSES, 1)
    student = seeded_model(model_config({**base, "width": width}), CLASSES, 0).train()
    frozen = FrozenTeacher(teacher)

    def forward() -> None:
        with autocast(PRECISION, torch.device("cpu")):
            frozen(batch)

    steps = {name: step(student, teacher, frozen, batch, settings) for name, settings in METHODS.items()}
    return {"student_step": step(student, teacher, frozen, batch, None), "teacher_forward": forward, **steps}


def step(
    student: Model[Any, Any, Any, Any],
    teacher: Model[Any, Any, Any, Any],
    frozen: FrozenTeacher,
    batch: Batch[Boxes3D],
    settings: dict[str, Any] | None,
) -> Callable[[], None]:
    """Return a function that does a training step by a method, or a plain one."""
    configs = [] if settings is None else [method_config(settings)]
    methods = build_methods(configs, student, teacher, [batch])
    module = Distillation(student, methods, frozen if configs else None, TrainConfig(), seed=0, total_steps=1000)
    optimizer = module.configure_optimizers()["optimizer"]

    def run() -> None:
        optimizer.zero_grad()
        with autocast(PRECISION, torch.device("cpu")):
            total = torch.stack(list(module.loss_terms(batch).losses.values())).sum()
        total.backward()
        optimizer.step()

    return run


def rows(rounds: int) -> Iterator[dict[str, Any]]:
    """Measure all pairs and yield a row for each pair and method."""
    keep_freed_memory()  # as the trainer does
    batch = clouds()
    for name, geometry in GEOMETRIES.items():
        for width in WIDTHS:
            seconds = medians(candidates(geometry, width, batch), rounds, warmup=1)
            plain = seconds["student_step"] + seconds["teacher_forward"]
            for method in METHODS:
                yield {
                    "network": name,
                    "width": width,
                    "method": method,
                    "student_step": round(seconds["student_step"], 4),
                    "teacher_forward": round(seconds["teacher_forward"], 4),
                    "method_step": round(seconds[method], 4),
                    "ratio": round(seconds[method] / plain, 4),
                }


def main() -> None:
    """Measure all pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    save("itkd_step", list(rows(arguments.rounds)), "python benchmarks/itkd_step.py")


if __name__ == "__main__":
    main()
