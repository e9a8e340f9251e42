"""Validation pictures on which segmenters differ: class maps and error maps of every model, worst first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from limbeck.errors import DataError
from limbeck.imaging import read_image
from limbeck.palette import NO_CLASS, class_colours, overlay
from limbeck.report.formats import metric, percent
from limbeck.report.gallery import Gallery, Panel, Picture, hang, panel_size, worst_first
from limbeck.report.segmentation.collect import SegmentationRun, read_labels
from limbeck.roles import Role
from limbeck.tasks.segmentation import TRUTH

WRONG, IGNORED = "#D0021B", NO_CLASS
"""The colours of an error map."""
FADED = 0.25
"""How much of the image an error map keeps where it marks nothing."""


@dataclass(frozen=True, slots=True)
class ClassMaps(Picture):
    """One image; the panels are the image itself, the truth, and the class map of every model.

    Attributes:
        errors: Where each model is wrong.
        legend: Name and colour of every class in a panel, and of ignored pixels where there are any.
        note: How much of it the student gets wrong alone.
    """

    errors: Mapping[Role, Panel]
    legend: tuple[tuple[str, str], ...]
    note: str

    @property
    def num_bytes(self) -> int:
        """How much the picture adds to the page."""
        return sum(len(panel.content) for panel in (*self.panels, *self.errors.values()))


@dataclass(frozen=True, slots=True)
class Scene:
    """A validation image with its labels.

    Attributes:
        file_name: Name of the image.
        pixels: (H,W,3) uint8, RGB.
        truth: (H,W) uint8, the true class of every pixel.
        counts: (H,W) bool, False for ignored pixels.
        classes: Class names.
    """

    file_name: str
    pixels: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    counts: NDArray[np.bool_]
    classes: tuple[str, ...]

    def class_map(self, who: str, caption: str, labels: NDArray[np.uint8]) -> Panel:
        """Return a panel of the classes of all pixels."""
        drawn = overlay(self.pixels, labels, len(self.classes))
        return _panel(who, caption, drawn, f"{self.file_name} with the classes of the {who}: {caption}.")

    def error_map(self, role: Role, wrong: NDArray[np.bool_]) -> Panel:
        """Return a panel of the pixels that a model gets wrong."""
        caption = f"{percent(self.share(wrong))} wrong"
        drawn = error_map(self.pixels, wrong, self.counts)
        return _panel(role, caption, drawn, f"Where the {role} is wrong in {self.file_name}: {caption}.")

    def share(self, pixels: NDArray[np.bool_]) -> float:
        """Return the share of some of the pixels among those that count."""
        return float(pixels.sum() / max(self.counts.sum(), 1))


def gallery(run: SegmentationRun) -> Gallery:
    """Draw the images on which the models differ most, those first where the student falls furthest behind.

    The student is held against the teacher, or against the control where there is no teacher, by the mIoU of the image.
    """
    return hang(
        worst_first({role: np.array(model.evaluation.image_IoU, np.float64) for role, model in run.models.items()}),
        [image.file_name for image in run.truth.images],
        lambda position: _picture(run, position),
    )


def _picture(run: SegmentationRun, position: int) -> ClassMaps:
    info = run.truth.images[position]
    image = read_image(run.facts.data.val_images_dir / info.file_name)
    if image.size != info.size_wh:
        raise DataError("An image is not the one that was labelled:", [f"{info.file_name}: its size has changed"])
    truth = read_labels(run.folder / TRUTH, position, info.size_wh)
    counts = truth != run.truth.ignored_label
    scene = Scene(info.file_name, np.asarray(image), truth, counts, tuple(run.truth.classes))
    found = {role: read_labels(model.predictions, position, info.size_wh) for role, model in run.models.items()}
    wrong = {role: (labels != truth) & counts for role, labels in found.items()}
    scores = {role: model.evaluation.image_IoU[position] or 0.0 for role, model in run.models.items()}
    return ClassMaps(
        file_name=info.file_name,
        panels=(
            _panel("image", "", scene.pixels, f"{info.file_name} as it is."),
            scene.class_map("truth", _truth_caption(scene), truth),
            *(scene.class_map(role, f"mIoU {metric(scores[role])}", labels) for role, labels in found.items()),
        ),
        errors={role: scene.error_map(role, mistaken) for role, mistaken in wrong.items()},
        legend=_legend(scene, found.values()),
        note=_alone(scene, wrong),
    )


def _truth_caption(scene: Scene) -> str:
    there = f"{len(np.unique(scene.truth[scene.counts]))} of {len(scene.classes)} classes"
    return there if scene.counts.all() else f"{there}, {percent(1 - scene.counts.mean())} ignored"


def _legend(scene: Scene, found: Iterable[NDArray[np.uint8]]) -> tuple[tuple[str, str], ...]:
    present = set(np.concatenate([np.unique(labels) for labels in (scene.truth[scene.counts], *found)]).tolist())
    named = enumerate(zip(scene.classes, class_colours(len(scene.classes)), strict=True))
    ignored = () if scene.counts.all() else (("ignored", NO_CLASS),)
    return (*(entry for label, entry in named if label in present), *ignored)


def _alone(scene: Scene, wrong: Mapping[Role, NDArray[np.bool_]]) -> str:
    judge: Role = "teacher" if "teacher" in wrong else "control"
    behind, ahead = wrong["student"] & ~wrong[judge], wrong[judge] & ~wrong["student"]
    return (
        f"On {percent(scene.share(behind))} of the labelled pixels the {judge} is right and the student wrong, on "
        f"{percent(scene.share(ahead))} it is the other way round."
    )


def error_map(pixels: NDArray[np.uint8], wrong: NDArray[np.bool_], counts: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Mark the wrong pixels of an image in red and those that do not count in grey; the others are faded, (H,W,3).

    Args:
        pixels: (H,W,3) RGB.
        wrong: (H,W) whether a pixel has the wrong class.
        counts: (H,W) whether a pixel has a true class.
    """
    lightness = pixels.mean(axis=2, keepdims=True)
    drawn = np.repeat(255 - FADED * (255 - lightness), 3, axis=2).astype(np.uint8)
    drawn[wrong] = ImageColor.getrgb(WRONG)
    drawn[~counts] = ImageColor.getrgb(IGNORED)
    return drawn


def _panel(who: str, caption: str, drawn: NDArray[np.uint8], alt: str) -> Panel:
    image = Image.fromarray(drawn)
    return Panel.of(who, caption, image.resize(panel_size(image.size)), alt)
