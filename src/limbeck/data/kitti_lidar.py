"""KITTI's object benchmark: velodyne, label_2 and calib; and labels written likewise in the frame of the LiDAR."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.data.checks import TITLE, read_text
from limbeck.data.cloud_config import CloudPartConfig
from limbeck.data.cloud_folder import find_clouds, find_labels
from limbeck.data.cloud_labels import CloudLabels
from limbeck.errors import BrokenEntryError, DataError
from limbeck.point_files.reading import CLOUD_SUFFIXES

CLASSES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc")
"""The classes in the benchmark's order."""
NEIGHBOURS = {"Van": "Car", "Person_sitting": "Pedestrian"}
"""Names that the benchmark takes for neither a hit nor a false alarm of the class beside them."""
NO_OBJECT = "DontCare"
"""Regions of the image in which nothing is labelled; they have no box in space."""
UNSET = ((-1.0, -1.0, -1.0), (0.0, 0.0, 0.0))
"""Height, width and length of an object that is labelled in the image only: KITTI's mark, and that of other tools."""
MIN_HEIGHT, MAX_OCCLUSION, MAX_TRUNCATION = (40, 25, 25), (0, 1, 2), (0.15, 0.30, 0.50)
"""Limits of easy, moderate and hard objects: pixels of height in the image, occlusion level, share outside of it."""
_COLUMNS = 15
_ROTATION, _TO_CAMERA = "R0_rect", "Tr_velo_to_cam"


class _Label(NamedTuple):
    """A line of a label file: its name, the numbers of its columns from 1 on, and which line it is."""

    name: str
    numbers: tuple[float, ...]
    line: int

    @property
    def is_in_space(self) -> bool:
        """Whether the label has a box in space."""
        return self.numbers[7:10] not in UNSET

    @property
    def level(self) -> int:
        """0 easy, 1 moderate, 2 hard, 3 for harder; 0 where the label has no box in an image."""
        truncation, occlusion, _, left, top, right, bottom = self.numbers[:7]
        if left == top == right == bottom == 0:
            return 0
        limits = zip(MIN_HEIGHT, MAX_OCCLUSION, MAX_TRUNCATION, strict=True)
        within = [
            bottom - top >= height and occlusion <= occluded and truncation <= cut for height, occluded, cut in limits
        ]
        return within.index(True) if True in within else len(within)


def read_kitti_labels(split: CloudPartConfig, frame: Literal["camera", "lidar"]) -> CloudLabels:
    """Return what the label files of a part say.

    Args:
        split: Where the files are.
        frame: The frame that the labels are in, see `CloudDataConfig.label_frame`.

    Raises:
        DataError: There is no cloud, or the list cannot be read.
    """
    labels = CloudLabels()
    clouds = find_clouds(split, CLOUD_SUFFIXES, labels.broken)
    folder, in_image_only = split.labels or split.clouds, 0
    for stem, file in find_labels(split, clouds, folder, ".txt", labels.broken).items():
        try:
            lines = _read_lines(file, labels.broken)
            found = [label for label in lines if label.is_in_space]
            in_image_only += len(lines) - len(found)
            if frame == "lidar":
                boxes = [lidar_box(label.numbers) for label in found]
            else:
                to_lidar = read_calibration((split.calib or split.clouds) / f"{stem}.txt")
                boxes = [camera_box(label.numbers, to_lidar) for label in found]
        except DataError as error:
            labels.broken += error.problems
            continue
        places = [f"{file}: line {label.line}" for label in found]
        levels = [label.level for label in found]
        labels.add(stem, clouds[stem], [label.name for label in found], boxes, place=places.__getitem__, levels=levels)
    if in_image_only:
        labels.left_out.append(f"{folder}: objects that have a box in the image only are left out: {in_image_only}")
    return labels


def lidar_box(numbers: tuple[float, ...]) -> list[float]:
    """Return the box of a label in the frame of the LiDAR.

    Args:
        numbers: The columns of the label from 1 on; those from 8 on are height, width, length, x, y and z of the
            centre, and the yaw.
    """
    height, width, length, x, y, z, yaw = numbers[7:14]
    return [x, y, z, length, width, height, yaw]


def camera_box(numbers: tuple[float, ...], to_lidar: NDArray[np.float64]) -> list[float]:
    """Return the box of a label in the frame of the camera, whose y is down, as one in the frame of the LiDAR.

    The centre is exact. The heading is turned exactly too; that the box may lean in the other frame is left out, as a
    box has no number for it.

    Args:
        numbers: The columns of the label from 1 on; those from 8 on are height, width, length, x, y and z of the
            middle of the bottom, and the angle about y of the heading from x.
        to_lidar: (4,4), see `read_calibration`.
    """
    height, width, length, x, y, z, angle = numbers[7:14]
    centre = to_lidar @ [x, y - height / 2, z, 1]
    heading = to_lidar[:3, :3] @ [np.cos(angle), 0, -np.sin(angle)]
    return [*centre[:3].tolist(), length, width, height, float(np.arctan2(heading[1], heading[0]))]


def read_calibration(path: Path) -> NDArray[np.float64]:
    """Return the matrix (4,4) from the frame of the rectified camera to that of the LiDAR.

    Raises:
        DataError: The file cannot be read, or lacks one of the matrices.
    """
    found: dict[str, list[str]] = {}
    for line in read_text(path).splitlines():
        name, _, numbers = line.partition(":")
        found[name.strip()] = numbers.split()
    rectify, to_camera = np.eye(4), np.eye(4)
    try:
        rectify[:3, :3] = _matrix(found, _ROTATION, (3, 3))
        to_camera[:3] = _matrix(found, _TO_CAMERA, (3, 4))
        return np.asarray(np.linalg.inv(rectify @ to_camera), np.float64)
    except BrokenEntryError as error:
        raise DataError(TITLE, [f"{path}: {error}"]) from error
    except np.linalg.LinAlgError as error:
        raise DataError(TITLE, [f"{path}: {_ROTATION} and {_TO_CAMERA} are no rotations"]) from error


def _matrix(found: dict[str, list[str]], name: str, shape: tuple[int, int]) -> NDArray[np.float64]:
    if name not in found:
        raise BrokenEntryError(f"has no line '{name}:'")
    try:
        matrix = np.array(found[name], np.float64).reshape(shape)
    except ValueError:
        matrix = np.full(shape, np.nan)
    if not np.isfinite(matrix).all():
        raise BrokenEntryError(f"has a line '{name}:' that is not {shape[0] * shape[1]} numbers")
    return matrix


def _read_lines(file: Path, broken: list[str]) -> list[_Label]:
    """Return the objects of a label file; ``broken`` gets a sentence if there are lines that are none."""
    found: list[_Label] = []
    wrong: list[tuple[int, str]] = []
    for line, text in enumerate(read_text(file).splitlines(), start=1):
        words = text.split()
        if not words or words[0] == NO_OBJECT:
            continue
        try:
            numbers = tuple(map(float, words[1:]))
        except ValueError:
            numbers = ()
        if len(numbers) < _COLUMNS - 1:
            wrong.append((line, text))
        else:
            found.append(_Label(words[0], numbers, line))
    if wrong:
        line, text = wrong[0]
        they = f"line {line} is" if len(wrong) == 1 else f"{len(wrong)} lines, the first line {line}, are"
        broken.append(f"{file}: {they} not a name and {_COLUMNS - 1} numbers: '{text:.60}'")
    return found
