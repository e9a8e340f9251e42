"""nuScenes: keyframes of the LiDAR, boxes brought from the world to its frame, earlier sweeps and velocities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from limbeck.data.cloud_config import CloudPartConfig
from limbeck.data.cloud_labels import CloudLabels
from limbeck.data.cloud_records import Sweep
from limbeck.data.nuscenes_tables import CHANNEL, Annotation, Scan, Tables, read_tables, rotations

CLASS_MAP: Mapping[str, tuple[str, ...]] = {
    "car": ("vehicle.car",),
    "truck": ("vehicle.truck",),
    "bus": ("vehicle.bus.bendy", "vehicle.bus.rigid"),
    "trailer": ("vehicle.trailer",),
    "construction_vehicle": ("vehicle.construction",),
    "pedestrian": (
        "human.pedestrian.adult",
        "human.pedestrian.child",
        "human.pedestrian.construction_worker",
        "human.pedestrian.police_officer",
    ),
    "motorcycle": ("vehicle.motorcycle",),
    "bicycle": ("vehicle.bicycle",),
    "traffic_cone": ("movable_object.trafficcone",),
    "barrier": ("movable_object.barrier",),
}
"""The ten classes of the detection benchmark, in its order, and the categories that each of them has."""
MAX_SECONDS = 1.5
"""A velocity is measured between annotations that follow each other within this time, as in the devkit."""
_SECONDS = 1e-6
"""Timestamps are in microseconds."""


def read_nuscenes_labels(split: CloudPartConfig, sweeps: int) -> CloudLabels:
    """Return what the tables say about the keyframes of a part.

    Args:
        split: Where the files are.
        sweeps: How many sweeps make a cloud.

    Raises:
        DataError: A table cannot be read or does not fit the others, or the list names no scene.
    """
    folder = split.labels or split.clouds
    tables = read_tables(folder, split.list, with_sweeps=sweeps > 1)
    key_frames, by_sample = tables.key_frames, tables.annotations_by_sample()
    labels = CloudLabels()
    for sample in tables.times:
        if sample not in key_frames:
            labels.broken.append(f"{folder / 'sample_data.json'}: the sample '{sample}' has no keyframe of {CHANNEL}")
            continue
        scan, found = key_frames[sample], by_sample.get(sample, [])
        to_lidar = np.asarray(np.linalg.inv(tables.to_world(scan)), np.float64)
        places = [f"{folder / 'sample_annotation.json'}: the annotation '{annotation.token}'" for annotation in found]
        labels.add(
            sample,
            split.clouds / scan.filename,
            [tables.categories[annotation.instance_token] for annotation in found],
            to_boxes(found, to_lidar),
            place=places.__getitem__,
            num_points=[annotation.num_lidar_pts for annotation in found],
            velocities=[velocity(annotation, tables, to_lidar) for annotation in found],
            sweeps=tuple(_sweeps(split, tables, scan, to_lidar, sweeps - 1)),
        )
    return labels


def to_boxes(annotations: Sequence[Annotation], to_lidar: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the boxes (M,7) of annotations in the frame of the LiDAR; see `CloudRecord`.

    Args:
        annotations: M boxes in the world.
        to_lidar: (4,4), from the world to the LiDAR.
    """
    if not annotations:
        return np.zeros((0, 7))
    width, length, height = np.array([annotation.size for annotation in annotations], np.float64).T
    centres = np.array([annotation.translation for annotation in annotations]) @ to_lidar[:3, :3].T + to_lidar[:3, 3]
    turns = rotations(np.array([annotation.rotation for annotation in annotations], np.float64))
    headings = turns[:, :, 0] @ to_lidar[:3, :3].T
    yaws = np.arctan2(headings[:, 1], headings[:, 0])
    return np.column_stack([centres, length, width, height, yaws])


def velocity(annotation: Annotation, tables: Tables, to_lidar: NDArray[np.float64]) -> tuple[float, float]:
    """Return how fast an object moves along x and y of the LiDAR, in metres per second; NaN where it is not known.

    It is the difference between the annotations after and before this one, or between this one and the only neighbour.
    """
    before, after = tables.annotations.get(annotation.prev), tables.annotations.get(annotation.next)
    first, last = before or annotation, after or annotation
    seconds = _SECONDS * (tables.times[last.sample_token] - tables.times[first.sample_token])
    steps = (before is not None) + (after is not None)
    if not 0 < seconds <= MAX_SECONDS * steps:
        return math.nan, math.nan
    moved = to_lidar[:3, :3] @ np.subtract(last.translation, first.translation) / seconds
    return float(moved[0]), float(moved[1])


def _sweeps(
    split: CloudPartConfig, tables: Tables, key_frame: Scan, to_lidar: NDArray[np.float64], count: int
) -> Iterator[Sweep]:
    """Yield up to ``count`` scans before a keyframe, the latest first; at the start of a scene there are fewer."""
    scan = key_frame
    for _ in range(count):
        if scan.prev not in tables.scans:
            return
        scan = tables.scans[scan.prev]
        seconds = _SECONDS * (key_frame.timestamp - scan.timestamp)
        yield Sweep(split.clouds / scan.filename, to_lidar @ tables.to_world(scan), seconds)
