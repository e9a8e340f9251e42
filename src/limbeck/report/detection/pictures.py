"""Validation pictures on which detectors differ: truth and every model side by side, worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from limbeck.imaging import read_image
from limbeck.metrics.coco import IOU_50, CocoResult, CocoTruth, TruthImage
from limbeck.metrics.matching import match
from limbeck.report.colours import COLOURS, LABEL_INK
from limbeck.report.detection.collect import DetectionRun
from limbeck.report.gallery import PANEL_SIDE, Gallery, Panel, Picture, hang, panel_size, worst_first
from limbeck.report.tally import Tally
from limbeck.roles import Role

MIN_SCORE = 0.3
"""Detections below are neither drawn nor counted."""
LABEL_SIZE = 15
IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Mark:
    """A box to draw: left, top, right, bottom in pixels of the original image, with its label."""

    box_xyxy: tuple[float, float, float, float]
    label: str


def gallery(run: DetectionRun) -> Gallery:
    """Draw the images on which the models differ most, those first where the student falls furthest behind.

    The student is held against the teacher, or against the control where there is no teacher, by the F1 at IoU 0.5.
    """
    tallies = {role: tally(run.truth, model.predictions) for role, model in run.models.items()}
    return hang(
        worst_first({role: found.f1 for role, found in tallies.items()}),
        [image.file_name for image in run.truth.images],
        lambda position: _picture(run, tallies, position),
    )


def tally(truth: CocoTruth, predictions: Sequence[CocoResult]) -> Tally:
    """Count hits, false alarms and missed objects per image at IoU 0.5, over all classes."""
    matches = match(truth, [p for p in predictions if p["score"] >= MIN_SCORE])
    hits, false_alarms, objects = np.zeros((3, matches.num_images), dtype=np.int64)
    for found in matches.classes:
        hit, ignored = found.hit[IOU_50], found.ignored[IOU_50]
        np.add.at(hits, found.image[hit], 1)
        np.add.at(false_alarms, found.image[~hit & ~ignored], 1)
        objects += found.objects
    return Tally(hits, false_alarms, objects - hits)


def _picture(run: DetectionRun, tallies: Mapping[Role, Tally], position: int) -> Picture:
    info = run.truth.images[position]
    image = read_image(run.facts.data.val_images_dir / info.file_name)
    labels = dict(run.truth.categories) if len(run.truth.categories) > 1 else {}
    truth = _truth_marks(run.truth, info, labels)
    panels = [_panel("truth", _truth_caption(truth), info, image, truth)]
    for role, model in run.models.items():
        marks = _result_marks(model.predictions, info, labels)
        panels.append(_panel(role, tallies[role].sentence(position), info, image, marks))
    return Picture(info.file_name, tuple(panels))


def _truth_marks(truth: CocoTruth, image: TruthImage, labels: Mapping[int, str]) -> list[Mark]:
    return [
        Mark(_xyxy(box.bbox_xywh), IGNORED if box.crowd else labels.get(box.category_id, ""))
        for box in truth.boxes
        if box.image_id == image.id
    ]


def _truth_caption(marks: Sequence[Mark]) -> str:
    ignored = sum(mark.label == IGNORED for mark in marks)
    return f"{len(marks) - ignored} labelled" + (f", {ignored} ignored" if ignored else "")


def _result_marks(results: Sequence[CocoResult], image: TruthImage, labels: Mapping[int, str]) -> list[Mark]:
    return [
        Mark(_xyxy(result["bbox"]), f"{labels.get(result['category_id'], '')} {result['score']:.2f}".strip())
        for result in results
        if result["image_id"] == image.id and result["score"] >= MIN_SCORE
    ]


def _xyxy(bbox_xywh: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, width, height = bbox_xywh
    return left, top, left + width, top + height


def _panel(who: str, caption: str, info: TruthImage, image: Image.Image, marks: Sequence[Mark]) -> Panel:
    alt = f"{info.file_name} with the boxes of the {who}: {caption}."
    return Panel.of(who, caption, draw_boxes(image, marks, who), alt)


def draw_boxes(image: Image.Image, marks: Sequence[Mark], who: str) -> Image.Image:
    """Return a copy of an RGB image, at most `PANEL_SIDE` pixels wide and high, with labelled boxes drawn on it."""
    scale = min(1.0, PANEL_SIDE / max(image.size))
    panel = image.resize(panel_size(image.size))
    draw = ImageDraw.Draw(panel)
    for mark in marks:
        _draw_mark(draw, tuple(scale * side for side in mark.box_xyxy), mark.label, who)
    return panel


def _draw_mark(draw: ImageDraw.ImageDraw, box: Sequence[float], label: str, who: str) -> None:
    """Draw a box with a white rim, which shows on any ground, and its label above the box or inside it."""
    left, top, right, bottom = box
    right, bottom = max(left, right), max(top, bottom)
    draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline="white", width=5)
    draw.rectangle((left, top, right, bottom), outline=COLOURS[who], width=3)
    if label:
        _draw_label(draw, (left, top), label, who)


def _draw_label(draw: ImageDraw.ImageDraw, corner: tuple[float, float], label: str, who: str) -> None:
    """Write a label above a box's corner, moved where it would leave the picture."""
    font = ImageFont.load_default(size=LABEL_SIZE)
    left, top, right, bottom = font.getbbox(label)
    panel_width = draw.im.size[0]
    x = max(0.0, min(corner[0], panel_width - (right - left) - 4))
    y = max(0.0, corner[1] - (bottom - top) - 4)
    draw.rectangle((x, y, x + right - left + 4, y + bottom - top + 4), fill=COLOURS[who])
    draw.text((x + 2 - left, y + 2 - top), label, fill=LABEL_INK[who], font=font)
