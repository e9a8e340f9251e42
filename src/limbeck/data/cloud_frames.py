"""The format frames, for data such as Waymo's: points and boxes in one file, npz or parquet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.data.checks import TITLE
from limbeck.data.cloud_config import CloudDataConfig, CloudPartConfig
from limbeck.data.cloud_folder import find_clouds
from limbeck.data.cloud_labels import CloudLabels
from limbeck.data.cloud_points import count_points
from limbeck.data.frame_files import COLUMNS, FRAME_ERRORS, FRAME_SUFFIXES, POINTS, column_names, frame_fields, read_npz
from limbeck.data.parquet_frames import Arrays, parquet_columns, read_groups, row_values
from limbeck.errors import BrokenEntryError, DataError
from limbeck.point_files.reading import missing_features, stack_features, unreadable

COUNTS = "num_points"


class _Values(NamedTuple):
    """What an array may hold: kinds of numpy, how they are called in a sentence, the type, the shape behind M."""

    kinds: str
    what: str
    dtype: type
    tail: tuple[int, ...] = ()


LABELS: Mapping[str, _Values] = {
    "boxes": _Values("fiu", "numbers", np.float64, (7,)),
    "classes": _Values("U", "texts", np.str_),
    COUNTS: _Values("iu", "whole numbers", np.int64),
    "levels": _Values("iu", "whole numbers", np.int64),
    "velocities": _Values("fiu", "numbers", np.float64, (2,)),
    "ignore": _Values("b", "marks, true or false", np.bool_),
}
"""What a frame says about its M boxes."""
NEEDED = ("boxes", "classes")
"""What may not be missing."""


def read_frame_labels(config: CloudDataConfig, split: CloudPartConfig, verify: bool) -> CloudLabels:
    """Return what the files of a part say about their boxes.

    The points of parquet files are looked at here too: a row cannot be read without the others of its row group.

    Args:
        config: What the points consist of.
        split: Where the files are.
        verify: Read the points of parquet files even where it is known how many are in the boxes.

    Raises:
        DataError: There is no file, or the list cannot be read.
    """
    labels = CloudLabels()
    for stem, path in find_clouds(split, FRAME_SUFFIXES, labels.broken).items():
        try:
            if path.suffix.lower() == ".npz":
                _add(labels, stem, path, _labels(read_npz(path, LABELS)))
            else:
                _add_rows(labels, config, stem, path, verify)
        except FRAME_ERRORS as error:
            labels.broken += unreadable(path, error).problems
    return labels


def _add_rows(labels: CloudLabels, config: CloudDataConfig, stem: str, path: Path, verify: bool) -> None:
    with_points = verify or COUNTS not in parquet_columns(path)
    row = 0
    for table in read_groups(path, (*LABELS, COLUMNS, *([POINTS] if with_points else []))):
        for place in range(table.num_rows):
            where = f"{path}: row {row}"
            try:
                found = _row_labels(config, row_values(table, place), where, with_points)
                _add(labels, f"{stem}:{row}", path, found, row)
            except BrokenEntryError as error:
                labels.broken.append(f"{where}: {error}")
            except DataError as error:
                labels.broken += error.problems
            row += 1


def _row_labels(config: CloudDataConfig, arrays: Arrays, where: str, with_points: bool) -> Arrays:
    """Return what a row says about its boxes, with the points counted if it does not say how many there are."""
    found = _labels(arrays)
    if with_points:
        fields = frame_fields(arrays, config.point_columns)
        points = stack_features(where, fields, config.point_features, config.drop_invalid)
        found.setdefault(COUNTS, count_points(points, found["boxes"].astype(np.float32)))
    elif problems := missing_features(where, column_names(arrays, config.point_columns), config.point_features):
        raise DataError(TITLE, problems)
    if COUNTS not in found and len(found["boxes"]):
        raise BrokenEntryError(f"has no '{COUNTS}', though there is such a column")
    return found


def _add(labels: CloudLabels, id: str, path: Path, found: Arrays, row: int | None = None) -> None:
    where = f"{path}:" if row is None else f"{path}: row {row}:"
    labels.add(
        id,
        path,
        found["classes"].tolist(),
        found["boxes"],
        place=lambda number: f"{where} box {number + 1}",
        ignore=found.get("ignore"),
        levels=found.get("levels"),
        num_points=found.get(COUNTS),
        velocities=found.get("velocities"),
        row=row,
    )


def _labels(arrays: Arrays) -> Arrays:
    """Return what a frame says about its boxes.

    Raises:
        BrokenEntryError: Something is missing, of the wrong kind, or not for as many boxes as there are.
    """
    for name in NEEDED:
        if name not in arrays:
            raise BrokenEntryError(f"has no array '{name}'; a frame without objects has an empty one")
    count = len(arrays["boxes"])
    return {name: _checked(name, arrays[name], count) for name in LABELS if name in arrays}


def _checked(name: str, array: NDArray[Any], count: int) -> NDArray[Any]:
    values = LABELS[name]
    shape = (count, *values.tail)
    if array.size == 0 and count == 0:
        return np.zeros(shape, values.dtype)  # an empty list has neither a kind nor a width
    if array.shape != shape:
        raise BrokenEntryError(f"has {name} of the shape {array.shape}, but for {count} boxes it would be {shape}")
    if array.dtype.kind not in values.kinds:
        raise BrokenEntryError(f"has {name} of {array.dtype}, which are no {values.what}")
    return array.astype(values.dtype)
