"""Matching by hand; the agreement with the evaluator is tested in test_bootstrap.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from limbeck.metrics.coco import CocoTruth
from limbeck.metrics.matching import match


def truth(*boxes: tuple[list[float], int]) -> CocoTruth:
    annotations = [
        {"id": n, "image_id": 1, "category_id": 1, "bbox": bbox, "iscrowd": crowd}
        for n, (bbox, crowd) in enumerate(boxes)
    ]
    images = [{"id": 1}, {"id": 2}]
    return CocoTruth.from_json(
        {"images": images, "categories": [{"id": 1, "name": "wheel"}], "annotations": annotations}
    )


def result(bbox: list[float], score: float, image_id: int = 1) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": 1, "bbox": bbox, "score": score}


def test_the_better_score_takes_the_object() -> None:
    found = match(truth(([0, 0, 10, 10], 0)), [result([0, 0, 10, 10], 0.2), result([0, 0, 10, 6], 0.8)]).classes[0]

    np.testing.assert_array_equal(found.hit[:, 0], [True] * 3 + [False] * 7)
    np.testing.assert_array_equal(found.hit[:, 1], [False] * 3 + [True] * 7)


def test_a_crowd_swallows_detections_but_never_takes_one_from_an_object() -> None:
    boxes = truth(([0, 0, 10, 10], 0), ([0, 0, 50, 50], 1))
    found = match(boxes, [result([0, 0, 10, 10], 0.9), result([20, 20, 9, 9], 0.8), result([30, 0, 9, 9], 0.7)])

    np.testing.assert_array_equal(found.classes[0].hit[0], [True, False, False])
    np.testing.assert_array_equal(found.classes[0].ignored[0], [False, True, True])
    np.testing.assert_array_equal(found.classes[0].objects, [1, 0])


def test_only_the_best_hundred_of_an_image_count() -> None:
    many = [result([0, 0, 10, 10], score / 200) for score in range(150)]
    found = match(truth(([0, 0, 10, 10], 0)), [*many, result([0, 0, 10, 10], 0.1, image_id=2)])

    assert found.classes[0].image.tolist().count(0) == 100
    assert found.classes[0].image.tolist().count(1) == 1
