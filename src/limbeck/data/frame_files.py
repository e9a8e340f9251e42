"""Files that hold the points of a frame with its boxes: npz with one frame, parquet with one in each row."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.parquet_frames import read_row
from limbeck.errors import BrokenEntryError
from limbeck.point_files.reading import CloudHeader, Fields, npy_shape, unreadable

FRAME_SUFFIXES = frozenset({".npz", ".parquet"})
POINTS, COLUMNS = "points", "columns"
"""The arrays of the points, and of what they consist of, which may be missing."""
FRAME_ERRORS = (BrokenEntryError, OSError)
"""What is raised by a broken file."""


def read_frame_header(path: Path, columns: Sequence[str]) -> CloudHeader:
    """Return what the points of an npz file consist of, and how many there are, without reading them.

    Args:
        path: The file.
        columns: What a point consists of, if the file does not say.

    Raises:
        DataError: It cannot be read, has no points, or they have another number of values.
    """
    try:
        names = column_names(read_npz(path, (COLUMNS,)), columns)
        with _damage_told(), zipfile.ZipFile(path) as archive:
            if f"{POINTS}.npy" not in archive.namelist():
                raise BrokenEntryError(f"has no array '{POINTS}'")
            with archive.open(f"{POINTS}.npy") as file:
                shape, _ = npy_shape(file)
        return CloudHeader(names, _check_shape(shape, names))
    except FRAME_ERRORS as error:
        raise unreadable(path, error) from error


def read_frame_fields(path: Path, columns: Sequence[str], row: int | None) -> Fields:
    """Return the values of the points of a frame by name.

    Args:
        path: The file.
        columns: What a point consists of, if the file does not say.
        row: The frame's row in a parquet file.

    Raises:
        DataError: It cannot be read, has no points, or they have another number of values.
    """
    try:
        wanted = (POINTS, COLUMNS)
        return frame_fields(read_npz(path, wanted) if row is None else read_row(path, row, wanted), columns)
    except FRAME_ERRORS as error:
        raise unreadable(path if row is None else f"{path}: row {row}", error) from error


def frame_fields(arrays: Mapping[str, NDArray[Any]], columns: Sequence[str]) -> Fields:
    """Return the values of the points by name.

    Args:
        arrays: ``points`` (P,F), or one row after the other; ``columns`` if there are any.
        columns: What a point consists of, if they do not say.

    Raises:
        BrokenEntryError: There are no points, or they have another number of values.
    """
    names = column_names(arrays, columns)
    if POINTS not in arrays:
        raise BrokenEntryError(f"has no array '{POINTS}'")
    points = arrays[POINTS]
    if points.ndim == 1 and points.size % len(names) == 0:
        points = points.reshape(-1, len(names))
    if points.dtype.kind not in "fiu":
        raise BrokenEntryError(f"has points of {points.dtype}, which are no numbers")
    _check_shape(points.shape, names)
    return dict(zip(names, points.T, strict=True))


def column_names(arrays: Mapping[str, NDArray[Any]], columns: Sequence[str]) -> tuple[str, ...]:
    """Return what a point consists of: what the frame says, else ``columns``.

    Raises:
        BrokenEntryError: What it says is not names.
    """
    if COLUMNS not in arrays:
        return tuple(columns)
    names = arrays[COLUMNS]
    if names.dtype.kind != "U" or names.ndim != 1 or len(set(names.tolist())) < len(names) or not len(names):
        raise BrokenEntryError(f"has an array '{COLUMNS}' that is not names, each of them once")
    return tuple(names.tolist())


def read_npz(path: Path, wanted: Collection[str]) -> dict[str, NDArray[Any]]:
    """Return arrays of an npz file, as far as there are such.

    Raises:
        BrokenEntryError: It is none, is damaged, or an array holds objects.
        OSError: It cannot be read.
    """
    with _damage_told(), path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files if name in wanted}


@contextmanager
def _damage_told() -> Iterator[None]:
    """Turn what numpy and zipfile raise on a damaged npz file into a sentence."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise BrokenEntryError("not an npz file, or one that is damaged or breaks off") from error
    except ValueError as error:
        raise BrokenEntryError("not an npz file, or one with arrays of objects, which are not read") from error


def _check_shape(shape: tuple[int, ...], names: Sequence[str]) -> int:
    """Return the number of points."""
    if len(shape) != 2 or shape[1] != len(names):
        raise BrokenEntryError(f"has points of the shape {shape}, but {len(names)} columns: {', '.join(names)}")
    if not shape[0]:
        raise BrokenEntryError("has no point in it")
    return shape[0]
