"""Files of points: npy, bin, ply and pcd. What a point consists of is said by the file, or by the settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import BrokenEntryError, DataError, nearest
from limbeck.point_files.pcd import read_pcd, read_pcd_header
from limbeck.point_files.ply import check_size, read_ply, read_ply_header

UNREADABLE = "These points cannot be used as they are:"
CLOUD_SUFFIXES = frozenset({".bin", ".npy", ".pcd", ".ply"})
Fields = Mapping[str, NDArray[Any]]
"""The values of the points of a cloud by name, (P,) each."""


def is_cloud(path: Path) -> bool:
    """Return whether a file holds points and nothing else, by its ending."""
    return path.suffix.lower() in CLOUD_SUFFIXES


class CloudHeader(NamedTuple):
    """What a point of a file consists of, and how many points there are."""

    columns: tuple[str, ...]
    points: int


def read_header(path: Path, columns: Sequence[str]) -> CloudHeader:
    """Return what a file holds, looking at its header and its size only.

    Args:
        path: The file.
        columns: What the points of bin and npy files consist of.

    Raises:
        DataError: It cannot be read, breaks off, has no point, or its points have another number of values.
    """
    try:
        header = _header(path, columns)
        if not header.points:
            raise BrokenEntryError("has no point in it")
    except (BrokenEntryError, OSError) as error:
        raise unreadable(path, error) from error
    return header


def read_fields(path: Path, columns: Sequence[str]) -> Fields:
    """Return the values of the points by name.

    Args:
        path: The file.
        columns: What the points of bin and npy files consist of.

    Raises:
        DataError: See `read_header`; also what is only found by decoding the points.
    """
    read_header(path, columns)
    try:
        return _fields(path, columns)
    except (BrokenEntryError, OSError, ValueError) as error:
        raise unreadable(path, error) from error


def missing_features(where: Path | str, columns: Collection[str], features: Sequence[str]) -> list[str]:
    """Return a sentence for each value of a point that is asked for and that a file does not have."""
    has = f"its points have {', '.join(columns)}"
    return [f"{where}: has no '{name}'{nearest(name, columns)}; {has}" for name in features if name not in columns]


def stack_features(
    where: Path | str, fields: Fields, features: Sequence[str], drop_invalid: bool
) -> NDArray[np.float32]:
    """Return points (P,F) with the values asked for.

    Args:
        where: The file, for sentences.
        fields: What it holds.
        features: The values asked for, in this order.
        drop_invalid: Leave out points with a value that is not finite; else they are an error.

    Raises:
        DataError: A value is missing, is not finite, or no point is left.
    """
    if problems := missing_features(where, fields, features):
        raise DataError(UNREADABLE, problems)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is found below
        points = np.stack([fields[name] for name in features], axis=1, dtype=np.float32, casting="unsafe")
    finite = np.isfinite(points).all(axis=1)
    count = int((~finite).sum())
    if not count:
        return points
    what = f"{where}: {count} of its {len(points)} points are not finite numbers"
    if not drop_invalid:
        raise DataError(UNREADABLE, [f"{what}; drop_invalid leaves such points out"])
    if count == len(points):
        raise DataError(UNREADABLE, [what])
    return np.ascontiguousarray(points[finite])


def _header(path: Path, columns: Sequence[str]) -> CloudHeader:
    suffix = path.suffix.lower()
    if suffix == ".bin":
        return CloudHeader(tuple(columns), _bin_points(path.stat().st_size, columns))
    if suffix == ".npy":
        return CloudHeader(tuple(columns), _npy_points(path, columns))
    if suffix == ".ply":
        ply = read_ply_header(path)
        return CloudHeader(ply.row.names or (), ply.points)
    if suffix == ".pcd":
        pcd = read_pcd_header(path)
        return CloudHeader(tuple(pcd.columns), pcd.points)
    raise BrokenEntryError(f"not a file of points; they end in {', '.join(sorted(CLOUD_SUFFIXES))}")


def _fields(path: Path, columns: Sequence[str]) -> Fields:
    suffix = path.suffix.lower()
    if suffix == ".ply":
        return read_ply(path)
    if suffix == ".pcd":
        return read_pcd(path)
    table = np.load(path, allow_pickle=False) if suffix == ".npy" else np.fromfile(path, "<f4")
    return dict(zip(columns, table.reshape(-1, len(columns)).T, strict=True))


def _bin_points(size: int, columns: Sequence[str]) -> int:
    points, rest = divmod(size, 4 * len(columns))
    if rest:
        fits = [str(count) for count in range(3, 9) if size % (4 * count) == 0]
        hint = f"; with {' or '.join(fits)} values they would be" if fits else ""
        names = f"{len(columns)} values each ({', '.join(columns)})"
        raise BrokenEntryError(f"has {size} bytes, which are no whole number of points with {names}{hint}")
    return points


def _npy_points(path: Path, columns: Sequence[str]) -> int:
    with path.open("rb") as file:
        shape, dtype = npy_shape(file)
        start = file.tell()
    if len(shape) != 2:
        raise BrokenEntryError(f"has the shape {shape}; a cloud has points and values, (P,F)")
    if dtype.kind != "f":
        raise BrokenEntryError(f"holds {dtype}, and not floats")
    if shape[1] != len(columns):
        names = f"columns names {len(columns)}: {', '.join(columns)}"
        raise BrokenEntryError(f"has {shape[1]} values for each point, but {names}")
    check_size(path, start, dtype.itemsize * shape[1], shape[0])
    return shape[0]


def npy_shape(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of the array of an npy file that is open; the file stands at its numbers then.

    Raises:
        BrokenEntryError: It is no npy file.
    """
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    except ValueError as error:
        raise BrokenEntryError("not an npy file") from error
    return shape, dtype


def unreadable(where: Path | str, error: Exception) -> DataError:
    """Return the error for a file that cannot be read."""
    reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
    return DataError(UNREADABLE, [f"{where}: {reason}"])
