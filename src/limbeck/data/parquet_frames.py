"""Parquet files with a frame in each row; pyarrow, which reads them, is imported here only and may be missing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import BrokenEntryError

Arrays = dict[str, NDArray[Any]]


def parquet_columns(path: Path) -> tuple[str, ...]:
    """Return what the columns of a file are called.

    Raises:
        BrokenEntryError: It is no parquet file, or pyarrow is missing.
        OSError: It cannot be read.
    """
    return tuple(_open(path).schema_arrow.names)


def read_groups(path: Path, wanted: Collection[str]) -> Iterator[Any]:
    """Yield the row groups of a file one after the other, as tables for `row_values`.

    Args:
        path: The file.
        wanted: The columns to read, as far as there are such.

    Raises:
        BrokenEntryError: It is no parquet file, breaks off, or pyarrow is missing.
        OSError: It cannot be read.
    """
    file = _open(path)
    for group in range(file.num_row_groups):
        yield _read_group(file, group, wanted)


def read_row(path: Path, row: int, wanted: Collection[str]) -> Arrays:
    """Return the values of one row; its row group is read for it.

    Args:
        path: The file.
        row: Number of the row.
        wanted: The columns to read, as far as there are such.

    Raises:
        BrokenEntryError: As `read_groups`; also if there is no such row.
        OSError: It cannot be read.
    """
    file = _open(path)
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if row < rows:
            return row_values(_read_group(file, group, wanted), row)
        row -= rows
    raise BrokenEntryError("has no such row any more")


def row_values(table: Any, row: int) -> Arrays:
    """Return the lists of a row as arrays; a list of lists becomes a matrix. What is null is as if it were missing.

    Raises:
        BrokenEntryError: A column holds something else, or lists of different lengths.
    """
    found: Arrays = {}
    for name in table.column_names:
        value = table.column(name)[row]
        if value.is_valid:
            if not hasattr(value, "values"):
                raise BrokenEntryError(f"has in its column '{name}' a {value.type}, and not a list")
            found[name] = _array(name, value.values)
    return found


def _open(path: Path) -> Any:
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise BrokenEntryError("parquet files need pyarrow, which is missing: pip install limbeck[parquet]") from error
    try:
        return parquet.ParquetFile(path, memory_map=True)
    except ValueError as error:  # pyarrow's errors are made of it
        raise BrokenEntryError("not a parquet file, or one that breaks off") from error


def _read_group(file: Any, group: int, wanted: Collection[str]) -> Any:
    names = [name for name in file.schema_arrow.names if name in wanted]
    try:
        return file.read_row_group(group, columns=names)
    except (ValueError, OSError, NotImplementedError) as error:
        raise BrokenEntryError(f"has a row group, {group}, that cannot be decoded") from error


def _array(name: str, values: Any) -> NDArray[Any]:
    types = import_module("pyarrow").types
    if not any(is_list(values.type) for is_list in (types.is_list, types.is_large_list, types.is_fixed_size_list)):
        array: NDArray[Any] = values.to_numpy(zero_copy_only=False)
        return array.astype(np.str_) if array.dtype == object else array
    flat, count = values.flatten().to_numpy(zero_copy_only=False), len(values)
    width = len(flat) // count if count else 0
    if any(length != width for length in np.unique(values.value_lengths().to_numpy(zero_copy_only=False))):
        raise BrokenEntryError(f"has in its column '{name}' lists of different lengths")
    matrix: NDArray[Any] = flat.reshape(count, width)
    return matrix
