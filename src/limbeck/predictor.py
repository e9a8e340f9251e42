"""Answers for image files, by a weight file (PyTorch) or by a bundle (ONNX Runtime, no torch)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from limbeck.deploy.runtime.class_map import Tiles
from limbeck.deploy.runtime.detector import Detector
from limbeck.deploy.runtime.manifest import read_manifest
from limbeck.deploy.runtime.segmenter import Segmenter
from limbeck.errors import CheckpointError, DataError, IncompatibleError
from limbeck.imaging import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from limbeck.config import RunConfig
    from limbeck.core.outputs import Detections2D, Segmentation
    from limbeck.core.samples import Frame
    from limbeck.data.config import PartName
    from limbeck.tasks.base import AnyTask, Tally
    from limbeck.torch_predictor import TorchDetector, TorchSegmenter


Predictor: TypeAlias = "Detector | Segmenter | TorchDetector | TorchSegmenter"
"""Answers for image files; its ``task`` says whether it can ``detect`` or ``segment``."""


def open_predictor(path: Path, *, exact: bool = False) -> Predictor:
    """Open a bundle folder or a weight file.

    Args:
        path: The folder or file.
        exact: Compute in float32 even where the hardware is faster in bfloat16; a bundle always does.

    Raises:
        BundleError: The folder is no sound bundle.
        CheckpointError: The file is no sound weight file.
    """
    if is_bundle(path):
        return Segmenter(path) if read_manifest(path).task == "segmentation" else Detector(path)
    from limbeck.torch_predictor import open_weights

    return open_weights(path, "fp32" if exact else "auto")


def is_bundle(path: Path) -> bool:
    """Return whether a model is a bundle folder; else it is a weight file.

    Raises:
        CheckpointError: It is neither.
    """
    if not path.is_dir() and path.suffix != ".safetensors":
        raise CheckpointError(f"{path} is neither a bundle folder nor a .safetensors file.")
    return path.is_dir()


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


def evaluate_file(path: Path, config: RunConfig, tiles: Tiles | None = None) -> dict[PartName, Tally[Any]]:
    """Measure a bundle or a weight file on the validation images of a run's data, and on its test images if it has any.

    Args:
        path: The bundle folder or the weight file.
        config: The run.
        tiles: Look at large images in tiles (segmentation).

    Raises:
        DataError: The data is broken, or the model knows classes that the data does not have.
        IncompatibleError: The model is for another task.
    """
    from limbeck.tasks.load import load_task

    val, predictor = load_task(config), open_predictor(path, exact=True)
    parts: dict[PartName, AnyTask | None] = {"val": val, "test": val.on_test}
    found: dict[PartName, Tally[Any]] = {}
    for part, task in parts.items():
        if task is not None:
            found[part] = tally = task.tally(thorough=True)
            for frame in task.frames["val"]:
                tally.add([_answer(predictor, task, frame, tiles)], [frame])
    return found


def _answer(predictor: Predictor, task: AnyTask, frame: Frame, tiles: Tiles | None) -> Detections2D | Segmentation:
    """Return the answer for one image in the classes of the data."""
    from limbeck.tasks.segmentation import SegmentationTask
    from limbeck.torch_predictor import as_boxes, as_segmentation

    if predictor.task == "segmentation":
        if isinstance(task, SegmentationTask):
            maps = task.read_maps(frame, predictor.maps)
            return as_segmentation(predictor.segment(frame.path, maps, tiles), task.classes)
    elif not isinstance(task, SegmentationTask):
        return as_boxes(predictor.detect(frame.path), task.classes)
    raise IncompatibleError(f"The model is for the task {predictor.task}, and the run file for another one.")
