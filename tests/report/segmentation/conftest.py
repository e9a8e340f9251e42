"""A run folder of segmentation as the pipeline leaves it, made of small generated scenes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

CLASSES = ("road", "sky", "building", "car", "person")
SIZE = (192, 96)
SKILL = {"teacher": 0.95, "control": 0.6, "student": 0.8}
IGNORED = 255
SAMPLES = 50

Labels = NDArray[np.uint8]


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a run folder; see `write_run_folder` for its arguments."""
    return lambda **changes: write_run_folder(tmp_path / "run", **changes)


def write_run_folder(
    folder: Path,
    *,
    classes: Sequence[str] = CLASSES,
    teacher: bool = True,
    difference: dict[str, float] | None = None,
    gap: float | None = 0.42,
    parity: bool | None = True,
    images: int = 6,
    size: tuple[int, int] = SIZE,
    test: bool = False,
) -> Path:
    """Write a run folder.

    Args:
        folder: Where; it is created.
        classes: Class names.
        teacher: Whether the run has a teacher.
        difference: What comparison.json says of mIoU; by default what the generated maps give.
        gap: What it says of the closed gap.
        parity: The verdict of the export check; None leaves the bundle out.
        images: Number of validation images.
        size: Their width and height.
        test: Whether there is a test part.
    """
    truth = [_scene(number, len(classes), size) for number in range(images)]
    roles = ["teacher", "control", "student"] if teacher else ["control", "student"]
    found = {
        role: [_answer(labels, SKILL[role], seed, len(classes)) for labels in truth] for seed, role in enumerate(roles)
    }
    _write_maps(folder / "truth", truth)
    _write_images(folder / "images", truth, len(classes))
    resampled = {}
    for role in roles:
        _write_maps(folder / role / "predictions", found[role])
        counts = np.array([_confusion(*pair, len(classes)) for pair in zip(truth, found[role], strict=True)])
        resampled[role] = _write_model(folder / role, role, counts, classes, test)
    comparison = _differences(resampled["student"], resampled["control"])
    if difference is not None:
        comparison["mIoU"] = difference
    _write(folder / "comparison.json", {"gap_closed": gap, "student_minus_control": comparison})
    named = [{"id": n, "file_name": f"scene {n}.jpg", "size_wh": size} for n in range(images)]
    _write(
        folder / "truth.json",
        {"task": "segmentation", "classes": list(classes), "ignored_label": IGNORED, "images": named},
    )
    _write(folder / "run.json", _facts(folder, classes, images))
    (folder / "config.yaml").write_text("name: roads\nmethods: [lix]\n")
    if parity is not None:
        _write(folder / "bundle" / "bundle.json", _bundle(parity))
    return folder


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _scene(number: int, num_classes: int, size: tuple[int, int]) -> Labels:
    """Draw a road below the sky, some things of each further class, and an ignored edge."""
    generator = np.random.default_rng(number)
    width, height = size
    rows, columns = np.mgrid[:height, :width]
    labels = np.where(rows < height * 0.45, 1, 0).astype(np.uint8)
    for label in range(2, num_classes):
        for _ in range(int(generator.integers(1, 3))):
            x, y = generator.uniform(0, width), generator.uniform(0.3, 0.8) * height
            wide, high = generator.uniform(0.04, 0.14, 2) * width
            labels[(abs(columns - x) < wide) & (abs(rows - y) < high)] = label
    labels[:, : width // 40] = IGNORED
    return labels


def _answer(truth: Labels, skill: float, seed: int, num_classes: int) -> Labels:
    """Shift the truth and throw in blobs; a skilled model shifts less and makes fewer and smaller blobs."""
    generator = np.random.default_rng([seed, int(truth.astype(np.int64).sum())])
    height, width = truth.shape
    shift = round((1 - skill) * 0.05 * width)
    labels = np.roll(np.where(truth == IGNORED, 0, truth), shift, axis=1).astype(np.uint8)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(int((1 - skill) * 20)):
        x, y, radius = generator.uniform(0, width), generator.uniform(0, height), generator.uniform(0.02, 0.06) * width
        labels[(columns - x) ** 2 + (rows - y) ** 2 < radius**2] = generator.integers(0, num_classes)
    return labels


def _write_maps(folder: Path, maps: Sequence[Labels]) -> None:
    folder.mkdir(parents=True)
    for number, labels in enumerate(maps):
        Image.fromarray(labels).save(folder / f"{number:05d}.png")


def _write_images(folder: Path, truth: Sequence[Labels], num_classes: int) -> None:
    folder.mkdir(parents=True)
    greys = np.random.default_rng(5).integers(40, 220, (256, 3))
    for number, labels in enumerate(truth):
        noise = np.random.default_rng(number).normal(0, 8, (*labels.shape, 3))
        light = np.linspace(25, -25, len(labels))[:, None, None]
        Image.fromarray((greys[labels] + noise + light).clip(0, 255).astype(np.uint8)).save(
            folder / f"scene {number}.jpg"
        )


def _confusion(truth: Labels, found: Labels, num_classes: int) -> NDArray[np.int64]:
    counts = np.zeros((num_classes, num_classes), np.int64)
    known = truth != IGNORED
    np.add.at(counts, (truth[known], found[known]), 1)
    return counts


def _by_class(counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Metrics of every class, -1 where undefined."""
    hits, true, predicted = np.diag(counts), counts.sum(1), counts.sum(0)

    def share(above: Any, below: Any) -> NDArray[np.float64]:
        return np.where(below > 0, above / np.maximum(below, 1), -1.0)

    return {
        "IoU": share(hits, true + predicted - hits),
        "F": share(2 * hits, true + predicted),
        "precision": share(hits, predicted),
        "recall": share(hits, true),
        "boundary_F": share(hits, true + predicted) * 0.9,
        "pixels": true,
    }


def _mean(values: NDArray[np.float64]) -> float:
    return float(values[values >= 0].mean()) if (values >= 0).any() else -1.0


def _of_set(counts: NDArray[np.int64], classes: Sequence[str]) -> dict[str, float]:
    values = _by_class(counts)
    whole = {"mIoU": _mean(values["IoU"]), "mF": _mean(values["F"]), "boundary_F": _mean(values["boundary_F"])}
    whole["pixel_accuracy"] = float(np.diag(counts).sum() / counts.sum())
    return whole | {f"IoU/{name}": float(value) for name, value in zip(classes, values["IoU"], strict=True)}


def _write_model(
    folder: Path, role: str, counts: NDArray[np.int64], classes: Sequence[str], test: bool
) -> list[dict[str, float]]:
    """Write a model; returns its metrics as they are and on the resamples."""
    large = role == "teacher"
    whole, values = _of_set(counts.sum(0), classes), _by_class(counts.sum(0))
    draws = np.random.default_rng(0).integers(0, len(counts), (SAMPLES, len(counts)))
    resampled = [whole, *(_of_set(counts[draw].sum(0), classes) for draw in draws)]
    metrics = {key: value for key, value in whole.items() if "/" not in key}
    metrics |= {"mean_accuracy": _mean(values["recall"]), "fwIoU": 0.7}
    scores = {
        "metrics": metrics,
        "intervals": {key: _interval([row[key] for row in resampled[1:]]) for key in whole},
        "per_class": {
            name: {key: float(column[k]) for key, column in values.items()} for k, name in enumerate(classes)
        },
        "confusion": counts.sum(0).tolist(),
        "image_IoU": [_mean(_by_class(one)["IoU"]) if one.any() else None for one in counts],
    }
    evaluation = {
        "role": role,
        "model": "roadseg",
        "backbone": "resnet34" if large else "resnet10t",
        "parameters": 23_456_789 if large else 2_345_678,
        "multiply_adds": 12_300_000_000 if large else 1_450_000_000,
        "weights_bytes": 94_000_000 if large else 9_400_000,
        "checkpoint_bytes": 281_000_000 if large else 28_400_000,
        "train_memory_bytes": 1_450_000_000,
        "test_memory_bytes": 412_000_000,
        "latency_ms": {"p50": 48.2 if large else 9.7, "p95": 55.0 if large else 11.3, "runs": 50, "threads": 2},
        "train_seconds": 312.0 if large else 95.5,
        "epochs": 30,
        **scores,
        "test": {"data": {"images": "test", "x": {"depth": "d"}}, **scores} if test else None,
    }
    _write(folder / "evaluation.json", evaluation)
    (folder / "metrics.jsonl").write_text("\n".join(_log(role)) + "\n")
    return resampled


def _interval(values: Sequence[float]) -> list[float]:
    return np.quantile(values, [0.025, 0.975]).tolist()


def _differences(student: list[dict[str, float]], control: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    result = {}
    for key in student[0]:
        changes = [a[key] - b[key] for a, b in zip(student, control, strict=True)]
        low, high = _interval(changes[1:])
        share = float(np.mean(np.array(changes[1:]) > 0))
        result[key] = {"difference": changes[0], "low": low, "high": high, "share_above_zero": share}
    return result


def _log(role: str, steps: int = 20) -> list[str]:
    terms = ["cross_entropy"] + (["lix_logits", "lix_features"] if role == "student" else [])
    lines = []
    for step in range(1, steps + 1):
        values = {f"train/{term}": float(np.exp(-2 * step / steps)) for term in terms}
        lines.append({"step": step, "train/loss": sum(values.values()), **values})
        if step % 4 == 0:
            lines.append({"step": step, "val/mIoU": SKILL[role] * step / steps, "val/fwIoU": 0.5})
    return [json.dumps(line) for line in lines]


def _facts(folder: Path, classes: Sequence[str], images: int) -> dict[str, Any]:
    return {
        "name": "roads-lix",
        "task": "segmentation",
        "created": "2025-01-31T12:00:00+00:00",
        "limbeck": "0.1.0",
        "versions": {"python": "3.11.9", "torch": "2.10.0", "openvino": None},
        "git": "0123abc",
        "seed": 7,
        "hardware": {"processor": "Zen 4", "cores": 2, "memory_gib": 7.6, "accelerator": None},
        "data": {
            "train_images": 40,
            "val_images": images,
            "classes": list(classes),
            "size": [192, 96],
            "resize": "letterbox",
            "val_images_dir": str(folder / "images"),
            "sha256": {"masks": "ab" * 32},
            "skipped": [],
        },
    }


def _bundle(passed: bool) -> dict[str, Any]:
    agreement = {"pixels": 110_592, "differing": 12, "clearly_differing": 0, "confidence_difference": 3.1e-6}
    parity = {
        "passed": passed,
        "images": 6,
        "canvas": agreement,
        "files": agreement if passed else {**agreement, "differing": 900, "clearly_differing": 850},
        "miou_torch": 0.612,
        "miou_onnx": 0.612 if passed else 0.31,
        "problems": [] if passed else ["from the image files 850 pixels clearly differ (limit 0)"],
    }
    latency_ms = {"p50": 6.2, "p95": 7.0, "p99": 7.4, "runs": 100}
    return {"format": 1, "parity": parity, "latency_ms": latency_ms, "files": {"model.onnx": "ef" * 32}}
