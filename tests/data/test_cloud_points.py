"""Points of a frame with its sweeps, and points counted in boxes against the definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from limbeck.data.cloud_points import count_points, inside, read_points
from limbeck.data.cloud_records import CloudData, CloudRecord, Sweep, no_boxes
from limbeck.ops.boxes3d import points_in_boxes
from limbeck.point_files.point_format import PointFormat


def _boxes(count: int) -> np.ndarray:
    generator = np.random.default_rng(1)
    centres, sizes = generator.uniform(-20, 20, (count, 3)), generator.uniform(0.3, 12, (count, 3))
    return np.hstack([centres, sizes, generator.uniform(-9, 9, (count, 1))]).astype(np.float32)


def test_counts_are_those_of_the_definition() -> None:
    points = np.random.default_rng(0).uniform(-25, 25, (4000, 4)).astype(np.float32)
    boxes = _boxes(60)
    expected = points_in_boxes(torch.from_numpy(points), torch.from_numpy(boxes)).sum(0)
    assert count_points(points, boxes).tolist() == expected.tolist()
    assert expected.max() > 10
    assert count_points(points, boxes[:0]).tolist() == []
    assert count_points(points[:0], boxes[:2]).tolist() == [0, 0]


def test_faces_belong_to_the_box() -> None:
    box = np.array([1, 2, 3, 4, 2, 1, 0], np.float32)
    points = np.array([[3, 3, 3.5], [-1, 1, 2.5], [3.01, 2, 3], [1, 3.01, 3], [1, 2, 3.51]], np.float32)
    assert inside(points, box).tolist() == [True, True, False, False, False]
    assert count_points(points, box[None]).tolist() == [2]
    turned = box.copy()
    turned[6] = np.pi / 2  # the length lies along y now
    assert inside(np.array([[1, 3.9, 3], [2.9, 2, 3]], np.float32), turned).tolist() == [True, False]


def test_sweeps_come_behind_in_the_frame_of_the_first(tmp_path: Path) -> None:
    for name in ("now", "before"):
        np.array([[1, 2, 3, 0.5], [4, 5, 6, 0.25]], "<f4").tofile(tmp_path / f"{name}.bin")
    to_frame = np.array([[0.0, -1, 0, 10], [1, 0, 0, 20], [0, 0, 1, 30], [0, 0, 0, 1]])
    sweep = Sweep(tmp_path / "before.bin", to_frame, 0.125)
    record = CloudRecord(id="a", path=tmp_path / "now.bin", sweeps=(sweep,), **no_boxes())
    data = CloudData((record,), (), (), PointFormat(("x", "y", "z", "intensity"), ("x", "y", "z", "time", "intensity")))
    points = read_points(record, data)
    assert points.dtype == np.float32
    expected = [[1, 2, 3, 0, 0.5], [4, 5, 6, 0, 0.25], [8, 21, 33, 0.125, 0.5], [5, 24, 36, 0.125, 0.25]]
    np.testing.assert_array_equal(points, expected)
