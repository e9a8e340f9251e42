"""Reading the run folder of a segmentation run. Label maps stay on the disk until one is shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limbeck.errors import RunFolderError
from limbeck.imaging import IMAGE_ERRORS, unreadable_reason
from limbeck.report.collect import (
    Bundle,
    Evaluation,
    ModelRun,
    Parity,
    PartScores,
    Run,
    read,
    read_log,
    read_run,
)
from limbeck.tasks.segmentation import PREDICTIONS


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """A validation image; ``file_name`` is relative to the folder of the validation images."""

    id: int | str
    file_name: str
    size_wh: tuple[int, int]


@dataclass(frozen=True, slots=True)
class SegmentationTruth:
    """What should be found in the validation images.

    Attributes:
        classes: Class names; label k is class k.
        ignored_label: The label of pixels that do not count.
        images: All images, in the order of the label maps.
    """

    classes: list[str]
    ignored_label: int
    images: list[LabelledImage]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationEvaluation(Evaluation):
    """What is known of one trained segmenter.

    Attributes:
        confusion: (K,K) pixels of the validation images by true class (row) and predicted class.
        image_IoU: mIoU of every validation image over the classes in it; None where no pixel counts.
        test: The same on the test images; None without a test part.
    """

    confusion: list[list[int]]
    image_IoU: list[float | None]  # noqa: N815 - the key in the file
    test: PartScores | None = None

    def summary(self) -> dict[str, Any]:
        """Return what is known as plain values, without the confusion matrix and the single images."""
        return {key: value for key, value in asdict(self).items() if key not in ("confusion", "image_IoU")}


@dataclass(frozen=True, slots=True)
class SegmentationModel(ModelRun):
    """One segmenter; its label maps lie in the folder ``predictions``."""

    evaluation: SegmentationEvaluation
    predictions: Path


@dataclass(frozen=True, slots=True)
class Agreement:
    """How closely the two engines agree.

    Attributes:
        pixels: Pixels compared.
        differing: Those with another class.
        clearly_differing: Those of them whose classes were not next to equally likely.
        confidence_difference: The largest difference of the probability of a class.
    """

    pixels: int
    differing: int
    clearly_differing: int
    confidence_difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationParity(Parity):
    """Whether the exported segmenter answers like the trained one.

    Attributes:
        canvas: Agreement on equal pixels of the network's input.
        files: Agreement from the image file to the final class map.
        miou_torch: mIoU of the trained model.
        miou_onnx: mIoU of the exported one.
    """

    canvas: Agreement
    files: Agreement
    miou_torch: float
    miou_onnx: float


@dataclass(frozen=True, slots=True)
class SegmentationBundle(Bundle):
    """The exported segmenter."""

    parity: SegmentationParity | None = None


SegmentationRun: TypeAlias = Run[SegmentationModel, SegmentationBundle, SegmentationTruth]
"""All that the report of a segmentation run shows."""


def collect(run_dir: Path) -> SegmentationRun:
    """Read a run folder but for its label maps; see `read_labels`.

    Raises:
        RunFolderError: A file is missing, cut off, or does not hold what it should.
    """
    return read_run(run_dir, read(run_dir / "truth.json", SegmentationTruth), _read_model, SegmentationBundle)


def _read_model(folder: Path, truth: SegmentationTruth) -> SegmentationModel:
    evaluation = read_evaluation(folder)
    classes, images = len(truth.classes), len(truth.images)
    if [len(row) for row in evaluation.confusion] != [classes] * classes or set(evaluation.per_class) != set(
        truth.classes
    ):
        raise RunFolderError(f"{folder / 'evaluation.json'} does not fit truth.json: it has other classes.")
    if len(evaluation.image_IoU) != images:
        raise RunFolderError(
            f"{folder / 'evaluation.json'} does not fit truth.json: it has {len(evaluation.image_IoU)} images, not "
            f"{images}."
        )
    return SegmentationModel(evaluation, read_log(folder, evaluation.role), folder / PREDICTIONS)


def read_evaluation(folder: Path) -> SegmentationEvaluation:
    """Read what is known of the segmenter in a folder.

    Raises:
        RunFolderError: The file is missing, cut off, or does not hold what it should.
    """
    return read(folder / "evaluation.json", SegmentationEvaluation)


def read_labels(folder: Path, position: int, size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """Read a label map, (H,W).

    Args:
        folder: Where the maps of the truth or of a model lie.
        position: Where the image stands in the truth.
        size_wh: Width and height that the map must have.

    Raises:
        RunFolderError: The map is missing, broken, not of 8 bits, or of another size.
    """
    path = folder / f"{position:05d}.png"
    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "P") or image.size != size_wh:
                raise RunFolderError(
                    f"{path} cannot be used: it must be an 8-bit label map of {size_wh[0]} x {size_wh[1]} pixels, and "
                    f"is of {image.size[0]} x {image.size[1]} pixels in the mode {image.mode}."
                )
            return np.array(image)
    except FileNotFoundError:
        raise RunFolderError(f"{path} is missing.") from None
    except IMAGE_ERRORS as error:
        raise RunFolderError(f"{path} cannot be used: {unreadable_reason(error)}.") from error
