"""Files of points in the PCD format of the Point Cloud Library: as text, binary, or compressed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import BrokenEntryError
from limbeck.point_files.ply import check_size, header_lines, read_numbers

_KINDS = {"I": "i", "U": "u", "F": "f"}
_SIZES = {"I": (1, 2, 4, 8), "U": (1, 2, 4, 8), "F": (4, 8)}


@dataclass(frozen=True)
class PcdHeader:
    """What the header of a file says.

    Attributes:
        names: The fields; ``_`` is padding.
        types: Type of each field, with its length where a field is several numbers.
        points: Number of points.
        encoding: ``ascii``, ``binary`` or ``binary_compressed``.
        header_bytes: Where the header ends.
    """

    names: tuple[str, ...]
    types: tuple[np.dtype[Any], ...]
    points: int
    encoding: str
    header_bytes: int

    @property
    def columns(self) -> dict[str, int]:
        """The fields that are one number, and their places."""
        single = [place for place, type_ in enumerate(self.types) if not type_.shape and self.names[place] != "_"]
        return {self.names[place]: place for place in single}

    @property
    def row(self) -> np.dtype[Any]:
        """Type of a point, whose fields are called by their places."""
        return np.dtype([(str(place), type_) for place, type_ in enumerate(self.types)])


def read_pcd_header(path: Path) -> PcdHeader:
    """Return what a file holds, without its points.

    Raises:
        BrokenEntryError: It is no PCD file, or breaks off.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        entries = {words[0]: words[1:] for words in header_lines(file, last="DATA") if words[0] != "#"}
        header_bytes = file.tell()
    names, encoding = tuple(entries.get("FIELDS", ())), " ".join(entries["DATA"])
    if not names:
        raise BrokenEntryError("not a PCD file; it has no line FIELDS")
    if encoding not in ("ascii", "binary", "binary_compressed"):
        raise BrokenEntryError(f"has the line 'DATA {encoding}', which PCD files do not have")
    header = PcdHeader(names, _types(names, entries), _points(entries), encoding, header_bytes)
    if len({name for name in names if name != "_"}) < len(names) - names.count("_"):
        raise BrokenEntryError("has two fields of one name")
    if encoding == "binary":
        check_size(path, header_bytes, header.row.itemsize, header.points)
    return header


def read_pcd(path: Path) -> dict[str, NDArray[Any]]:
    """Return the fields of the points by name, (P,) each; fields of several numbers and padding are left out.

    Raises:
        BrokenEntryError: As `read_pcd_header` does, or the points cannot be decoded.
        OSError: It cannot be read.
    """
    header = read_pcd_header(path)
    with path.open("rb") as file:
        file.seek(header.header_bytes)
        if header.encoding == "ascii":
            widths = [math.prod(type_.shape) for type_ in header.types]
            starts = np.cumsum([0, *widths])
            table = read_numbers(file, header.points, sum(widths))
            return {name: table[:, starts[place]] for name, place in header.columns.items()}
        content = file.read()
    if header.encoding == "binary":
        rows = np.frombuffer(content, header.row, header.points)
        return {name: rows[str(place)] for name, place in header.columns.items()}
    return _by_field(_inflate(content, header.points * header.row.itemsize), header)


def _by_field(content: bytes, header: PcdHeader) -> dict[str, NDArray[Any]]:
    """Return the fields of a compressed file, which stand in it one after the other."""
    starts = np.cumsum([0, *(header.points * type_.itemsize for type_ in header.types)])
    return {
        name: np.frombuffer(content, header.types[place], header.points, int(starts[place]))
        for name, place in header.columns.items()
    }


def _types(names: tuple[str, ...], entries: dict[str, list[str]]) -> tuple[np.dtype[Any], ...]:
    sizes, kinds = entries.get("SIZE", []), entries.get("TYPE", [])
    counts = entries.get("COUNT", ["1"] * len(names))
    if not len(names) == len(sizes) == len(kinds) == len(counts):
        raise BrokenEntryError("has lines FIELDS, SIZE, TYPE and COUNT of different lengths")
    return tuple(map(_type, sizes, kinds, counts))


def _type(size: str, kind: str, count: str) -> np.dtype[Any]:
    if not size.isdecimal() or int(size) not in _SIZES.get(kind, ()) or not count.isdecimal() or int(count) < 1:
        raise BrokenEntryError(
            f"has a field of SIZE {size}, TYPE {kind} and COUNT {count}, which PCD files do not have"
        )
    single = np.dtype(f"<{_KINDS[kind]}{size}")
    return single if int(count) == 1 else np.dtype((single, (int(count),)))


def _points(entries: dict[str, list[str]]) -> int:
    """Return the number of points; old files say width and height only."""
    keys = ("POINTS",) if "POINTS" in entries else ("WIDTH", "HEIGHT")
    words = [" ".join(entries.get(key, [])) for key in keys]
    if not all(word.isdecimal() for word in words):
        raise BrokenEntryError("does not say how many points it has: POINTS, or WIDTH and HEIGHT")
    return math.prod(map(int, words))


def _inflate(content: bytes, size: int) -> bytes:
    """Return the points of a compressed file: two sizes of 4 bytes each, packed and unpacked, then LZF."""
    if len(content) < 8:
        raise BrokenEntryError("breaks off behind its header")
    packed, unpacked = np.frombuffer(content[:8], "<u4").tolist()
    if len(content) - 8 < packed:
        raise BrokenEntryError(f"breaks off: it should have {packed} bytes of points and has {len(content) - 8}")
    if unpacked != size:
        raise BrokenEntryError(f"has {unpacked} bytes of points, but its header says {size}")
    try:
        inflated = decompress_lzf(content[8 : 8 + packed])
    except IndexError:
        inflated = b""
    if len(inflated) != size:
        raise BrokenEntryError("has compressed points that cannot be decoded")
    return inflated


def decompress_lzf(packed: bytes) -> bytes:
    """Return what LibLZF compressed.

    A byte below 32 says that as many bytes and one more follow as they are. Any other says in its upper three bits how
    many bytes are to be repeated, less two (seven: the next byte adds to it), and in its lower five bits and the next
    byte how far back they begin, less one.

    Raises:
        IndexError: It breaks off, or repeats what was not there.

    >>> decompress_lzf(bytes([2, 97, 98, 99, 64, 2]))
    b'abcabca'
    """
    out = bytearray()
    place, end = 0, len(packed)
    while place < end:
        control = packed[place]
        place += 1
        if control < 32:
            out += packed[place : place + control + 1]
            place += control + 1
            continue
        length = control >> 5
        if length == 7:
            length += packed[place]
            place += 1
        back = ((control & 31) << 8) + packed[place] + 1
        place, length = place + 1, length + 2
        if back > len(out):
            raise IndexError("repeats what was not there")
        start = len(out) - back
        piece = out[start : start + length]
        out += piece if len(piece) == length else (piece * (length // back + 1))[:length]
    return bytes(out)
