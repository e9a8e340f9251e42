"""Frames that hold their points and boxes: npz files, and rows of parquet files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data.cloud_config import CloudDataConfig
from limbeck.data.cloud_points import read_points
from limbeck.data.cloud_readers import read_cloud_parts
from limbeck.data.cloud_records import CloudData
from limbeck.errors import DataError

COLUMNS = ("x", "y", "z", "intensity", "elongation")
FRAME: dict[str, Any] = {
    "points": np.random.default_rng(0).uniform(-1, 1, (30, 5)).astype(np.float32),
    "columns": np.array(COLUMNS),
    "boxes": np.array([[0, 0, 0, 4, 4, 4, 0.3], [9, 0, 0, 4, 2, 1.5, 0]], np.float32),
    "classes": np.array(["VEHICLE", "SIGN"]),
    "num_points": np.array([17, 4]),
    "levels": np.array([0, 1]),
    "velocities": np.array([[1, 2], [np.nan, np.nan]], np.float32),
    "ignore": np.array([False, True]),
}


class Frames:
    """One npz file in each part."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings: dict[str, Any] = {"format": "frames"}
        for part in ("train", "val"):
            self.settings[part] = {"clouds": root / part}
            (root / part).mkdir()
            self.write(FRAME, part=part)

    def write(self, frame: dict[str, Any], name: str = "a.npz", part: str = "train") -> Path:
        np.savez_compressed(self.root / part / name, **frame)
        return self.root / part / name

    def write_rows(self, table: Any, row_group_size: int = 2, part: str = "train") -> Path:
        import pyarrow.parquet

        (self.root / part / "a.npz").unlink(missing_ok=True)
        pyarrow.parquet.write_table(table, self.root / part / "a.parquet", row_group_size=row_group_size)
        return self.root / part / "a.parquet"

    def read(self, verify: bool = False, **settings: Any) -> CloudData:
        return read_cloud_parts(CloudDataConfig.model_validate(self.settings | settings), verify)["train"]

    def problem(self, verify: bool = False, **settings: Any) -> str:
        with pytest.raises(DataError) as caught:
            self.read(verify, **settings)
        return caught.value.problems[0].replace(f"{self.root}/train/", "")


@pytest.fixture
def frames(tmp_path: Path) -> Frames:
    return Frames(tmp_path)


def _without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in FRAME.items() if name not in names}


def test_an_npz_frame(frames: Frames) -> None:
    data = frames.read(features=COLUMNS)
    assert data.classes == ("SIGN", "VEHICLE")
    (record,) = data.records
    assert (record.id, record.path, record.row) == ("a", frames.root / "train/a.npz", None)
    np.testing.assert_array_equal(record.boxes, FRAME["boxes"])
    assert record.labels.tolist() == [1, 0]
    assert record.num_points.tolist() == [17, 4]
    assert record.levels.tolist() == [0, 1]
    assert record.ignore.tolist() == [False, True]
    np.testing.assert_array_equal(record.velocities, FRAME["velocities"])
    np.testing.assert_array_equal(read_points(record, data), FRAME["points"])


def test_what_may_be_missing_is_made_up_for(frames: Frames) -> None:
    for part in ("train", "val"):
        frames.write(_without("columns", "num_points", "levels", "velocities", "ignore"), part=part)
    data = frames.read(columns=("x", "y", "z", "a", "b"), features=("x", "y", "z", "b"))
    (record,) = data.records
    assert record.num_points.tolist() == [30, 0]
    assert record.levels.tolist() == [0, 0]
    assert not record.ignore.any()
    assert record.velocities is None
    np.testing.assert_array_equal(read_points(record, data), FRAME["points"][:, [0, 1, 2, 4]])


def test_a_frame_without_objects(frames: Frames) -> None:
    frames.write(
        {**FRAME, **{name: [] for name in ("boxes", "classes", "num_points", "levels", "velocities", "ignore")}}
    )
    frames.write(FRAME, "b.npz")
    record = frames.read().records[0]
    assert record.boxes.shape == (0, 7)
    assert record.velocities is not None
    assert record.velocities.shape == (0, 2)


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (_without("boxes"), "a.npz: has no array 'boxes'; a frame without objects has an empty one"),
        (_without("points"), "a.npz: has no array 'points'"),
        (
            {**FRAME, "boxes": np.zeros((2, 6))},
            "a.npz: has boxes of the shape (2, 6), but for 2 boxes it would be (2, 7)",
        ),
        ({**FRAME, "levels": [1]}, "a.npz: has levels of the shape (1,), but for 2 boxes it would be (2,)"),
        ({**FRAME, "levels": [1.0, 2.0]}, "a.npz: has levels of float64, which are no whole numbers"),
        ({**FRAME, "classes": [1, 2]}, "a.npz: has classes of int64, which are no texts"),
        (
            {**FRAME, "columns": COLUMNS[:4]},
            "a.npz: has points of the shape (30, 5), but 4 columns: x, y, z, intensity",
        ),
        (
            _without("columns"),
            "a.npz: has points of the shape (30, 5), but 4 columns: x, y, z, intensity",
        ),
        ({**FRAME, "columns": ["x", "x"]}, "a.npz: has an array 'columns' that is not names, each of them once"),
        ({**FRAME, "points": np.zeros((0, 5))}, "a.npz: has no point in it"),
        ({**FRAME, "points": np.full((30, 5), "a")}, "a.npz: has points of <U1, which are no numbers"),
        (
            {**FRAME, "classes": np.array(["a", None])},
            "a.npz: not an npz file, or one with arrays of objects, which are not read",
        ),
        (
            {**FRAME, "boxes": [[0, 0, 0, 4, 4, 0, 0], [0, 0, 0, 1, 1, 1, 0]]},
            "a.npz: box 1 has the box [0, 0, 0, 4, 4, 0, 0], whose height is not positive",
        ),
    ],
)
def test_frames_that_are_broken(frames: Frames, frame: dict[str, Any], problem: str) -> None:
    frames.write(frame)
    assert frames.problem(verify=True) == problem


def test_npz_files_that_break_off(frames: Frames) -> None:
    path = frames.root / "train/a.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert frames.problem() == "a.npz: not an npz file, or one that is damaged or breaks off"
    path.write_bytes(b"nothing")
    assert frames.problem() == "a.npz: not an npz file, or one with arrays of objects, which are not read"
    spoilt = bytearray(whole)
    spoilt[150:400] = bytes(250)
    path.write_bytes(spoilt)
    assert frames.problem(verify=True) == "a.npz: not an npz file, or one that is damaged or breaks off"


def test_a_feature_that_no_column_has(frames: Frames) -> None:
    assert frames.problem(features=("x", "y", "z", "elongatio")) == (
        "a.npz: has no 'elongatio' (did you mean 'elongation'?); its points have x, y, z, intensity, elongation"
    )


def _table(**columns: Any) -> Any:
    """Three frames of which the second has no object, with points as lists of lists."""
    pa = pytest.importorskip("pyarrow")
    points = [FRAME["points"], FRAME["points"][:7], FRAME["points"] + 1]
    rows: dict[str, Any] = {
        "points": [frame.tolist() for frame in points],
        "columns": [list(COLUMNS)] * 3,
        "boxes": [FRAME["boxes"].tolist(), [], FRAME["boxes"][:1].tolist()],
        "classes": [["VEHICLE", "SIGN"], [], ["VEHICLE"]],
        "levels": [[0, 1], [], [0]],
    }
    return pa.table({name: value for name, value in {**rows, **columns}.items() if value is not None})


@pytest.mark.parametrize("row_group_size", [1, 2, 10])
def test_rows_of_a_parquet_file(frames: Frames, row_group_size: int) -> None:
    path = frames.write_rows(_table(), row_group_size)
    data = frames.read(features=COLUMNS)
    assert data.classes == ("SIGN", "VEHICLE")
    assert [(record.id, record.path, record.row) for record in data.records] == [(f"a:{n}", path, n) for n in range(3)]
    first, second, third = data.records
    np.testing.assert_array_equal(first.boxes, FRAME["boxes"])
    assert [record.labels.tolist() for record in data.records] == [[1, 0], [], [1]]
    assert [record.num_points.tolist() for record in data.records] == [[30, 0], [], [third.num_points[0]]]
    assert 0 < third.num_points[0] < 30
    np.testing.assert_array_equal(read_points(first, data), FRAME["points"])
    np.testing.assert_array_equal(read_points(second, data), FRAME["points"][:7])
    np.testing.assert_allclose(read_points(third, data), FRAME["points"] + 1)


def test_points_may_be_flat_and_their_columns_in_the_settings(frames: Frames) -> None:
    flat = [FRAME["points"].ravel().tolist()] * 3
    frames.write_rows(_table(points=flat, columns=None, num_points=[[5, 6], [], [7]]))
    data = frames.read(columns=COLUMNS, verify=True)
    assert [record.num_points.tolist() for record in data.records] == [[5, 6], [], [7]]
    np.testing.assert_array_equal(read_points(data.records[1], data), FRAME["points"])
    frames.write_rows(_table(points=[[1.0, 2.0]] * 3, columns=None))
    problem = "a.parquet: row 0: has points of the shape (2,), but 5 columns: x, y, z, intensity, elongation"
    assert frames.problem(columns=COLUMNS) == problem


def test_rows_that_are_broken_are_named_and_skipped(frames: Frames) -> None:
    points = [FRAME["points"].tolist(), None, [[1.0] * 5, [2.0] * 4]]
    boxes = [FRAME["boxes"].tolist(), [], [[1.0] * 7, [1.0] * 6]]
    path = frames.write_rows(_table(points=points))
    assert frames.problem() == "a.parquet: row 1: has no array 'points'"
    data = frames.read(on_broken="skip")
    assert [record.row for record in data.records] == [0]
    assert data.skipped == (
        f"{path}: row 1: has no array 'points'",
        f"{path}: row 2: has in its column 'points' lists of different lengths",
    )
    frames.write_rows(_table(boxes=boxes, num_points=[[5, 6], [], [7]]))
    assert frames.problem() == "a.parquet: row 2: has in its column 'boxes' lists of different lengths"
    frames.write_rows(_table(classes=["a", "b", "c"]))
    assert frames.problem() == "a.parquet: row 0: has in its column 'classes' a string, and not a list"


def test_rows_whose_points_are_not_read_are_checked_by_their_columns(frames: Frames) -> None:
    counts = [[5, 6], [], [7]]
    frames.write_rows(_table(num_points=counts))
    assert frames.problem(features=("x", "y", "z", "ring")) == (
        "a.parquet: row 0: has no 'ring'; its points have x, y, z, intensity, elongation"
    )
    frames.write_rows(_table(num_points=[*counts[:2], None]))
    assert frames.problem() == "a.parquet: row 2: has no 'num_points', though there is such a column"
    frames.write_rows(_table(num_points=[counts[0], None, counts[2]]))
    assert [len(record.num_points) for record in frames.read().records] == [2, 0, 1]


def test_points_of_rows_that_are_not_finite_are_found_where_all_is_verified(frames: Frames) -> None:
    spoilt = FRAME["points"].copy()
    spoilt[3, 2] = np.nan
    frames.write_rows(_table(points=[spoilt.tolist()] * 3, num_points=[[5, 6], [], [7]]))
    assert frames.read().records
    what = "a.parquet: row 0: 1 of its 30 points are not finite numbers"
    assert frames.problem(verify=True) == f"{what}; drop_invalid leaves such points out"
    data = frames.read(drop_invalid=True, verify=True)
    assert len(read_points(data.records[0], data)) == 29


def test_parquet_files_that_cannot_be_read(frames: Frames) -> None:
    path = frames.write_rows(_table())
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    assert frames.problem() == "a.parquet: not a parquet file, or one that breaks off"
    path.write_bytes(whole[:4] + b"\xff" * 200 + whole[204:])
    assert frames.problem() == "a.parquet: has a row group, 0, that cannot be decoded"


def test_without_pyarrow_one_sentence_says_what_to_install(frames: Frames, monkeypatch: pytest.MonkeyPatch) -> None:
    (frames.root / "train/a.npz").rename(frames.root / "train/a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert frames.problem() == "a.parquet: parquet files need pyarrow, which is missing: pip install limbeck[parquet]"
