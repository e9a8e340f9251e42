"""Answers for image files, by a weight file (PyTorch) or by a bundle (ONNX Runtime, no torch)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from limbeck.deploy.runtime.detector import Detections, Detector
from limbeck.errors import CheckpointError, DataError
from limbeck.imaging import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from limbeck.data.config import DataConfig, PartName
    from limbeck.metrics.coco import BoxMetrics, CocoResult
    from limbeck.metrics.fault_rates import ImageScores
    from limbeck.tasks import Detection2DTask


class Predictor(Protocol):
    """Finds objects in image files."""

    def detect(self, image: Path) -> Detections:
        """Return the detections of one image, boxes in its own pixels."""


def open_predictor(path: Path, *, exact: bool = False) -> Predictor:
    """Open a bundle folder or a weight file.

    Args:
        path: The folder or file.
        exact: Compute in float32 even where the hardware is faster in bfloat16; a bundle always does.

    Raises:
        BundleError: The folder is no sound bundle.
        CheckpointError: The file is no sound weight file.
    """
    if path.is_dir():
        return Detector(path)
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path} is neither a bundle folder nor a .safetensors file.")
    from limbeck.torch_predictor import TorchPredictor

    return TorchPredictor.load(path, "fp32" if exact else "auto")


def images_in(paths: Sequence[Path]) -> list[Path]:
    """Return the image files given and those in the folders given, sorted within each folder.

    Raises:
        DataError: A path does not exist, or there is no image.
    """
    missing = [f"{path}: no such file or folder" for path in paths if not path.exists()]
    if missing:
        raise DataError("These images cannot be read:", missing)
    found = [image for path in paths for image in _images_of(path)]
    if not found:
        raise DataError("There is no image to look at:", [f"{path}: holds no image" for path in paths])
    return found


def _images_of(path: Path) -> Iterable[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)


def evaluate_file(path: Path, data: DataConfig) -> dict[PartName, tuple[BoxMetrics, ImageScores]]:
    """Measure a bundle or a weight file on the validation images of a data set, and on its test images if it has any.

    Returns:
        The box metrics and what the image-level rates are made of, for each of the two parts.

    Raises:
        DataError: The data is broken, or the model finds classes that the data does not have.
    """
    from limbeck.metrics.fault_rates import image_scores
    from limbeck.tasks import Detection2DTask

    val, predictor = Detection2DTask.load(data), open_predictor(path, exact=True)
    parts: dict[PartName, Detection2DTask | None] = {"val": val, "test": val.on_test}
    found: dict[PartName, tuple[BoxMetrics, ImageScores]] = {}
    for part, task in parts.items():
        if task is not None:
            results = _results(predictor, task)
            found[part] = (task.evaluate(results), image_scores(task.truth, results))
    return found


def _results(predictor: Predictor, task: Detection2DTask) -> list[CocoResult]:
    """Return the detections on the validation part of a task in the COCO result format."""
    ids = dict(zip(task.classes, task.val.category_ids, strict=True))
    results: list[CocoResult] = []
    for record in task.val.records:
        found = predictor.detect(record.path)
        unknown = sorted(set(found.names) - set(ids))
        if unknown:
            raise DataError("The model does not fit the data:", [f"the data has no class '{name}'" for name in unknown])
        for (x1, y1, x2, y2), score, name in zip(
            found.boxes_xyxy.tolist(), found.scores.tolist(), found.names, strict=True
        ):
            box = [x1, y1, x2 - x1, y2 - y1]
            results.append({"image_id": record.id, "category_id": ids[name], "bbox": box, "score": score})
    return results
