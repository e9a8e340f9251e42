"""What is measured of a trained model, and how student and control are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from limbeck.core.model import InputSize
from limbeck.deploy.benchmark import count_parameters, multiply_adds, torch_latency, weights_bytes
from limbeck.deploy.memory import answering_memory
from limbeck.inference import predict_all
from limbeck.metrics.bootstrap import ImageCounts, as_it_is, gap_closed, paired_bootstrap
from limbeck.roles import Role
from limbeck.tasks.base import AnyTask, Tally
from limbeck.training.fit import LAST
from limbeck.weights import load_weights


@dataclass(frozen=True, slots=True)
class Measured:
    """One model on the validation images, and on the test images where there are any.

    Attributes:
        evaluation: What goes into ``evaluation.json``.
        tally: Its answers on the validation images.
        counts: What the bootstrap resamples of them.
    """

    evaluation: dict[str, Any]
    tally: Tally[Any]
    counts: ImageCounts


def measure(
    weights: Path,
    task: AnyTask,
    size: InputSize,
    *,
    device: torch.device,
    samples: int,
    seed: int,
) -> Measured:
    """Measure a weight file in float32: metrics with intervals, size, memory, time.

    Thresholds are chosen on the validation images; the test images are measured at them.

    Args:
        weights: The weight file.
        task: Data and metric.
        size: Size of its input, see `limbeck.core.model.InputSize`.
        device: Where to run; the latency is always that of the processor.
        samples: Resamples of the bootstrap.
        seed: Seed of the bootstrap.

    Raises:
        CheckpointError: The weights cannot be loaded.
    """
    model, info = load_weights(weights)
    title = f"measuring {weights.parent.name}"
    tally = predict_all(model, task, device=device, title=title, thorough=True)
    threads = torch.get_num_threads()
    evaluation = {
        "model": info.model["model"],
        "backbone": info.model.get("backbone"),
        "parameters": count_parameters(model),
        "multiply_adds": multiply_adds(model, size),
        "weights_bytes": weights_bytes(model),
        "checkpoint_bytes": _size_of(weights.parent / LAST),
        "train_memory_bytes": info.train_memory_bytes,
        "test_memory_bytes": answering_memory(weights, size, device),
        "latency_ms": {**asdict(torch_latency(model, size, threads)), "threads": threads},
        "train_seconds": info.train_seconds,
        "epochs": info.epochs,
        **tally.scores(samples, seed, tally),
        "test": None,
    }
    if (test := task.on_test) is not None:
        found = predict_all(model, test, device=device, title=f"{title}, test images", thorough=True)
        scores = found.scores(samples, seed, tally)
        evaluation["test"] = {"data": test.config.val.model_dump(mode="json"), **scores}
    return Measured(evaluation, tally, tally.counts)


def _size_of(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None


def compare(measured: Mapping[Role, Measured], metric: str, *, samples: int, seed: int) -> dict[str, Any]:
    """Return what goes into ``comparison.json``: the gap closed, and student minus control by the paired bootstrap.

    Args:
        measured: ``control``, ``student`` and, where there is one, ``teacher``.
        metric: The metric that the gap is measured in.
        samples: Resamples of the bootstrap.
        seed: Seed of the bootstrap.
    """
    score = {role: as_it_is(found.counts)[metric] for role, found in measured.items()}
    closed = gap_closed(score["teacher"], score["control"], score["student"]) if "teacher" in score else None
    paired = paired_bootstrap(measured["student"].counts, measured["control"].counts, samples, seed)
    return {"gap_closed": closed, "student_minus_control": {name: asdict(value) for name, value in paired.items()}}
