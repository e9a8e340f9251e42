"""Answers for files, by a weight file (PyTorch) or by a bundle (ONNX Runtime, no torch)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from limbeck.deploy.runtime.class_map import Tiles
from limbeck.deploy.runtime.detector import Detector
from limbeck.deploy.runtime.lidar_detector import LidarDetector
from limbeck.deploy.runtime.manifest import RuntimeTask, read_manifest
from limbeck.deploy.runtime.segmenter import Segmenter
from limbeck.errors import CheckpointError, DataError, IncompatibleError
from limbeck.imaging import IMAGE_SUFFIXES
from limbeck.point_files.reading import CLOUD_SUFFIXES

if TYPE_CHECKING:
    from limbeck.config import RunConfig
    from limbeck.data.config import PartName
    from limbeck.tasks.base import AnyTask, Tally
    from limbeck.torch_predictor import TorchDetector, TorchLidarDetector, TorchSegmenter


Predictor: TypeAlias = "Detector | Segmenter | LidarDetector | TorchDetector | TorchSegmenter | TorchLidarDetector"
"""Answers for files; its ``task`` says what it can do: ``detect`` in images, ``segment``, or ``detect`` in clouds."""
_RUNTIMES: Mapping[RuntimeTask, type[Detector | Segmenter | LidarDetector]] = {
    runtime.task: runtime for runtime in (Detector, Segmenter, LidarDetector)
}


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
        return _RUNTIMES[read_manifest(path).task](path)
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


@dataclass(frozen=True, slots=True)
class FileKind:
    """Files that a model may read, by their endings in lower case."""

    name: str
    suffixes: frozenset[str]


IMAGES, CLOUDS = FileKind("image", IMAGE_SUFFIXES), FileKind("point cloud", CLOUD_SUFFIXES)
KINDS: Mapping[RuntimeTask, FileKind] = {"detection2d": IMAGES, "segmentation": IMAGES, "detection3d": CLOUDS}


def files_in(paths: Sequence[Path], task: RuntimeTask) -> list[Path]:
    """Return the files given and those in the folders given that a model of a task reads, sorted within each folder.

    Raises:
        DataError: A path does not exist, a file is of the other kind, or there is nothing to look at.
    """
    kind = KINDS[task]
    other = CLOUDS if kind is IMAGES else IMAGES
    problems = [f"{path}: no such file or folder" for path in paths if not path.exists()]
    problems += [
        f"{path}: is {_a(other.name)}, and the model reads {kind.name}s"
        for path in paths
        if path.is_file() and path.suffix.lower() in other.suffixes
    ]
    if problems:
        raise DataError(f"These {kind.name}s cannot be read:", problems)
    found = [file for path in paths for file in _files_of(path, kind)]
    if not found:
        raise DataError(f"There is no {kind.name} to look at:", [f"{path}: holds no {kind.name}" for path in paths])
    return found


def _files_of(path: Path, kind: FileKind) -> Iterable[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix.lower() in kind.suffixes)


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def evaluate_file(path: Path, config: RunConfig, tiles: Tiles | None = None) -> dict[PartName, Tally[Any]]:
    """Measure a bundle or a weight file on the validation part of a run's data, and on its test part if it has any.

    Args:
        path: The bundle folder or the weight file.
        config: The run.
        tiles: Look at large images in tiles (segmentation).

    Raises:
        DataError: The data is broken, or the model knows classes that the data does not have.
        IncompatibleError: The model is for another task.
    """
    from limbeck.tasks.load import load_task
    from limbeck.torch_predictor import answer_frame

    val, predictor = load_task(config), open_predictor(path, exact=True)
    if predictor.task != config.task:
        raise IncompatibleError(f"The model is for the task {predictor.task}, and the run file for {config.task}.")
    parts: dict[PartName, AnyTask | None] = {"val": val, "test": val.on_test}
    found: dict[PartName, Tally[Any]] = {}
    for part, task in parts.items():
        if task is not None:
            found[part] = tally = task.tally(thorough=True)
            for frame in task.frames["val"]:
                tally.add([answer_frame(predictor, task, frame, tiles)], [frame])
    return found
