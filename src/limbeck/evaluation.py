"""What is measured of a trained model, and how student and control are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from limbeck.deploy.benchmark import count_parameters, multiply_adds, torch_latency, weights_bytes
from limbeck.deploy.memory import answering_memory
from limbeck.inference import predict_all
from limbeck.metrics.bootstrap import average_precision, bootstrap_interval, gap_closed, paired_bootstrap
from limbeck.metrics.coco import CocoResult
from limbeck.metrics.fault_rates import (
    RATES,
    SWEEP,
    ImageScores,
    image_scores,
    operating_threshold,
    rate_intervals,
    rates_at,
)
from limbeck.metrics.matching import Matches, match
from limbeck.roles import Role
from limbeck.tasks import Detection2DTask
from limbeck.training.fit import LAST
from limbeck.weights import load_weights


@dataclass(frozen=True, slots=True)
class Measured:
    """One model on the validation images, and on the test images where there are any.

    Attributes:
        evaluation: What goes into ``evaluation.json``.
        predictions: Its detections on the validation images.
        matches: Which of them found which object, for the bootstrap.
    """

    evaluation: dict[str, Any]
    predictions: list[CocoResult]
    matches: Matches


def measure(
    weights: Path,
    task: Detection2DTask,
    canvas_wh: tuple[int, int],
    *,
    device: torch.device,
    samples: int,
    seed: int,
) -> Measured:
    """Measure a weight file in float32: metrics and image-level rates with intervals, size, memory, time.

    The threshold of the rates is chosen on the validation images; the test images are measured at it.

    Args:
        weights: The weight file.
        task: Data and metric.
        canvas_wh: Width and height of the network's input in pixels.
        device: Where to run; the latency is always that of the processor.
        samples: Resamples of the bootstrap.
        seed: Seed of the bootstrap.

    Raises:
        CheckpointError: The weights cannot be loaded.
    """
    model, info = load_weights(weights)
    title = f"measuring {weights.parent.name}"
    predictions = predict_all(model, task, device=device, title=title)
    matches, images = match(task.truth, predictions), image_scores(task.truth, predictions)
    threshold = operating_threshold(images) if len(images.top_score) else None
    threads = torch.get_num_threads()
    evaluation = {
        "model": info.model["model"],
        "backbone": info.model.get("backbone"),
        "parameters": count_parameters(model),
        "multiply_adds": multiply_adds(model, canvas_wh),
        "weights_bytes": weights_bytes(model),
        "checkpoint_bytes": _size_of(weights.parent / LAST),
        "train_memory_bytes": info.train_memory_bytes,
        "test_memory_bytes": answering_memory(weights, canvas_wh, device),
        "latency_ms": {**asdict(torch_latency(model, canvas_wh, threads)), "threads": threads},
        "train_seconds": info.train_seconds,
        "epochs": info.epochs,
        **_scores(task, predictions, matches, images, threshold, samples, seed),
        "test": None,
    }
    if (test := task.on_test) is not None:
        found = predict_all(model, test, device=device, title=f"{title}, test images")
        on_test = match(test.truth, found), image_scores(test.truth, found)
        scores = _scores(test, found, *on_test, threshold, samples, seed)
        evaluation["test"] = {"data": test.config.val.model_dump(mode="json"), **scores}
    return Measured(evaluation, predictions, matches)


def _size_of(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None


def _scores(
    task: Detection2DTask,
    predictions: Sequence[CocoResult],
    matches: Matches,
    images: ImageScores,
    threshold: float | None,
    samples: int,
    seed: int,
) -> dict[str, Any]:
    """Return what is measured on one part of the data; without a threshold there are no image-level rates."""
    metrics = task.evaluate(predictions)
    measurable = len(images.top_score) > 0  # not where all images hold nothing but regions to ignore
    return {
        "metrics": metrics.metrics,
        "intervals": bootstrap_interval(matches, samples, seed),
        "per_class": metrics.per_class,
        "pr_curves": metrics.pr_curves,
        "fault_rates": None if threshold is None or not measurable else fault_rates(images, threshold, samples, seed),
    }


def fault_rates(scores: ImageScores, threshold: float, samples: int, seed: int) -> dict[str, Any]:
    """Return the image-level rates at a threshold with their intervals, and the sweep over all thresholds.

    Args:
        scores: Of the images of one part, at least one.
        threshold: What the best score of an image must exceed.
        samples: Resamples of the bootstrap.
        seed: Seed of the bootstrap.
    """
    return {
        "threshold": threshold,
        "images": len(scores.top_score),
        "images_with_objects": int(scores.has_object.sum()),
        "images_left_out": scores.left_out,
        "rates": dict(zip(RATES, rates_at(scores, [threshold])[0].tolist(), strict=True)),
        "intervals": rate_intervals(scores, threshold, samples, seed),
        "sweep": [
            {"threshold": float(at), **dict(zip(RATES, row, strict=True))}
            for at, row in zip(SWEEP, rates_at(scores, SWEEP).tolist(), strict=True)
        ],
    }


def compare(measured: Mapping[Role, Measured], metric: str, *, samples: int, seed: int) -> dict[str, Any]:
    """Return what goes into ``comparison.json``: the gap closed, and student minus control by the paired bootstrap.

    Args:
        measured: ``control``, ``student`` and, where there is one, ``teacher``.
        metric: The metric that the gap is measured in.
        samples: Resamples of the bootstrap.
        seed: Seed of the bootstrap.
    """
    score = {role: average_precision(found.matches)[metric] for role, found in measured.items()}
    closed = gap_closed(score["teacher"], score["control"], score["student"]) if "teacher" in score else None
    paired = paired_bootstrap(measured["student"].matches, measured["control"].matches, samples, seed)
    return {"gap_closed": closed, "student_minus_control": {name: asdict(value) for name, value in paired.items()}}
