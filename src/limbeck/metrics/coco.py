"""COCO box metrics: average precision and recall over IoU thresholds, object sizes and classes.

The protocol is that of pycocotools: IoU 0.50 to 0.95 in steps of 0.05, 101 recall points, at most 100 detections per
image and class. The counting is done by faster-coco-eval; the tests hold it against pycocotools. -1 means undefined:
there is no object of that size or class.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray
from typing_extensions import TypedDict  # typing.TypedDict cannot be validated by pydantic before Python 3.12

from limbeck.errors import DataError

MAX_DETECTIONS = 100
"""Detections per image and class that are looked at, best first."""
METRIC_NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
"""The metrics in the order in which the field lists them."""
IOU_50, IOU_75 = 0, 5
"""Where the thresholds 0.50 and 0.75 stand in the list of ten."""
_AREAS = {"": 0, "s": 1, "m": 2, "l": 3}
_MAX_DETECTIONS = {1: 0, 10: 1, 100: 2}
_LISTED = 20


class CocoResult(TypedDict):
    """One detection in the COCO result format; ``bbox`` is x, y, width, height in pixels of the original image."""

    image_id: int | str
    category_id: int
    bbox: list[float]
    score: float


class LabelledImage(Protocol):
    """What a data reader knows of an image: boxes (M,4) xyxy in original pixels, labels (M,), ignore marks (M,).

    ``areas`` (M,) in square pixels decide whether an object is small, medium or large.
    """

    @property
    def id(self) -> int | str: ...  # noqa: D102
    @property
    def path(self) -> Path: ...  # noqa: D102
    @property
    def size_wh(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def boxes_xyxy(self) -> NDArray[np.floating[Any]]: ...  # noqa: D102
    @property
    def labels(self) -> NDArray[np.integer[Any]]: ...  # noqa: D102
    @property
    def ignore(self) -> NDArray[np.bool_]: ...  # noqa: D102
    @property
    def areas(self) -> NDArray[np.floating[Any]]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class TruthImage:
    """An image of the truth; ``size_wh`` is (0, 0) where the annotation file does not say."""

    id: int | str
    file_name: str
    size_wh: tuple[int, int]


@dataclass(frozen=True, slots=True)
class TruthBox:
    """A labelled box.

    Attributes:
        image_id: The image it lies in.
        category_id: Its class.
        bbox_xywh: Left, top, width, height in pixels of the original image.
        area: Decides whether the object is small, medium or large; a segmentation's area where the file has one.
        crowd: A region to ignore: detections inside are neither hits nor false alarms.
    """

    image_id: int | str
    category_id: int
    bbox_xywh: tuple[float, float, float, float]
    area: float
    crowd: bool


@dataclass(frozen=True, slots=True)
class CocoTruth:
    """What should be found in a set of images.

    Attributes:
        images: All images, those without objects too, in the order of their ids.
        categories: (id, name) of every class.
        boxes: The labelled boxes.
    """

    images: tuple[TruthImage, ...]
    categories: tuple[tuple[int, str], ...]
    boxes: tuple[TruthBox, ...]

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> CocoTruth:
        """Read the content of a COCO annotation file.

        Raises:
            DataError: A field of the format is missing.
        """
        try:
            images = [_image_from_json(image) for image in content["images"]]
            categories = tuple((int(category["id"]), str(category["name"])) for category in content["categories"])
            boxes = tuple(_box_from_json(annotation) for annotation in content["annotations"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError("The annotations are not in the COCO format:", [_json_problem(error)]) from error
        return cls(_by_id(images), categories, boxes)

    @classmethod
    def from_records(
        cls,
        records: Iterable[LabelledImage],
        classes: Sequence[str],
        category_ids: Sequence[int],
        images_dir: Path | None = None,
    ) -> CocoTruth:
        """Take the truth from a data reader.

        Args:
            records: One per image, see `LabelledImage`; ``labels`` count in ``classes``.
            classes: Class names.
            category_ids: The COCO id of every class.
            images_dir: File names are kept relative to this folder; as given where it is None or they lie elsewhere.
        """
        images: list[TruthImage] = []
        boxes: list[TruthBox] = []
        for record in records:
            name = record.path
            if images_dir is not None and name.is_relative_to(images_dir):
                name = name.relative_to(images_dir)
            images.append(TruthImage(record.id, name.as_posix(), record.size_wh))
            boxes.extend(_boxes_of_record(record, category_ids))
        return cls(_by_id(images), tuple(zip(category_ids, classes, strict=True)), tuple(boxes))

    def to_json(self) -> dict[str, Any]:
        """Return the content of a COCO annotation file."""
        return {
            "images": [
                {"id": i.id, "file_name": i.file_name, "width": i.size_wh[0], "height": i.size_wh[1]}
                for i in self.images
            ],
            "categories": [{"id": number, "name": name} for number, name in self.categories],
            "annotations": [_box_to_json(number, box) for number, box in enumerate(self.boxes, start=1)],
        }


@dataclass(frozen=True, slots=True)
class BoxMetrics:
    """The metrics of one set of predictions; -1 where there is nothing to measure.

    Attributes:
        metrics: AP, AP50, AP75, AP of small, medium and large objects (APs, APm, APl), and the average recall AR1,
            AR10, AR100, ARs, ARm, ARl.
        per_class: AP, AP50, AP75, AR100 and the number of objects, by class name.
        pr_curves: Interpolated precision at the recalls 0, 0.01, ..., 1 at IoU 0.5, by class name.
        precision_iou50: (101,K) the same as an array.
        recall_per_iou: (10,K) the highest recall at every IoU threshold.
    """

    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]]
    pr_curves: dict[str, list[float]]
    precision_iou50: NDArray[np.float64]
    recall_per_iou: NDArray[np.float64]


def evaluate(truth: CocoTruth, predictions: Sequence[CocoResult]) -> BoxMetrics:
    """Measure predictions by the COCO protocol.

    Args:
        truth: What should be found.
        predictions: All detections of all images, in any order; may be empty.

    Raises:
        DataError: A prediction names an unknown image or class, or its numbers are not finite.
    """
    check_predictions(truth, predictions)
    precision, recall = _count(truth, predictions)
    names = [name for _, name in truth.categories]
    objects = objects_per_class(truth)
    return BoxMetrics(
        metrics=_summary(precision, recall),
        per_class={
            name: _class_summary(precision[:, :, k, 0, 2], recall[:, k, 0, 2], objects[k])
            for k, name in enumerate(names)
        },
        pr_curves={name: precision[IOU_50, :, k, 0, 2].tolist() for k, name in enumerate(names)},
        precision_iou50=precision[IOU_50, :, :, 0, 2],
        recall_per_iou=recall[:, :, 0, 2],
    )


def check_predictions(truth: CocoTruth, predictions: Sequence[CocoResult]) -> None:
    """Refuse predictions that do not belong to ``truth``.

    Raises:
        DataError: A prediction names an unknown image or class, or its numbers are not finite.
    """
    images = {image.id for image in truth.images}
    categories = {number for number, _ in truth.categories}
    problems = []
    for row, result in enumerate(predictions):
        if result["image_id"] not in images:
            problems.append(f"prediction {row}: there is no image with id {result['image_id']!r}")
        if result["category_id"] not in categories:
            problems.append(f"prediction {row}: there is no category with id {result['category_id']!r}")
        if len(result["bbox"]) != 4 or not all(map(math.isfinite, [*result["bbox"], result["score"]])):
            problems.append(f"prediction {row}: box {result['bbox']} with score {result['score']} is not usable")
    if problems:
        more = [f"and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else []
        raise DataError("The predictions do not fit the annotations:", problems[:_LISTED] + more)


def objects_per_class(truth: CocoTruth) -> list[int]:
    """Count the objects to be found, in the order of the categories; crowd regions do not count."""
    ids = [box.category_id for box in truth.boxes if not box.crowd]
    return [ids.count(number) for number, _ in truth.categories]


def _count(truth: CocoTruth, predictions: Sequence[CocoResult]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return precision (T,101,K,A,D) and recall (T,K,A,D): A object sizes, D limits on the number of detections.

    Images, classes and boxes are numbered from 1: the evaluator takes whole numbers only, and 0 for "no match".
    """
    image_number = {image.id: n for n, image in enumerate(truth.images, start=1)}
    category_number = {number: n for n, (number, _) in enumerate(truth.categories, start=1)}
    content = CocoTruth(
        tuple(TruthImage(image_number[i.id], i.file_name, i.size_wh) for i in truth.images),
        tuple((category_number[number], name) for number, name in truth.categories),
        tuple(
            TruthBox(image_number[b.image_id], category_number[b.category_id], b.bbox_xywh, b.area, b.crowd)
            for b in truth.boxes
        ),
    ).to_json()
    results = [
        {
            "image_id": image_number[p["image_id"]],
            "category_id": category_number[p["category_id"]],
            "bbox": list(p["bbox"]),
            "score": p["score"],
        }
        for p in predictions
    ]
    expected = COCO(content)
    evaluator = COCOeval_faster(expected, expected.loadRes(results), iouType="bbox")
    evaluator.evaluate()
    evaluator.accumulate()
    return np.asarray(evaluator.eval["precision"]), np.asarray(evaluator.eval["recall"])


def _summary(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> dict[str, float]:
    best = precision[:, :, :, :, 2]
    summary = {f"AP{size}": defined_mean(best[:, :, :, area]) for size, area in _AREAS.items()}
    summary |= {f"AR{limit}": defined_mean(recall[:, :, 0, d]) for limit, d in _MAX_DETECTIONS.items()}
    summary |= {f"AR{size}": defined_mean(recall[:, :, area, 2]) for size, area in _AREAS.items() if size}
    summary |= {
        "AP50": defined_mean(best[IOU_50, :, :, 0]),
        "AP75": defined_mean(best[IOU_75, :, :, 0]),
    }
    return {name: summary[name] for name in METRIC_NAMES}


def _class_summary(precision: NDArray[np.float64], recall: NDArray[np.float64], objects: int) -> dict[str, float]:
    return {
        "AP": defined_mean(precision),
        "AP50": defined_mean(precision[IOU_50]),
        "AP75": defined_mean(precision[IOU_75]),
        "AR100": defined_mean(recall),
        "objects": objects,
    }


def defined_mean(values: NDArray[np.float64]) -> float:
    """Return the mean over the defined values (not -1), or -1 if there is none."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else -1.0


def _by_id(images: Iterable[TruthImage]) -> tuple[TruthImage, ...]:
    """Sort as pycocotools does, so that equal scores in different images are counted in the same order."""
    return tuple(sorted(images, key=lambda image: (isinstance(image.id, str), image.id)))


def _image_from_json(image: dict[str, Any]) -> TruthImage:
    size_wh = int(image.get("width", 0)), int(image.get("height", 0))
    return TruthImage(image["id"], str(image.get("file_name", "")), size_wh)


def _box_from_json(annotation: dict[str, Any]) -> TruthBox:
    left, top, width, height = (float(value) for value in annotation["bbox"])
    return TruthBox(
        image_id=annotation["image_id"],
        category_id=int(annotation["category_id"]),
        bbox_xywh=(left, top, width, height),
        area=float(annotation.get("area", width * height)),
        crowd=bool(annotation.get("iscrowd", 0)),
    )


def _boxes_of_record(record: LabelledImage, category_ids: Sequence[int]) -> Iterable[TruthBox]:
    rows = zip(record.boxes_xyxy.tolist(), record.labels, record.ignore, record.areas, strict=True)
    for (x1, y1, x2, y2), label, ignore, area in rows:
        yield TruthBox(record.id, category_ids[int(label)], (x1, y1, x2 - x1, y2 - y1), float(area), bool(ignore))


def _box_to_json(number: int, box: TruthBox) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": box.image_id,
        "category_id": box.category_id,
        "bbox": list(box.bbox_xywh),
        "area": box.area,
        "iscrowd": int(box.crowd),
    }


def _json_problem(error: Exception) -> str:
    return f"the field {error} is missing" if isinstance(error, KeyError) else str(error)
