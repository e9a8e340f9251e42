"""Truths and predictions: random ones in the COCO format, random and hand-made ones of boxes in space."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from limbeck.metrics.boxes3d import Found3D, FoundBoxes, TrueBoxes, Truth3D


@pytest.fixture
def random_set() -> Any:
    """Return a function (seed, images, classes) -> (annotation file content, predictions)."""
    return make_random_set


def make_random_set(seed: int, images: int = 12, classes: int = 3) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Some images have no object, some boxes are crowds, one class has no object; many scores are equal."""
    generator = np.random.default_rng(seed)
    truth: dict[str, Any] = {
        "images": [
            {"id": 7 * n + 3, "file_name": f"{n}.jpg", "width": 400, "height": 300} for n in reversed(range(images))
        ],
        "categories": [{"id": 2 * k + 1, "name": f"class {k}"} for k in range(classes + 1)],
        "annotations": [],
    }
    predictions: list[dict[str, Any]] = []
    for image in truth["images"]:
        for _ in range(int(generator.integers(0, 6))):
            box = [*generator.uniform(0, 200, 2), *generator.choice([12, 60, 150]) * generator.uniform(0.8, 1.2, 2)]
            category = 2 * int(generator.integers(0, classes)) + 1
            _annotate(truth["annotations"], image["id"], category, box, crowd=bool(generator.random() < 0.15))
            for _ in range(int(generator.integers(0, 4))):
                moved = np.array(box) * generator.normal(1, 0.06, 4)
                guess = category if generator.random() < 0.9 else 1
                predictions.append(_result(image["id"], guess, moved, round(float(generator.random()), 1)))
        predictions.append(
            _result(image["id"], 2 * classes + 1, generator.uniform(1, 100, 4), float(generator.random()))
        )
    return truth, predictions


def _annotate(annotations: list[dict[str, Any]], image: int, category: int, box: list[float], crowd: bool) -> None:
    annotations.append(
        {
            "id": len(annotations) + 1,
            "image_id": image,
            "category_id": category,
            "bbox": [float(value) for value in box],
            "area": 0.9 * float(box[2] * box[3]),
            "iscrowd": int(crowd),
        }
    )


def _result(image: int, category: int, box: Any, score: float) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": [float(value) for value in box], "score": score}


@pytest.fixture
def random_clouds() -> Any:
    """Return a function (seed, ...) -> (truth, found) of boxes in space."""
    return make_random_clouds


@pytest.fixture
def clouds() -> Any:
    """Return a function (frames, classes) -> (truth, found) of boxes in space."""
    return make_clouds


def make_clouds(*frames: tuple[list[dict[str, Any]], list[dict[str, Any]]], classes: Any = ("car",)) -> Any:
    """Each frame is (objects, detections); what a box does not say is as below."""
    true = [TrueBoxes(**_columns(objects, _OBJECT)) for objects, _ in frames]
    found = [FoundBoxes(**_columns(detections, _DETECTION)) for _, detections in frames]
    return Truth3D(tuple(classes), tuple(f"frame {n}" for n in range(len(frames))), tuple(true)), Found3D(tuple(found))


_BOX = {"x": 10.0, "y": 0.0, "z": 0.0, "length": 4.0, "width": 2.0, "height": 1.5, "yaw": 0.0}
_OBJECT = {"labels": 0, "ignore": False, "levels": 0, "num_points": 9, "velocities": (np.nan, np.nan)}
_DETECTION = {"labels": 0, "scores": 0.5, "velocities": (np.nan, np.nan)}


def _columns(rows: list[dict[str, Any]], defaults: dict[str, Any]) -> dict[str, Any]:
    assert all(key in {**_BOX, **defaults} for row in rows for key in row)
    columns = {key: [row.get(key, value) for row in rows] for key, value in defaults.items()}
    arrays = {key: np.array(column, type(defaults[key])) for key, column in columns.items() if key != "velocities"}
    boxes = np.array([[row.get(key, value) for key, value in _BOX.items()] for row in rows]).reshape(-1, 7)
    return {**arrays, "boxes": boxes, "velocities": np.array(columns["velocities"], np.float64).reshape(-1, 2)}


def make_random_clouds(
    seed: int,
    *,
    frames: int = 8,
    objects: int = 12,
    classes: Any = ("car", "pedestrian", "barrier", "traffic_cone"),
    noise: float = 0.3,
    spread: float = 40.0,
    ignore: float = 0.15,
    levels: int = 3,
) -> Any:
    """Some frames have no object; an object is found never, once or twice, off by ``noise``; no two scores are equal.

    The smaller the ``spread`` in metres, the more boxes overlap with several others.
    """
    generator = np.random.default_rng(seed)
    true, found = [], []
    for _ in range(frames):
        count = int(generator.integers(0, objects + 1))
        boxes, labels = _random_boxes(generator, count, spread), generator.integers(0, len(classes), count)
        velocities = generator.normal(0, 2, (count, 2))
        source = np.repeat(np.arange(count), generator.integers(0, 3, count))
        moved = boxes[source] + generator.normal(0, noise, (len(source), 7)) * [1, 1, 0.1, 0, 0, 0, 1]
        moved[:, 3:6] *= np.exp(generator.normal(0, 0.2 * noise, (len(source), 3)))
        guesses = np.where(generator.random(len(source)) < 0.9, labels[source], 0)
        extra = int(generator.integers(0, 4))
        found.append(
            FoundBoxes(
                np.concatenate([moved, _random_boxes(generator, extra, spread)]),
                generator.random(len(source) + extra),
                np.concatenate([guesses, generator.integers(0, len(classes), extra)]),
                np.concatenate([velocities[source], np.zeros((extra, 2))]) + generator.normal(0, 0.3, 2),
            )
        )
        velocities[generator.random(count) < 0.2] = np.nan
        ignored, hard = generator.random(count) < ignore, generator.integers(0, levels, count)
        true.append(TrueBoxes(boxes, labels, ignored, hard, generator.integers(-1, 12, count), velocities))
    return Truth3D(tuple(classes), tuple(range(frames)), tuple(true)), Found3D(tuple(found))


def _random_boxes(generator: np.random.Generator, count: int, spread: float) -> Any:
    low, high = [-spread, -spread, -0.2, 3, 1.5, 1.4, -4], [spread, spread, 0.2, 5, 2.5, 1.8, 4]
    return generator.uniform(low, high, (count, 7))
