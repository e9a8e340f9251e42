"""Files of points in the PLY format: as text or binary of either byte order, their properties by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import BrokenEntryError

MAX_HEADER = 1 << 16
"""A header of more bytes is none."""
_TYPES = {
    **{"char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2"},
    **{"uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4"},
    **{"float": "f4", "float32": "f4", "double": "f8", "float64": "f8"},
}
_BYTE_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}


@dataclass
class _Element:
    name: str
    count: int
    properties: list[tuple[str, str]]
    has_list: bool = False


@dataclass(frozen=True)
class PlyHeader:
    """What the header of a file says.

    Attributes:
        row: Type of a vertex, with its properties by name.
        points: Number of vertices.
        is_text: Whether they are written as text.
        start: Where they begin: a byte of the file if it is binary, else a number of lines after the header.
        header_bytes: Where the header ends.
    """

    row: np.dtype[Any]
    points: int
    is_text: bool
    start: int
    header_bytes: int


def read_ply_header(path: Path) -> PlyHeader:
    """Return what a file holds, without its points.

    Raises:
        BrokenEntryError: It is no PLY file, holds no vertices that can be read, or breaks off.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        lines = header_lines(file, last="end_header")
        header_bytes = file.tell()
    if lines[0] != ["ply"]:
        raise BrokenEntryError("not a PLY file; it does not begin with 'ply'")
    encoding = next((line[1] for line in lines if line[0] == "format" and len(line) > 1), "")
    if encoding not in _BYTE_ORDERS:
        raise BrokenEntryError(f"has the format '{encoding}', which PLY files do not have")
    elements = _elements(lines, _BYTE_ORDERS[encoding])
    before, vertex = _vertex(elements)
    row = np.dtype(vertex.properties)
    is_text = encoding == "ascii"
    sizes = [element.count * (1 if is_text else np.dtype(element.properties).itemsize) for element in before]
    start = sum(sizes) + (0 if is_text else header_bytes)
    if not is_text:
        check_size(path, start, row.itemsize, vertex.count)
    return PlyHeader(row, vertex.count, is_text, start, header_bytes)


def read_ply(path: Path) -> dict[str, NDArray[Any]]:
    """Return the properties of the points by name, (P,) each.

    Raises:
        BrokenEntryError: As `read_ply_header` does, or the text is not made of numbers.
        OSError: It cannot be read.
    """
    header = read_ply_header(path)
    names = header.row.names or ()
    with path.open("rb") as file:
        if not header.is_text:
            file.seek(header.start)
            rows = np.frombuffer(file.read(header.points * header.row.itemsize), header.row)
            return {name: rows[name] for name in names}
        file.seek(header.header_bytes)
        for _ in range(header.start):
            file.readline()
        table = read_numbers(file, header.points, len(names))
    return {name: table[:, place] for place, name in enumerate(names)}


def header_lines(file: BinaryIO, last: str) -> list[list[str]]:
    """Return the words of the lines up to the one that begins with ``last``; the file stands behind it then.

    Raises:
        BrokenEntryError: There is no such line near the beginning.
    """
    lines: list[list[str]] = []
    while file.tell() < MAX_HEADER:
        line = file.readline(MAX_HEADER)
        if not line:
            break
        if words := line.decode("latin-1").split():
            lines.append(words)
            if words[0] == last:
                return lines
    raise BrokenEntryError(f"has no line '{last}', with which its header should end")


def check_size(path: Path, start: int, row_bytes: int, points: int) -> None:
    """Check that a file is as long as its points need.

    Raises:
        BrokenEntryError: It breaks off.
    """
    there = max(0, path.stat().st_size - start) // row_bytes
    if there < points:
        raise BrokenEntryError(f"breaks off: it should have {points} points and has {there}")


def read_numbers(file: BinaryIO, rows: int, columns: int) -> NDArray[np.float64]:
    """Return numbers (rows, columns) that are written as text from where the file stands.

    Raises:
        BrokenEntryError: There are fewer, or something is no number.
    """
    words = file.read().split(maxsplit=rows * columns)[: rows * columns]
    if len(words) < rows * columns:
        raise BrokenEntryError(f"breaks off: it should have {rows} points and has {len(words) // columns}")
    try:
        return np.array(words, np.bytes_).astype(np.float64).reshape(rows, columns)
    except ValueError as error:
        raise BrokenEntryError(f"has something among its points that is no number: {error}") from error


def _elements(lines: list[list[str]], byte_order: str) -> list[_Element]:
    elements: list[_Element] = []
    for words in lines:
        if words[0] == "element":
            if len(words) != 3 or not words[2].isdecimal():
                raise BrokenEntryError(f"has the line '{' '.join(words)}' in its header, which is no element")
            elements.append(_Element(words[1], int(words[2]), []))
        elif words[0] == "property" and elements:
            if len(words) == 5 and words[1] == "list":
                elements[-1].has_list = True
            elif len(words) == 3 and words[1] in _TYPES:
                elements[-1].properties.append((words[2], byte_order + _TYPES[words[1]]))
            else:
                raise BrokenEntryError(f"has the line '{' '.join(words)}' in its header, which is no property")
    return elements


def _vertex(elements: list[_Element]) -> tuple[list[_Element], _Element]:
    """Return the element of the vertices, and those before it."""
    place = next((place for place, element in enumerate(elements) if element.name == "vertex"), None)
    if place is None:
        raise BrokenEntryError("has no element 'vertex', which holds the points")
    if any(element.has_list for element in elements[: place + 1]):
        raise BrokenEntryError("has lists in or before its vertices, which are not read")
    names = [name for name, _ in elements[place].properties]
    if not names or len(set(names)) < len(names):
        raise BrokenEntryError("has vertices without a property, or with two of one name")
    return elements[:place], elements[place]
