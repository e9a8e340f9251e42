"""What a model answers for one image or point cloud: what is said of it, what stands in the json, how it is drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from limbeck import rectangles
from limbeck.deploy.runtime.class_map import ClassMap
from limbeck.deploy.runtime.clouds import open_cloud
from limbeck.deploy.runtime.detector import Detections
from limbeck.deploy.runtime.lidar_detector import CloudDetections
from limbeck.imaging import read_image
from limbeck.palette import OKABE_ITO, class_colours, overlay
from limbeck.point_files.point_format import PointFormat
from limbeck.report.birds_eye import Outlines, View
from limbeck.report.birds_eye import draw as draw_from_above

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette, told apart by colour-blind eyes."""
PICTURE_SIDE = 1200
"""Pixels of the longer side of the picture of a cloud."""
NEARLY_ALL = (1, 99)
"""The percentiles of x and y between which a cloud is shown."""
SCORE_GAP = 4
"""Pixels between a box and its score."""
FONT = ImageFont.load_default(size=13)


class Answer(ABC):
    """What a model answers for one image or point cloud."""

    @property
    @abstractmethod
    def content(self) -> dict[str, Any]:
        """What stands in the json beside the name of the file."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """What is said of the file in one line."""

    @abstractmethod
    def draw(self, file: Path) -> Image.Image:
        """Return a picture of the file with the answer drawn into it."""


@dataclass(frozen=True)
class Boxes(Answer):
    """Detections in an image, best first."""

    detections: list[dict[str, Any]]

    @classmethod
    def of(cls, found: Detections, min_score: float) -> Boxes:
        """Take what a model found, without what scores less than ``min_score``."""
        rows = zip(found.boxes_xyxy.tolist(), found.scores.tolist(), found.labels.tolist(), found.names, strict=True)
        return cls(
            [
                {"box_xyxy": _rounded(box, 2), "score": round(score, 5), "label": label, "name": name}
                for box, score, label, name in rows
                if score >= min_score
            ]
        )

    @property
    def content(self) -> dict[str, Any]:
        """The detections."""
        return {"detections": self.detections}

    @property
    def summary(self) -> str:
        """Names and scores."""
        return ", ".join(f"{found['name']} {found['score']:.2f}" for found in self.detections) or "nothing"

    def draw(self, file: Path) -> Image.Image:
        """Return the image with its boxes."""
        image = read_image(file)
        canvas = ImageDraw.Draw(image)
        width = max(2, round(max(image.size) / 300))
        for found in self.detections:
            colour = COLOURS[found["label"] % len(COLOURS)]
            canvas.rectangle(found["box_xyxy"], outline=colour, width=width)
            text, corner = f"{found['name']} {found['score']:.2f}", (found["box_xyxy"][0], found["box_xyxy"][1])
            canvas.rectangle(canvas.textbbox(corner, text, font_size=6 * width), fill=colour)
            canvas.text(corner, text, fill="white", font_size=6 * width)
        return image


@dataclass(frozen=True)
class Classes(Answer):
    """A class for every pixel."""

    found: ClassMap

    @property
    def content(self) -> dict[str, Any]:
        """The share of the pixels that each class covers, and their mean confidence."""
        return {
            "shares": {name: round(share, 6) for name, share in self.found.shares.items()},
            "confidence": round(float(self.found.confidence.mean()), 4),
        }

    @property
    def summary(self) -> str:
        """The classes that are there, largest first."""
        largest_first = sorted(self.found.shares.items(), key=lambda share: -share[1])
        return ", ".join(f"{name} {share:.1%}" for name, share in largest_first if share)

    def draw(self, file: Path) -> Image.Image:
        """Return the image with the colours of the classes over it, and a legend of those that are there."""
        image = read_image(file)
        count = len(self.found.classes)
        drawn = Image.fromarray(overlay(np.asarray(image), self.found.labels, count))
        canvas = ImageDraw.Draw(drawn)
        size = max(12, round(max(image.size) / 50))
        there = [label for label in range(count) if (self.found.labels == label).any()]
        for row, label in enumerate(there):
            corner = (4, 4 + row * (size + 6))
            left, top, right, bottom = canvas.textbbox(corner, self.found.classes[label], font_size=size)
            canvas.rectangle((left - 3, top - 2, right + 3, bottom + 2), fill=class_colours(count)[label])
            canvas.text(corner, self.found.classes[label], fill="black", font_size=size)
        return drawn


@dataclass(frozen=True)
class CloudBoxes(Answer):
    """Detections in a point cloud, best first.

    Attributes:
        detections: One mapping each, with the keys of a box in a json file of labels and a few more.
        form: What the points of the file consist of.
    """

    detections: list[dict[str, Any]]
    form: PointFormat

    @classmethod
    def of(cls, found: CloudDetections, form: PointFormat, min_score: float) -> CloudBoxes:
        """Take what a model found, without what scores less than ``min_score``."""
        velocities = [None] * len(found) if found.velocities is None else found.velocities.tolist()
        rows = zip(
            found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), found.names, velocities, strict=True
        )
        return cls([_cloud_box(*row) for row in rows if row[1] >= min_score], form)

    @property
    def content(self) -> dict[str, Any]:
        """The detections."""
        return {"detections": self.detections}

    @property
    def summary(self) -> str:
        """How many there are of each class."""
        counts = Counter(found["class"] for found in self.detections)
        return ", ".join(f"{count} x {name}" for name, count in counts.most_common()) or "nothing"

    def draw(self, file: Path) -> Image.Image:
        """Return the cloud as seen from above with its boxes, their scores, and a legend of their classes."""
        points = open_cloud(file, self.form)
        boxes = np.array([[*box["centre"], *box["size"], box["yaw"]] for box in self.detections]).reshape(-1, 7)
        labels = np.array([box["label"] for box in self.detections], np.int64)
        view = View.around(np.concatenate([boxes, _ends(points)]), PICTURE_SIDE)
        there = dict.fromkeys(zip(labels.tolist(), (box["class"] for box in self.detections), strict=True))
        layers = [Outlines(boxes[labels == label], _colour(label)) for label, _ in there]
        picture = draw_from_above(points, view, layers)
        pen = ImageDraw.Draw(picture)
        corners = view.pixels(rectangles.corners(np, boxes[:, rectangles.BEV]))
        beside = zip(corners[..., 0].max(axis=1).tolist(), corners[..., 1].mean(axis=1).tolist(), strict=True)
        for box, (right, middle) in zip(self.detections, beside, strict=True):
            place = right + SCORE_GAP, middle
            pen.text(place, f"{box['score']:.2f}", _colour(box["label"]), FONT, anchor="lm")
        for row, (label, name) in enumerate(there):
            pen.text((8, 8 + 18 * row), name, _colour(label), FONT)
        return picture


def _cloud_box(box: list[float], score: float, label: int, name: str, velocity: list[float] | None) -> dict[str, Any]:
    found = {"class": name, "label": label, "score": round(score, 5)}
    found |= {"centre": _rounded(box[:3], 3), "size": _rounded(box[3:6], 3), "yaw": round(box[6], 4)}
    return found if velocity is None else found | {"velocity": _rounded(velocity, 3)}


def _ends(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return boxes (M,7) without a size between which nearly all points are."""
    ends = np.zeros((2, 7))
    ends[:, :2] = np.percentile(points[:, :2], NEARLY_ALL, axis=0)
    return ends


def _colour(label: int) -> str:
    return OKABE_ITO[label % len(OKABE_ITO)]


def _rounded(values: list[float], digits: int) -> list[float]:
    return [round(value, digits) for value in values]
