"""Whether boxes lie where the points are: how many points they hold as they are, and read in some other way."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from limbeck.data.cloud_points import count_points, read_points
from limbeck.data.cloud_records import CloudData, CloudRecord

MAX_CLOUDS = 200
"""So many clouds of a part are read, drawn by the seed."""
NEAR_METRES = 2.0
"""A box without a point so near to it, on every side, is far from all points."""
MORE_POINTS, ENOUGH_POINTS = 1.3, 300
"""Boxes that would hold so many times the points, and more points than this, are probably written in another way."""
Boxes = NDArray[np.float32]


def _moved(boxes: Boxes, heights: float) -> Boxes:
    """Return boxes moved up by a share of their height."""
    changed = boxes.copy()
    changed[:, 2] += heights * boxes[:, 5]
    return changed


def _changed(boxes: Boxes, *, y: float = 1.0, yaw: float = 1.0, turn: float = 0.0) -> Boxes:
    """Return boxes with y and the yaw multiplied, and turned."""
    changed = boxes.copy()
    changed[:, 1] *= y
    changed[:, 6] = changed[:, 6] * yaw + turn
    return changed


READINGS: Mapping[str, Callable[[Boxes], Boxes]] = {
    "z were the bottom of the box": partial(_moved, heights=0.5),
    "z were the top of the box": partial(_moved, heights=-0.5),
    "the yaw were clockwise": partial(_changed, yaw=-1),
    "length and width were swapped": partial(_changed, turn=math.pi / 2),
    "y and the yaw had the other sign": partial(_changed, y=-1, yaw=-1),
}
"""Other ways in which boxes may have been written, as they stand in a sentence with "if"."""


@dataclass(frozen=True, slots=True)
class CloudFit:
    """How the boxes and the points of some clouds of a part fit together.

    Attributes:
        clouds: How many clouds were read.
        sizes: Points of the smallest, the median and the largest of them, with their sweeps.
        boxes: How many boxes they have.
        far: How many of these are far from all points, see `NEAR_METRES`.
        inside: Points inside the boxes as they are.
        readings: Points inside if the boxes were written in another way, see `READINGS`.
    """

    clouds: int
    sizes: tuple[int, int, int]
    boxes: int
    far: int
    inside: int
    readings: Mapping[str, int]

    @property
    def better(self) -> dict[str, int]:
        """The readings by which the boxes would hold many more points than they do."""
        least = max(MORE_POINTS * self.inside, ENOUGH_POINTS)
        return {name: count for name, count in self.readings.items() if count > least}


def measure_fit(data: CloudData, *, seed: int = 0, max_clouds: int = MAX_CLOUDS) -> CloudFit:
    """Read some clouds of a part and count points in its boxes.

    Args:
        data: The part, with at least one frame.
        seed: Draws the clouds where there are more than ``max_clouds``.
        max_clouds: How many are read.

    Raises:
        DataError: A file cannot be read any more.
    """
    records = data.records
    if len(records) > max_clouds:
        drawn = np.random.default_rng(seed).choice(len(records), max_clouds, replace=False)
        records = tuple(records[place] for place in sorted(drawn.tolist()))
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = np.array(list(pool.map(partial(_measure, data), records)), np.int64)
    sizes, sums = np.sort(found[:, 0]), found.sum(axis=0).tolist()
    return CloudFit(
        clouds=len(records),
        sizes=(int(sizes[0]), int(np.median(sizes)), int(sizes[-1])),
        boxes=sum(len(record.boxes) for record in records),
        far=sums[1],
        inside=sums[2],
        readings=dict(zip(READINGS, sums[3:], strict=True)),
    )


def _measure(data: CloudData, record: CloudRecord) -> list[int]:
    """Return the points of a cloud, its boxes far from points, and the points inside in all ways."""
    points = read_points(record, data)
    own = read_points(replace(record, sweeps=()), data) if record.sweeps else points
    larger = record.boxes.copy()
    larger[:, 3:6] += 2 * NEAR_METRES
    far = int((count_points(own, larger) == 0).sum())
    return [len(points), far, *(int(count_points(own, boxes).sum()) for boxes in _ways(record.boxes))]


def _ways(boxes: Boxes) -> Iterator[Boxes]:
    yield boxes
    for read in READINGS.values():
        yield read(boxes)
