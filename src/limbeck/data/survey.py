"""What a data set holds: how many boxes of which class and size, and the boxes that look odd."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.data.config import PARTS, PartName
from limbeck.data.records import BoxRecord
from limbeck.imaging import Fit, ResizeMode
from limbeck.ops.boxes2d import pairwise_iou

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
TINY_SIDE = 8.0
"""Canvas pixels: one cell of the finest pyramid level that the detectors use. What is smaller is hardly learnable."""
SMALL_SIDE, MEDIUM_SIDE = 32.0, 96.0
"""COCO's limits of small and medium objects, here in canvas pixels."""
HUGE_SHARE = 0.9
"""A box that covers more of its image is worth a look."""
TWIN_IOU = 0.95
"""Two boxes of one class that overlap more are probably one object labelled twice."""


@dataclass(frozen=True, slots=True)
class ClassCount:
    """How often a class occurs in one part; ignore regions do not count."""

    name: str
    boxes: int
    images: int


@dataclass(frozen=True, slots=True)
class OddBox:
    """A box that is worth a look.

    Attributes:
        path: Its image.
        class_name: Its class.
        box_xyxy: Where it is, in pixels of the image.
    """

    path: Path
    class_name: str
    box_xyxy: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class BoxSizes:
    """Sizes of all boxes at `QUANTILES`; empty if there is no box.

    Attributes:
        side: Square root of the area in pixels of the image.
        aspect: Width over height in the image.
        canvas_side: Square root of the area in pixels of the network's canvas.
        canvas_aspect: Width over height on the canvas, which differs where images are stretched.
    """

    side: tuple[float, ...]
    aspect: tuple[float, ...]
    canvas_side: tuple[float, ...]
    canvas_aspect: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PartSurvey:
    """One part of a data set in numbers. Boxes are objects; ignore regions are counted apart.

    Attributes:
        images: Number of images.
        empty_images: Images without an object.
        boxes: Number of objects.
        ignored: Number of ignore regions.
        classes: Counts by class, in the order of the labels.
        sizes: How large the boxes are.
        small: Boxes below COCO's limit of 32 x 32 pixels on the canvas.
        medium: Boxes from there to 96 x 96 pixels.
        large: The others.
        tiny: Boxes smaller than `TINY_SIDE` on the canvas, the smallest first.
        huge: Boxes that cover more than `HUGE_SHARE` of their image.
        twins: Boxes that coincide with one before them, of the same class in the same image.
    """

    images: int
    empty_images: int
    boxes: int
    ignored: int
    classes: tuple[ClassCount, ...]
    sizes: BoxSizes
    small: int
    medium: int
    large: int
    tiny: tuple[OddBox, ...]
    huge: tuple[OddBox, ...]
    twins: tuple[OddBox, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the classes without a box."""
        return tuple(found.name for found in self.classes if not found.boxes)


def survey_part(
    records: Sequence[BoxRecord], classes: Sequence[str], canvas_wh: tuple[int, int], resize: ResizeMode
) -> PartSurvey:
    """Count and measure what is labelled in one part; no image is opened.

    Args:
        records: The images of the part.
        classes: Class names in the order of the labels.
        canvas_wh: Width and height of the network's input in pixels.
        resize: ``letterbox`` or ``stretch``.
    """
    objects = _Objects.of(records, canvas_wh, resize)
    side, canvas_side = _sides(objects.boxes_xyxy), _sides(objects.canvas_xyxy)
    tiny = np.flatnonzero(canvas_side < TINY_SIDE)
    images = np.array([record.size_wh for record in records], dtype=np.float64).reshape(-1, 2).prod(axis=1)
    small, medium = int((canvas_side < SMALL_SIDE).sum()), int((canvas_side < MEDIUM_SIDE).sum())

    def odd(rows: Sequence[int] | NDArray[np.intp]) -> tuple[OddBox, ...]:
        return tuple(objects.odd(int(row), records, classes) for row in rows)

    return PartSurvey(
        images=len(records),
        empty_images=sum(bool(record.ignore.all()) for record in records),
        boxes=len(side),
        ignored=sum(int(record.ignore.sum()) for record in records),
        classes=tuple(objects.count(label, name) for label, name in enumerate(classes)),
        sizes=BoxSizes(
            _quantiles(side),
            _quantiles(_aspects(objects.boxes_xyxy)),
            _quantiles(canvas_side),
            _quantiles(_aspects(objects.canvas_xyxy)),
        ),
        small=small,
        medium=medium - small,
        large=len(side) - medium,
        tiny=odd(tiny[np.argsort(canvas_side[tiny], kind="stable")]),
        huge=odd(np.flatnonzero(side**2 > HUGE_SHARE * images[objects.image])),
        twins=odd(list(objects.twins())),
    )


def concerns(parts: Mapping[PartName, PartSurvey]) -> list[str]:
    """Return a plain sentence for everything that can be read but may not be meant."""
    found: list[str] = []
    for part, survey in parts.items():
        what = PARTS[part]
        if not survey.boxes:
            found.append(f"the {what} images have no box at all")
        else:
            then = "cannot be learnt" if part == "train" else "cannot be measured"
            found += [f"no {what} image has a box of '{name}': it {then}" for name in survey.missing]
        if survey.tiny:
            they = f"{_boxes(survey.tiny, what)} smaller than {TINY_SIDE:g} x {TINY_SIDE:g} pixels on the canvas"
            found.append(f"{they} and hardly learnable; a larger data.size would help")
        if survey.huge:
            found.append(f"{_boxes(survey.huge, what)} larger than {100 * HUGE_SHARE:g} % of the image")
        if survey.twins:
            found.append(f"{_boxes(survey.twins, what)} on top of another of the same class, probably labelled twice")
    return found


def _boxes(boxes: Sequence[OddBox], what: str) -> str:
    first = f"the first in {boxes[0].path}"
    return f"1 {what} box, in {boxes[0].path}, is" if len(boxes) == 1 else f"{len(boxes)} {what} boxes, {first}, are"


@dataclass(frozen=True, slots=True, eq=False)
class _Objects:
    """All objects of a part in one table: boxes (M,4) in image and in canvas pixels, labels (M,), image rows (M,)."""

    boxes_xyxy: NDArray[np.float32]
    canvas_xyxy: NDArray[np.float32]
    labels: NDArray[np.int64]
    image: NDArray[np.intp]

    @classmethod
    def of(cls, records: Sequence[BoxRecord], canvas_wh: tuple[int, int], resize: ResizeMode) -> _Objects:
        boxes, canvas = [np.empty((0, 4), np.float32)], [np.empty((0, 4), np.float32)]
        labels, image = [np.empty(0, np.int64)], [np.empty(0, np.intp)]
        for row, record in enumerate(records):
            found = ~record.ignore
            boxes.append(record.boxes_xyxy[found])
            canvas.append(Fit.of(record.size_wh, canvas_wh, resize).to_canvas(boxes[-1]))
            labels.append(record.labels[found])
            image.append(np.full(len(labels[-1]), row, np.intp))
        return cls(np.concatenate(boxes), np.concatenate(canvas), np.concatenate(labels), np.concatenate(image))

    def count(self, label: int, name: str) -> ClassCount:
        images = self.image[self.labels == label]
        return ClassCount(name, len(images), len(np.unique(images)))

    def odd(self, row: int, records: Sequence[BoxRecord], classes: Sequence[str]) -> OddBox:
        left, top, right, bottom = self.boxes_xyxy[row].tolist()
        return OddBox(records[self.image[row]].path, classes[self.labels[row]], (left, top, right, bottom))

    def twins(self) -> Iterator[int]:
        """Yield the rows of boxes that coincide with an earlier one."""
        for rows in np.split(np.arange(len(self.image)), np.flatnonzero(np.diff(self.image)) + 1):
            boxes = torch.from_numpy(self.boxes_xyxy[rows])
            same_class = np.equal.outer(self.labels[rows], self.labels[rows])
            alike = same_class & (pairwise_iou(boxes, boxes).numpy() > TWIN_IOU)
            yield from rows[np.triu(alike, k=1).any(axis=0)]


def _sides(boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float64]:
    width, height = _lengths(boxes_xyxy)
    return np.asarray(np.sqrt(width * height))


def _aspects(boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float64]:
    width, height = _lengths(boxes_xyxy)
    return np.asarray(width / height)


def _lengths(boxes_xyxy: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    left, top, right, bottom = boxes_xyxy.astype(np.float64).T
    # The readers keep boxes down to a thousandth of a pixel, which float32 may round to nothing.
    return np.maximum(right - left, 1e-3), np.maximum(bottom - top, 1e-3)


def _quantiles(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(np.quantile(values, QUANTILES).tolist()) if len(values) else ()
