"""The COCO metrics against pycocotools and against boxes worked by hand."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from limbeck.errors import DataError
from limbeck.metrics.coco import METRIC_NAMES, CocoTruth, evaluate

ONE_BOX = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 100}],
    "categories": [{"id": 5, "name": "wheel"}],
    "annotations": [{"id": 0, "image_id": 1, "category_id": 5, "bbox": [0, 0, 10, 10], "area": 100, "iscrowd": 0}],
}


def result(bbox: list[float], score: float = 0.9, image_id: int = 1, category_id: int = 5) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": category_id, "bbox": bbox, "score": score}


def reference(truth: dict[str, Any], predictions: list[dict[str, Any]]) -> COCOeval:
    expected = COCO()
    expected.dataset = {"info": {}, **copy.deepcopy(truth)}
    expected.createIndex()
    evaluator = COCOeval(expected, expected.loadRes(copy.deepcopy(predictions)), "bbox")
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return evaluator


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_pycocotools(random_set: Any, seed: int) -> None:
    truth, predictions = random_set(seed)
    expected = reference(truth, predictions)

    measured = evaluate(CocoTruth.from_json(truth), predictions)

    assert list(measured.metrics) == list(METRIC_NAMES)
    np.testing.assert_allclose(list(measured.metrics.values()), expected.stats, atol=1e-12)
    np.testing.assert_allclose(measured.precision_iou50, expected.eval["precision"][0, :, :, 0, 2], atol=1e-12)
    np.testing.assert_allclose(measured.recall_per_iou, expected.eval["recall"][:, :, 0, 2], atol=1e-12)


def test_one_box_by_hand() -> None:
    """IoU 0.62 reaches the thresholds 0.50, 0.55 and 0.60: three of ten."""
    measured = evaluate(CocoTruth.from_json(ONE_BOX), [result([0, 0, 10, 6.2])])

    assert measured.metrics["AP"] == pytest.approx(0.3)
    assert measured.metrics["AP50"] == 1
    assert measured.metrics["AP75"] == 0
    assert measured.metrics["APl"] == -1
    assert measured.per_class["wheel"]["objects"] == 1
    assert measured.pr_curves["wheel"] == [1.0] * 101


def test_an_object_with_annotation_id_zero_can_be_hit() -> None:
    """Annotation ids start where they like, though matchers use 0 for "no match"."""
    assert evaluate(CocoTruth.from_json(ONE_BOX), [result([0, 0, 10, 10])]).metrics["AP"] == 1


def test_no_predictions_is_zero_and_no_objects_is_undefined() -> None:
    empty = {**ONE_BOX, "annotations": []}

    assert evaluate(CocoTruth.from_json(ONE_BOX), []).metrics["AP"] == 0
    assert evaluate(CocoTruth.from_json(empty), []).metrics["AP"] == -1
    assert evaluate(CocoTruth.from_json(empty), [result([0, 0, 10, 10])]).per_class["wheel"]["AP"] == -1


def test_a_false_alarm_on_an_image_without_objects_counts() -> None:
    two_images = {**ONE_BOX, "images": [*ONE_BOX["images"], {"id": 2}]}
    predictions = [result([0, 0, 10, 10], 0.5), result([0, 0, 10, 10], 0.9, image_id=2)]

    assert evaluate(CocoTruth.from_json(two_images), predictions).metrics["AP"] == pytest.approx(0.5)


def test_predictions_stay_as_they_were_and_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    predictions = [result([0, 0, 10, 10])]

    evaluate(CocoTruth.from_json(ONE_BOX), predictions)

    assert predictions == [result([0, 0, 10, 10])]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (result([0, 0, 1, 1], image_id=9), "no image with id 9"),
        (result([0, 0, 1, 1], category_id=1), "no category with id 1"),
        (result([0, 0, float("nan"), 1]), "not usable"),
    ],
)
def test_refuses_predictions_that_do_not_belong(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        evaluate(CocoTruth.from_json(ONE_BOX), [wrong])


def test_a_long_list_of_problems_is_cut() -> None:
    with pytest.raises(DataError, match="and 30 more"):
        evaluate(CocoTruth.from_json(ONE_BOX), [result([0, 0, 1, 1], image_id=9)] * 50)


def test_refuses_an_annotation_without_box() -> None:
    broken = {**ONE_BOX, "annotations": [{"id": 1, "image_id": 1, "category_id": 5}]}

    with pytest.raises(DataError, match="field 'bbox' is missing"):
        CocoTruth.from_json(broken)


@dataclass
class Record:
    """The attributes that a data reader's record has."""

    id: int | str
    path: Path
    size_wh: tuple[int, int]
    boxes_xyxy: np.ndarray
    labels: np.ndarray
    ignore: np.ndarray
    areas: np.ndarray


def record(number: int | str, ignore: bool = False) -> Record:
    boxes = np.array([[2, 3, 12, 33]], dtype=np.float32)
    return Record(
        number, Path("data/x") / f"{number}.jpg", (40, 50), boxes, np.array([1]), np.array([ignore]), np.array([70.0])
    )


def test_takes_the_truth_from_records() -> None:
    truth = CocoTruth.from_records([record("b"), record("a", ignore=True)], ["hub", "wheel"], [4, 9], Path("data"))

    assert [image.file_name for image in truth.images] == ["x/a.jpg", "x/b.jpg"]
    assert truth.categories == ((4, "hub"), (9, "wheel"))
    assert [(box.category_id, box.bbox_xywh, box.area) for box in truth.boxes] == [(9, (2, 3, 10, 30), 70)] * 2
    assert evaluate(truth, [result([2, 3, 10, 30], image_id="b", category_id=9)]).metrics["AP"] == 1
    assert evaluate(truth, []).per_class["wheel"]["objects"] == 1


def test_json_survives_a_round_trip(random_set: Any) -> None:
    truth = CocoTruth.from_json(random_set(0)[0])

    assert CocoTruth.from_json(truth.to_json()) == truth


def test_a_detection_on_an_image_without_objects_is_a_false_alarm() -> None:
    truth = copy.deepcopy(ONE_BOX)
    truth["images"].append({"id": 2, "file_name": "nothing.jpg", "width": 100, "height": 100})
    hit = result([0, 0, 10, 10], score=0.5)
    assert evaluate(CocoTruth.from_json(truth), [hit]).metrics["AP"] == 1
    false_alarm = result([0, 0, 10, 10], score=0.9, image_id=2)
    assert evaluate(CocoTruth.from_json(truth), [hit, false_alarm]).metrics["AP"] == pytest.approx(0.5)
