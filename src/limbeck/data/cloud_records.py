"""What a reader of point clouds returns: for each frame where its points are, and its boxes; no point is read yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.point_files.point_format import PointFormat

UNKNOWN_COUNT = -1
"""Stands in `CloudRecord.num_points` where the points in a box were not counted."""


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """An earlier sweep that is added to a frame.

    Attributes:
        path: Its file.
        to_frame: (4,4) float64, from the LiDAR at the time of the sweep to the LiDAR at the time of the frame.
        seconds: How long before the frame it was measured.
    """

    path: Path
    to_frame: NDArray[np.float64]
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class CloudRecord:
    """A point cloud with its boxes, in the frame of the LiDAR; the boxes are coded as in `core.samples.Boxes3D`.

    Attributes:
        id: Name of the frame, unique in its part.
        path: The file of the points.
        boxes: (M,7) float32, x, y, z of the centre, length, width, height in metres, yaw in radians.
        labels: (M,) int64, index into the classes.
        ignore: (M,) bool, objects that the labels themselves say not to count.
        levels: (M,) int64, how hard an object is to find, 0 for the easiest, by the rules of the format (KITTI's easy,
            moderate and hard; Waymo's levels 1 and 2); 0 where a format has none.
        num_points: (M,) int64, points inside each box; `UNKNOWN_COUNT` where the labels do not say.
        velocities: (M,2) float32, metres per second along x and y, NaN where not known; None where there is none.
        sweeps: Earlier sweeps that belong to the cloud.
        row: Place of the frame in a file of many; None where a file is one frame.
    """

    id: str
    path: Path
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignore: NDArray[np.bool_]
    levels: NDArray[np.int64]
    num_points: NDArray[np.int64]
    velocities: NDArray[np.float32] | None = None
    sweeps: tuple[Sweep, ...] = ()
    row: int | None = None


@dataclass(frozen=True, slots=True)
class CloudData:
    """One part of a data set that was read and found sound.

    Attributes:
        records: One per frame, in the order of the data set.
        classes: Class names; a label is an index into them.
        skipped: One sentence for each frame that was left out.
        form: What its points consist of.
    """

    records: tuple[CloudRecord, ...]
    classes: tuple[str, ...]
    skipped: tuple[str, ...]
    form: PointFormat


def no_boxes() -> dict[str, Any]:
    """Return the arrays of a frame without an object, by the names they have in a `CloudRecord`."""
    return {
        "boxes": np.zeros((0, 7), np.float32),
        "labels": np.zeros(0, np.int64),
        "ignore": np.zeros(0, np.bool_),
        "levels": np.zeros(0, np.int64),
        "num_points": np.zeros(0, np.int64),
    }
