"""Files of points: what is asked for is returned, and everything that is wrong has its sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.errors import DataError
from limbeck.point_files.reading import missing_features, read_fields, read_header, stack_features

COLUMNS = ("x", "y", "z", "intensity")
POINTS = np.random.default_rng(0).uniform(-9, 9, (7, 4)).astype(np.float32)


def _problem(path: Path, columns: tuple[str, ...] = COLUMNS) -> str:
    with pytest.raises(DataError) as caught:
        read_fields(path, columns)
    (problem,) = caught.value.problems
    return problem.removeprefix(f"{path}: ")


def _write(path: Path, array: np.ndarray) -> Path:
    np.save(path, array) if path.suffix == ".npy" else array.tofile(path)
    return path


@pytest.mark.parametrize("type_", [np.float16, np.float32, np.float64, ">f4"])
def test_npy_of_any_float(tmp_path: Path, type_: Any) -> None:
    path = _write(tmp_path / "a.npy", POINTS.astype(type_))
    assert read_header(path, COLUMNS) == (COLUMNS, 7)
    points = stack_features(path, read_fields(path, COLUMNS), ("x", "y", "z"), drop_invalid=False)
    assert points.dtype == np.float32
    np.testing.assert_array_equal(points, POINTS.astype(type_).astype(np.float32)[:, :3])


def test_bin_and_features_in_another_order(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.bin", POINTS)
    assert read_header(path, COLUMNS) == (COLUMNS, 7)
    points = stack_features(path, read_fields(path, COLUMNS), ("x", "y", "z", "intensity"), drop_invalid=False)
    np.testing.assert_array_equal(points, POINTS)
    swapped = stack_features(path, read_fields(path, ("z", "x", "y", "ring")), ("x", "y", "z"), drop_invalid=False)
    np.testing.assert_array_equal(swapped, POINTS[:, [1, 2, 0]])


def test_a_bin_file_of_another_number_of_values(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.bin", np.zeros((7, 5), np.float32))
    assert _problem(path) == (
        "has 140 bytes, which are no whole number of points with 4 values each (x, y, z, intensity); "
        "with 5 or 7 values they would be"
    )
    path.write_bytes(b"12345")
    assert _problem(path).endswith("no whole number of points with 4 values each (x, y, z, intensity)")


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.zeros((7, 5), np.float32), "has 5 values for each point, but columns names 4: x, y, z, intensity"),
        (np.zeros(8, np.float32), "has the shape (8,); a cloud has points and values, (P,F)"),
        (np.zeros((7, 4), np.int32), "holds int32, and not floats"),
        (np.zeros((7, 4), object), "holds object, and not floats"),
        (np.zeros((0, 4), np.float32), "has no point in it"),
    ],
)
def test_npy_files_that_are_no_clouds(tmp_path: Path, array: np.ndarray, problem: str) -> None:
    path = tmp_path / "a.npy"
    np.save(path, array, allow_pickle=True)
    assert _problem(path) == problem


def test_files_that_break_off_are_empty_or_cannot_be_read(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.npy", POINTS)
    path.write_bytes(path.read_bytes()[:-20])
    assert _problem(path) == "breaks off: it should have 7 points and has 5"
    path.write_bytes(b"what is this")
    assert _problem(path) == "not an npy file"
    path.write_bytes(b"")
    assert _problem(path) == "not an npy file"
    assert _problem(tmp_path / "b.npy") == "no such file or directory"
    empty = tmp_path / "a.bin"
    empty.write_bytes(b"")
    assert _problem(empty) == "has no point in it"
    assert _problem(tmp_path / "a.las") == "not a file of points; they end in .bin, .npy, .pcd, .ply"


def test_a_missing_feature_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    assert missing_features(tmp_path, COLUMNS, ("x", "intensty", "ring")) == [
        f"{tmp_path}: has no 'intensty' (did you mean 'intensity'?); its points have x, y, z, intensity",
        f"{tmp_path}: has no 'ring'; its points have x, y, z, intensity",
    ]
    with pytest.raises(DataError, match="has no 'ring'"):
        stack_features(tmp_path, {"x": POINTS[:, 0]}, ("x", "ring"), drop_invalid=False)


def test_points_that_are_not_finite_are_counted_and_dropped_on_demand(tmp_path: Path) -> None:
    points = POINTS.astype(np.float64)
    points[2, 1], points[4, 3], points[5, 0] = np.nan, np.inf, 1e300
    path = _write(tmp_path / "a.npy", points)
    fields = read_fields(path, COLUMNS)
    with pytest.raises(DataError) as caught:
        stack_features(path, fields, COLUMNS, drop_invalid=False)
    what = f"{path}: 3 of its 7 points are not finite numbers"
    assert caught.value.problems == (f"{what}; drop_invalid leaves such points out",)
    kept = stack_features(path, fields, COLUMNS, drop_invalid=True)
    np.testing.assert_array_equal(kept, POINTS[[0, 1, 3, 6]])
    assert len(stack_features(path, fields, ("x", "y", "z"), drop_invalid=True)) == 5
    with pytest.raises(DataError, match="7 of its 7 points"):
        stack_features(path, {name: np.full(7, np.nan) for name in COLUMNS}, COLUMNS, drop_invalid=True)
