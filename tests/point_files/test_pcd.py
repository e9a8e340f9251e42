"""PCD files as text, binary and compressed, and what is wrong with some."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from limbeck.errors import DataError
from limbeck.point_files.pcd import decompress_lzf
from limbeck.point_files.reading import read_fields, read_header

ROWS = np.zeros(
    60, [("x", "<f4"), ("y", "<f4"), ("z", "<f8"), ("_", "<u1", (3,)), ("normal", "<f4", (3,)), ("ring", "<u2")]
)
ROWS["x"], ROWS["y"], ROWS["ring"] = np.arange(60) / 4, -2.5, np.arange(60) % 3
ROWS["z"] = np.random.default_rng(0).normal(size=60)
HEADER = """# .PCD v0.7 - Point Cloud Data file format
VERSION 0.7
FIELDS x y z _ normal ring
SIZE 4 4 8 1 4 2
TYPE F F F U F U
COUNT 1 1 1 3 3 1
WIDTH 30
HEIGHT 2
VIEWPOINT 0 0 0 1 0 0 0
POINTS 60
DATA {data}
"""


def compress_lzf(content: bytes) -> bytes:
    """Compress slowly: the longest repetition that begins with the same three bytes, else a byte as it is."""
    packed, literals, place = bytearray(), bytearray(), 0
    last: dict[bytes, int] = {}

    def flush() -> None:
        for start in range(0, len(literals), 32):
            piece = literals[start : start + 32]
            packed.extend([len(piece) - 1, *piece])
        literals.clear()

    while place < len(content):
        key = content[place : place + 3]
        back = place - last.get(key, -1) if key in last else 0
        length = 0
        while back and back <= 8192 and length < 264 and place + length < len(content):
            if content[place + length - back] != content[place + length]:
                break
            length += 1
        last[key] = place
        if length < 3:
            literals.append(content[place])
            place += 1
            continue
        flush()
        upper, lower = divmod(back - 1, 256)
        code = length - 2
        packed.extend([code << 5 | upper, lower] if code < 7 else [7 << 5 | upper, code - 7, lower])
        place += length
    flush()
    return bytes(packed)


def _content(data: str) -> bytes:
    if data == "ascii":
        flat = [np.hstack([np.ravel(value) for value in row]) for row in ROWS.tolist()]
        return "\n".join(" ".join(map(str, row)) for row in flat).encode()
    if data == "binary":
        return ROWS.tobytes()
    by_field = b"".join(np.ascontiguousarray(ROWS[name]).tobytes() for name in ROWS.dtype.names or ())
    packed = compress_lzf(by_field)
    assert len(packed) < 0.8 * len(by_field)
    return np.array([len(packed), len(by_field)], "<u4").tobytes() + packed


def _write(path: Path, data: str, header: str = HEADER, content: bytes | None = None) -> Path:
    path.write_bytes(header.format(data=data).encode() + (_content(data) if content is None else content))
    return path


def _problem(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_fields(path, ())
    return caught.value.problems[0].removeprefix(f"{path}: ")


@pytest.mark.parametrize("data", ["ascii", "binary", "binary_compressed"])
def test_fields_by_name_without_padding_and_vectors(tmp_path: Path, data: str) -> None:
    path = _write(tmp_path / "a.pcd", data)
    assert read_header(path, ()) == (("x", "y", "z", "ring"), 60)
    fields = read_fields(path, ())
    assert list(fields) == ["x", "y", "z", "ring"]
    for name, values in fields.items():
        np.testing.assert_array_equal(values, ROWS[name])


def test_counts_and_points_may_be_left_out(tmp_path: Path) -> None:
    lines = [line for line in HEADER.splitlines(keepends=True) if not line.startswith(("POINTS", "COUNT"))]
    header = "".join(lines).replace(" _ normal", "").replace("4 4 8 1 4 2", "4 4 8 2").replace("F F F U F U", "F F F U")
    rows = np.zeros(60, [("x", "<f4"), ("y", "<f4"), ("z", "<f8"), ("ring", "<u2")])
    rows["ring"] = ROWS["ring"]
    path = _write(tmp_path / "a.pcd", "binary", header, rows.tobytes())
    np.testing.assert_array_equal(read_fields(path, ())["ring"], ROWS["ring"])


@pytest.mark.parametrize("data", ["ascii", "binary"])
def test_a_file_that_breaks_off(tmp_path: Path, data: str) -> None:
    content = _content(data)
    path = _write(tmp_path / "a.pcd", data, content=content[: len(content) // 2])
    assert _problem(path).startswith("breaks off: it should have 60 points and has ")


def test_compressed_points_that_cannot_be_decoded(tmp_path: Path) -> None:
    content = _content("binary_compressed")
    path = tmp_path / "a.pcd"
    assert _problem(_write(path, "binary_compressed", content=content[:-5])).startswith("breaks off: it should have ")
    assert _problem(_write(path, "binary_compressed", content=b"")) == "breaks off behind its header"
    other = content[:4] + bytes(4) + content[8:]
    assert _problem(_write(path, "binary_compressed", content=other)) == (
        "has 0 bytes of points, but its header says 1980"
    )
    wrong = content[:8] + b"\xff" * (len(content) - 8)
    assert _problem(_write(path, "binary_compressed", content=wrong)) == (
        "has compressed points that cannot be decoded"
    )
    short = np.array([2, 1980], "<u4").tobytes() + bytes([0, 65])
    assert _problem(_write(path, "binary_compressed", content=short)) == (
        "has compressed points that cannot be decoded"
    )


def test_lzf_repeats_what_it_writes_itself() -> None:
    assert decompress_lzf(bytes([1, 97, 98, 7 << 5, 3, 1])) == b"ab" * 7
    content = np.random.default_rng(0).integers(0, 3, 5000, dtype=np.uint8).tobytes()
    assert decompress_lzf(compress_lzf(content)) == content
    with pytest.raises(IndexError, match="was not there"):
        decompress_lzf(bytes([0, 97, 1 << 5, 1]))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("FIELDS", "NAMES", "not a PCD file; it has no line FIELDS"),
        ("DATA {data}\n", "", "has no line 'DATA', with which its header should end"),
        ("{data}", "zipped", "has the line 'DATA zipped', which PCD files do not have"),
        ("SIZE 4 4", "SIZE 4", "has lines FIELDS, SIZE, TYPE and COUNT of different lengths"),
        ("SIZE 4 4", "SIZE 4 2", "has a field of SIZE 2, TYPE F and COUNT 1, which PCD files do not have"),
        ("POINTS 60", "POINTS many", "does not say how many points it has: POINTS, or WIDTH and HEIGHT"),
        ("FIELDS x y", "FIELDS x x", "has two fields of one name"),
        ("POINTS 60", "POINTS 0", "has no point in it"),
    ],
)
def test_headers_that_are_none(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert old in HEADER
    assert _problem(_write(tmp_path / "a.pcd", "binary", HEADER.replace(old, new))) == problem
