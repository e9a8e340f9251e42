"""Random truths and predictions in the COCO format."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


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
