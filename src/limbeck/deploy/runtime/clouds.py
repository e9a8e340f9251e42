"""What the runtime takes for a point cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import DataError
from limbeck.point_files.point_format import TIME, PointFormat
from limbeck.point_files.reading import read_fields, stack_features

CloudLike = str | Path | NDArray[np.floating[Any]]
TITLE = "A point cloud cannot be used:"


def open_cloud(cloud: CloudLike, form: PointFormat) -> NDArray[np.float32]:
    """Return the points (P,F) of a file or an array.

    Args:
        cloud: A npy, bin, ply or pcd file, or an array (P,F) of the values that the network reads.
        form: What the points consist of.

    Raises:
        DataError: It cannot be read, has other values, or has points that are not finite.
    """
    if isinstance(cloud, str | Path):
        return _read(Path(cloud), form)
    wanted = len(form.features)
    if cloud.ndim != 2 or cloud.shape[1] != wanted or cloud.dtype.kind != "f":
        names, given = ", ".join(form.features), f"{cloud.dtype} of shape {cloud.shape}"
        raise DataError(TITLE, [f"an array must be (P,{wanted}) floats ({names}), was given {given}"])
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is found below
        points = np.ascontiguousarray(cloud, np.float32)
    finite = np.isfinite(points).all(axis=1)
    if finite.all():
        return points
    if not form.drop_invalid:
        raise DataError(TITLE, [f"{int((~finite).sum())} of its {len(points)} points are not finite numbers"])
    return points[finite]


def _read(path: Path, form: PointFormat) -> NDArray[np.float32]:
    fields = read_fields(path, form.columns)
    if TIME in form.features and TIME not in fields:
        fields = {**fields, TIME: np.zeros(len(fields["x"]))}
    return stack_features(path, fields, form.features, form.drop_invalid)
