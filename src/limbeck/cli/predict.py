"""What ``limbeck predict`` writes: json, and images with what was found drawn into them."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from limbeck.deploy.runtime.class_map import ClassMap, Tiles
from limbeck.deploy.runtime.detector import Detections
from limbeck.errors import DataError, LimbeckError
from limbeck.imaging import read_image
from limbeck.palette import class_colours, overlay
from limbeck.predictor import images_in, open_predictor

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette, told apart by colour-blind eyes."""
MIN_SCORE = 0.3
"""Detections below are left out where the user does not say otherwise."""


class Answer(ABC):
    """What a model answers for one image."""

    @property
    @abstractmethod
    def content(self) -> dict[str, Any]:
        """What stands in the json beside the name of the file."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """What is said of the image in one line."""

    @abstractmethod
    def draw(self, image: Image.Image) -> Image.Image:
        """Return the image with the answer drawn into it."""


@dataclass(frozen=True)
class Boxes(Answer):
    """Detections, best first."""

    detections: list[dict[str, Any]]

    @property
    def content(self) -> dict[str, Any]:
        """The detections."""
        return {"detections": self.detections}

    @property
    def summary(self) -> str:
        """Names and scores."""
        return ", ".join(f"{found['name']} {found['score']:.2f}" for found in self.detections) or "nothing"

    def draw(self, image: Image.Image) -> Image.Image:
        """Return the image with its boxes."""
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

    def draw(self, image: Image.Image) -> Image.Image:
        """Return the image with the colours of the classes over it, and a legend of those that are there."""
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


def predict_images(
    model: Path,
    images: list[Path],
    *,
    save: Path | None,
    draw: Path | None,
    masks: Path | None,
    min_score: float | None,
    tiles: Tiles | None,
    say: Callable[[str], None],
) -> None:
    """Run a model on images, say what was found and write what was asked for.

    Args:
        model: A weight file or a bundle folder.
        images: Files and folders.
        save: The json file to write.
        draw: The folder for drawn images.
        masks: The folder for class maps (segmentation).
        min_score: Detections below are left out; None for `MIN_SCORE` (detection).
        tiles: Look at large images in tiles (segmentation).
        say: Called with a line for each image.

    Raises:
        DataError: Images cannot be read; the others were looked at nevertheless.
        LimbeckError: The model cannot be read, an option is not for its task, or a result cannot be written.
    """
    files = images_in(images)
    answer = _answerer(model, masks=masks, min_score=min_score, tiles=tiles)
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    try:
        for folder in filter(None, (draw, masks, save and save.parent)):
            folder.mkdir(parents=True, exist_ok=True)
        for file, name in zip(files, _drawing_names(files), strict=True):
            try:
                found = answer(file)
            except DataError as error:
                problems += error.problems
                continue
            rows.append({"file": str(file), **found.content})
            say(f"{file}: {found.summary}")
            if draw is not None:
                found.draw(read_image(file)).save(draw / name)
            if masks is not None and isinstance(found, Classes):
                Image.fromarray(found.found.labels).save(masks / name)
        if save is not None:
            save.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise LimbeckError(f"A result cannot be written: {error}.") from error
    if problems:
        raise DataError("These images cannot be read; all others were looked at:", problems)


def _answerer(
    model: Path, *, masks: Path | None, min_score: float | None, tiles: Tiles | None
) -> Callable[[Path], Answer]:
    """Return what answers for a file, by the model's task."""
    predictor = open_predictor(model)
    if predictor.task == "segmentation":
        if min_score is not None:
            raise LimbeckError("--min-score is for detectors; the model gives every pixel a class.")
        if predictor.maps:
            names = ", ".join(predictor.maps)
            raise LimbeckError(
                f"The model reads {names} beside the image, which image files do not hold.",
                hint="measure it with `limbeck eval`, or give the maps to limbeck.Segmenter in Python",
            )
        return lambda file: Classes(predictor.segment(file, tiles=tiles))
    if masks is not None or tiles is not None:
        raise LimbeckError("--masks and --tile-overlap are for segmenters; the model finds boxes.")
    least = MIN_SCORE if min_score is None else min_score
    return lambda file: _boxes(predictor.detect(file), least)


def _boxes(found: Detections, min_score: float) -> Boxes:
    rows = zip(found.boxes_xyxy.tolist(), found.scores.tolist(), found.labels.tolist(), found.names, strict=True)
    return Boxes(
        [
            {"box_xyxy": [round(side, 2) for side in box], "score": round(score, 5), "label": label, "name": name}
            for box, score, label, name in rows
            if score >= min_score
        ]
    )


def _drawing_names(files: list[Path]) -> list[str]:
    """Name the drawings after their images; those of the same name in several folders are numbered."""
    seen: Counter[str] = Counter()
    drawings = []
    for file in files:
        seen[file.stem] += 1
        drawings.append(f"{file.stem}.png" if seen[file.stem] == 1 else f"{file.stem}-{seen[file.stem]}.png")
    return drawings
