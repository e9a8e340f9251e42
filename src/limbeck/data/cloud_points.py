"""The points of a frame: those of its file and of earlier sweeps, and how many of them lie in each of its boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.data.cloud_records import CloudData, CloudRecord
from limbeck.data.frame_files import read_frame_fields
from limbeck.point_files.point_format import TIME
from limbeck.point_files.reading import is_cloud, read_fields, stack_features


def read_points(record: CloudRecord, data: CloudData) -> NDArray[np.float32]:
    """Return the points (P,F) of a frame: those of its own file first, then those of its sweeps, the latest first.

    Args:
        record: The frame.
        data: The part that it belongs to, which says the values of a point.

    Raises:
        DataError: A file cannot be read.
    """
    settings = (data.form.columns, data.form.features, data.form.drop_invalid)
    scans = [read_scan(record.path, *settings, row=record.row)]
    for sweep in record.sweeps:
        points = read_scan(sweep.path, *settings, seconds=sweep.seconds)
        points[:, :3] = points[:, :3] @ sweep.to_frame[:3, :3].T + sweep.to_frame[:3, 3]
        scans.append(points)
    return scans[0] if len(scans) == 1 else np.concatenate(scans)


def read_scan(
    path: Path,
    columns: Sequence[str],
    features: Sequence[str],
    drop_invalid: bool,
    *,
    row: int | None = None,
    seconds: float = 0.0,
) -> NDArray[np.float32]:
    """Return the points (P,F) of one file.

    Args:
        path: The file.
        columns: What its points consist of, where it does not say that itself.
        features: The values asked for.
        drop_invalid: See `stack_features`.
        row: Place of the frame in a file of many.
        seconds: The value `TIME` of all points, where the file has none.

    Raises:
        DataError: It cannot be read, or a value is missing.
    """
    fields = read_fields(path, columns) if is_cloud(path) else read_frame_fields(path, columns, row)
    if TIME in features and TIME not in fields:
        fields = {**fields, TIME: np.full(len(fields["x"]), seconds)}
    return stack_features(path if row is None else f"{path}: row {row}", fields, features, drop_invalid)


def count_points(points: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return how many points lie in each box, (M,); the faces belong to the box.

    It gives what `limbeck.ops.boxes3d.points_in_boxes` gives, but looks at the points near a box only.

    Args:
        points: (P,3 or more): x, y, z first.
        boxes: (M,7), see `CloudRecord`.
    """
    order = np.argsort(np.ascontiguousarray(points[:, 0]))  # much faster than where the x lie apart
    ordered = np.take(points, order, axis=0)[:, :3]
    reach = np.hypot(boxes[:, 3], boxes[:, 4]) / 2 * 1.001
    first = np.searchsorted(ordered[:, 0], boxes[:, 0] - reach, side="left")
    last = np.searchsorted(ordered[:, 0], boxes[:, 0] + reach, side="right")
    near = zip(boxes, first.tolist(), last.tolist(), strict=True)
    return np.array([np.count_nonzero(inside(ordered[start:end], box)) for box, start, end in near], np.int64)


def inside(points: NDArray[np.float32], box: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return whether points (P,3 or more) lie in a box (7,), (P,) bool; the faces belong to the box."""
    x, y, z = (points[:, :3] - box[:3]).T
    cos, sin = np.cos(box[6]), np.sin(box[6])
    length, width, height = box[3:6] / 2
    found: NDArray[np.bool_] = (
        (np.abs(cos * x + sin * y) <= length) & (np.abs(cos * y - sin * x) <= width) & (np.abs(z) <= height)
    )
    return found
