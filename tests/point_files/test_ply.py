"""PLY files as text and binary, and what is wrong with some."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from limbeck.errors import DataError
from limbeck.point_files.reading import read_fields, read_header

ROWS = np.array(
    [(1.5, -2.25, 3.0, 7, 200), (4.5, 5.0, -6.125, 65535, 0), (0.0, 1e-3, 2.0, 1, 9)],
    [("x", "f4"), ("y", "f4"), ("z", "f8"), ("ring", "u2"), ("intensity", "u1")],
)
HEADER = """ply
format {format} 1.0
comment made by hand
element sensor 2
property short id
element vertex 3
property float x
property float32 y
property double z
property ushort ring
property uchar intensity
element face 1
property list uchar int vertex_index
end_header
"""


def _write(path: Path, format: str, header: str = HEADER, cut: int | None = None) -> Path:
    if format == "ascii":
        lines = ["11", "12", *(" ".join(map(str, row.tolist())) for row in ROWS), "3 0 1 2"]
        content = "\n".join(lines).encode()
    else:
        order = "<" if format == "binary_little_endian" else ">"
        content = np.array([11, 12], f"{order}i2").tobytes() + ROWS.astype(ROWS.dtype.newbyteorder(order)).tobytes()
        content += b"\3" + np.arange(3, dtype=f"{order}i4").tobytes()
    path.write_bytes(header.format(format=format).encode() + content[:cut])
    return path


def _problem(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_fields(path, ("x",))
    return caught.value.problems[0].removeprefix(f"{path}: ")


@pytest.mark.parametrize("format", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_properties_by_name(tmp_path: Path, format: str) -> None:
    path = _write(tmp_path / "a.ply", format)
    assert read_header(path, ("x",)) == (ROWS.dtype.names, 3)
    fields = read_fields(path, ("x",))
    assert list(fields) == list(ROWS.dtype.names or ())
    for name, values in fields.items():
        np.testing.assert_array_equal(values, ROWS[name])


def test_windows_line_ends(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.ply", "ascii", HEADER.replace("\n", "\r\n"))
    np.testing.assert_array_equal(read_fields(path, ())["z"], ROWS["z"])


@pytest.mark.parametrize("format", ["ascii", "binary_little_endian"])
def test_a_file_that_breaks_off(tmp_path: Path, format: str) -> None:
    path = _write(tmp_path / "a.ply", format, cut=40)
    assert _problem(path) == "breaks off: it should have 3 points and has 1"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("ply\n", "plx\n", "not a PLY file; it does not begin with 'ply'"),
        ("end_header\n", "", "has no line 'end_header', with which its header should end"),
        ("element vertex 3", "element points 3", "has no element 'vertex', which holds the points"),
        (
            "element vertex 3",
            "element vertex many",
            "has the line 'element vertex many' in its header, which is no element",
        ),
        ("vertex 3", "vertex 0", "has no point in it"),
        ("double z", "decimal z", "has the line 'property decimal z' in its header, which is no property"),
        ("double z", "list uchar int z", "has lists in or before its vertices, which are not read"),
        ("double z", "double x", "has vertices without a property, or with two of one name"),
        ("{format} 1.0", "utf8 1.0", "has the format 'utf8', which PLY files do not have"),
    ],
)
def test_headers_that_are_none(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert old in HEADER
    assert _problem(_write(tmp_path / "a.ply", "ascii", HEADER.replace(old, new))) == problem


def test_text_among_the_numbers(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.ply", "ascii")
    path.write_text(path.read_text().replace("65535", "many"))
    assert _problem(path).startswith("has something among its points that is no number: ")
