"""A run folder of LiDAR detection as the pipeline leaves it, made of small simulated clouds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from limbeck.data.lidar.config import LidarSceneConfig
from limbeck.data.lidar.writing import write_lidar_scenes
from limbeck.metrics.bootstrap import bootstrap_interval, paired_bootstrap
from limbeck.metrics.boxes3d import Found3D, FoundBoxes, TrueBoxes, Truth3D
from limbeck.metrics.detection3d import Metrics3D, evaluate

CLASSES = ("car", "pedestrian", "cyclist")
SKILL = {"teacher": 0.95, "control": 0.6, "student": 0.8}
SAMPLES = 50
SCENES = LidarSceneConfig(rings=8, azimuth_step=2.0, max_range=40.0)


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
    clouds: int = 4,
    scenes: LidarSceneConfig = SCENES,
    levels: bool = False,
    velocity: bool = False,
    test: bool = False,
) -> Path:
    """Write a run folder.

    Args:
        folder: Where; it is created.
        classes: Names of car, pedestrian and cyclist.
        teacher: Whether the run has a teacher.
        difference: What comparison.json says of mAP; by default what the generated detections give.
        gap: What it says of the closed gap.
        parity: The verdict of the export check; None leaves the bundle out.
        clouds: Number of validation clouds.
        scenes: How they are made.
        levels: Whether objects are easy, moderate or hard.
        velocity: Whether the models say velocities.
        test: Whether there is a test part.
    """
    settings = write_lidar_scenes(folder / "data", {"train": 0, "val": clouds}, 0, scenes)
    settings["classes"] = list(classes)
    renamed = dict(zip(CLASSES, classes, strict=True))
    names = [f"{number:05d}" for number in range(clouds)]
    truth = Truth3D(tuple(classes), tuple(names), tuple(_truth(folder, name, renamed, levels) for name in names))
    roles = ["teacher", "control", "student"] if teacher else ["control", "student"]
    counts = {}
    for seed, role in enumerate(roles):
        found = _answers(truth, SKILL[role], seed, velocity)
        measured = evaluate(truth, found)
        counts[role] = measured.counts
        _write_model(folder / role, role, truth, found, measured, test)
    paired = paired_bootstrap(counts["student"], counts["control"], samples=SAMPLES)
    comparison = {name: asdict(value) for name, value in paired.items()}
    if difference is not None:
        comparison["mAP"] = difference
    _write(folder / "comparison.json", {"gap_closed": gap, "student_minus_control": comparison})
    _write(folder / "truth.json", {"task": "detection3d", "classes": list(classes), "frames": _frames(truth)})
    _write(folder / "run.json", _facts(folder, classes, clouds))
    (folder / "config.yaml").write_text(yaml.safe_dump({"name": "lidar", "task": "detection3d", "data": settings}))
    if parity is not None:
        _write(folder / "bundle" / "bundle.json", _bundle(parity))
    return folder


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _truth(folder: Path, name: str, renamed: dict[str, str], levels: bool) -> TrueBoxes:
    """Read the boxes of a cloud; those that no ray met are ignored. The classes in the file are renamed."""
    path = folder / "data" / "val" / "labels" / f"{name}.json"
    boxes = json.loads(path.read_text())["boxes"]
    _write(path, {"boxes": [box | {"class": renamed[box["class"]]} for box in boxes]})
    points = np.array([box["points"] for box in boxes])
    return TrueBoxes(
        boxes=np.array([[*box["centre"], *box["size"], box["yaw"]] for box in boxes]),
        labels=np.array([CLASSES.index(box["class"]) for box in boxes]),
        ignore=points == 0,
        levels=np.arange(len(boxes)) % 3 if levels else np.zeros(len(boxes), np.int64),
        num_points=points,
        velocities=np.array([box["velocity"] for box in boxes]),
    )


def _answers(truth: Truth3D, skill: float, seed: int, velocity: bool) -> Found3D:
    """A skilled model finds more, places better, is surer of itself and invents less."""
    generator = np.random.default_rng(seed + 1)
    found = []
    for frame in truth.frames:
        seen = generator.random(len(frame.boxes)) < skill
        noise = generator.normal(0, 1.5 * (1.1 - skill), (seen.sum(), 7)) * [1, 1, 0.2, 0.1, 0.1, 0.1, 0.5]
        invented = np.add(frame.boxes[: round(10 * (1 - skill))], [9, 6, 0, 0, 0, 0, 1])
        boxes = np.concatenate([frame.boxes[seen] + noise, invented])
        scores = np.concatenate([generator.uniform(0.3, 1, seen.sum()), generator.uniform(0.1, 0.7, len(invented))])
        labels = np.concatenate([frame.labels[seen], frame.labels[: len(invented)]])
        found.append(FoundBoxes(boxes, scores, labels, np.zeros((len(boxes), 2)) if velocity else None))
    return Found3D(tuple(found))


def _frames(truth: Truth3D) -> list[dict[str, Any]]:
    return [
        {
            "id": name,
            "file_name": f"{name}.npy",
            "boxes": frame.boxes.tolist(),
            "labels": frame.labels.tolist(),
            "ignore": frame.ignore.tolist(),
        }
        for name, frame in zip(truth.frame_ids, truth.frames, strict=True)
    ]


def _write_model(folder: Path, role: str, truth: Truth3D, found: Found3D, measured: Metrics3D, test: bool) -> None:
    large = role == "teacher"
    scores = {name: getattr(measured, name) for name in ("metrics", "per_class", "by_range", "pr_curves")}
    scores["intervals"] = bootstrap_interval(measured.counts, samples=SAMPLES)
    evaluation = {
        "role": role,
        "model": "centerpoint_pillar",
        "backbone": None,
        "parameters": 5_210_000 if large else 412_000,
        "multiply_adds": 98_000_000_000 if large else 7_300_000_000,
        "weights_bytes": 20_900_000 if large else 1_650_000,
        "latency_ms": {"p50": 612.4 if large else 71.3, "p95": 640.0 if large else 80.2, "runs": 50, "threads": 2},
        "train_seconds": 900.0,
        "epochs": 20,
        "test_memory_bytes": 912_000_000 if large else 418_000_000,
        **scores,
        "test": {"data": {"clouds": "data/test/clouds"}, **scores} if test else None,
    }
    _write(folder / "evaluation.json", evaluation)
    predictions = [
        {
            "id": name,
            "boxes": frame.boxes.tolist(),
            "scores": frame.scores.tolist(),
            "labels": frame.labels.tolist(),
            "velocities": None if frame.velocities is None else frame.velocities.tolist(),
        }
        for name, frame in zip(truth.frame_ids, found.frames, strict=True)
    ]
    _write(folder / "predictions.json", predictions)
    measured.counts.save(folder / "counts.npz")
    (folder / "metrics.jsonl").write_text("\n".join(_log(role)) + "\n")


def _log(role: str) -> list[str]:
    terms = ["heat_map", "boxes"] + (["itkd_interchange", "itkd_attention"] if role == "student" else [])
    lines = []
    for step in range(1, 21):
        values = {f"train/{term}": float(np.exp(-step / 10)) for term in terms}
        lines.append(json.dumps({"step": step, "train/loss": sum(values.values()), **values}))
        if step % 5 == 0:
            lines.append(json.dumps({"step": step, "val/mAP": SKILL[role] * step / 20, "val/mATE": 0.3}))
    return lines


def _facts(folder: Path, classes: Sequence[str], clouds: int) -> dict[str, Any]:
    return {
        "name": "lidar-itkd",
        "task": "detection3d",
        "created": "2025-01-31T12:00:00+00:00",
        "limbeck": "0.1.0",
        "versions": {"python": "3.11.9", "torch": "2.10.0"},
        "git": "0123abc",
        "seed": 7,
        "hardware": {"processor": "Zen 4", "cores": 2, "memory_gib": 7.6, "accelerator": None},
        "data": {
            "train_images": 40,
            "val_images": clouds,
            "classes": list(classes),
            "size": [20314],
            "resize": None,
            "val_annotations": "data/val/labels",
            "val_images_dir": str(folder / "data" / "val" / "clouds"),
            "sha256": {"data/val/labels": "cd" * 32},
            "skipped": ["00099.npy: ends too early"],
        },
    }


def _bundle(passed: bool) -> dict[str, Any]:
    agreement = {"boxes": 412, "unmatched": 0, "box_difference": 1.2e-4, "score_difference": 3.1e-6}
    parity = {
        "passed": passed,
        "images": 4,
        "network": agreement,
        "runtime": agreement if passed else {**agreement, "box_difference": 1.2},
        "ties": 0,
        "map_torch": 0.512,
        "map_onnx": 0.512 if passed else 0.31,
        "problems": [] if passed else ["from the files a box differs by 1.2 m (limit 0.02)"],
    }
    latency_ms = {"p50": 61.2, "p95": 70.0, "p99": 74.0, "runs": 100}
    return {"format": 1, "parity": parity, "latency_ms": latency_ms, "files": {"model.onnx": "ef" * 32}}
