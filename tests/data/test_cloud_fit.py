"""Boxes against the points around them: as they are, and written in other ways."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from limbeck.data.cloud_fit import READINGS, CloudFit, measure_fit
from limbeck.data.cloud_points import inside
from limbeck.data.cloud_records import CloudData, CloudRecord, Sweep, no_boxes
from limbeck.point_files.point_format import PointFormat

BOXES = np.array([[12, 5, -1, 4, 1.6, 1.5, 0.6], [-8, 9, -1, 4.4, 1.8, 1.7, -0.9]], np.float32)
COLUMNS = ("x", "y", "z")


def _cloud(path: Path, count: int = 4000) -> np.ndarray:
    """Write a cloud whose points fill the boxes."""
    generator = np.random.default_rng(0)
    filled = []
    for box in BOXES:
        points = generator.uniform(-3, 3, (count, 3)).astype(np.float32) + box[:3]
        filled.append(points[inside(points, box)])
    points = np.concatenate(filled)
    points.tofile(path)
    return points


def _data(path: Path, boxes: np.ndarray, count: int = 1, sweeps: tuple[Sweep, ...] = ()) -> CloudData:
    arrays = {
        **{name: np.zeros(len(boxes), array.dtype) for name, array in no_boxes().items()},
        "boxes": boxes.astype(np.float32),
    }
    records = tuple(CloudRecord(id=str(n), path=path, sweeps=sweeps, **arrays) for n in range(count))
    return CloudData(records, ("car",), (), PointFormat(COLUMNS, COLUMNS))


def test_boxes_that_fit_hold_all_points(tmp_path: Path) -> None:
    points = _cloud(tmp_path / "a.bin")
    found = measure_fit(_data(tmp_path / "a.bin", BOXES))
    assert (found.clouds, found.boxes, found.far) == (1, 2, 0)
    assert found.sizes == (len(points),) * 3
    assert found.inside == len(points)
    assert max(found.readings.values()) < 0.7 * found.inside
    assert found.better == {}


WRONG: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "z were the bottom of the box": lambda boxes: boxes - [0, 0, 0.8, 0, 0, 0, 0],
    "z were the top of the box": lambda boxes: boxes - [0, 0, -0.8, 0, 0, 0, 0],
    "the yaw were clockwise": lambda boxes: boxes * [1, 1, 1, 1, 1, 1, -1],
    "length and width were swapped": lambda boxes: boxes[:, [0, 1, 2, 4, 3, 5, 6]],
    "y and the yaw had the other sign": lambda boxes: boxes * [1, -1, 1, 1, 1, 1, -1],
}


@pytest.mark.parametrize("reading", READINGS)
def test_boxes_written_in_another_way_are_found_out(tmp_path: Path, reading: str) -> None:
    points = _cloud(tmp_path / "a.bin")
    found = measure_fit(_data(tmp_path / "a.bin", WRONG[reading](BOXES)))
    assert reading in found.better
    assert found.better[reading] == max(found.readings.values()) > 0.95 * len(points)


def test_few_points_prove_nothing() -> None:
    fit = CloudFit(clouds=1, sizes=(9, 9, 9), boxes=5, far=0, inside=10, readings={"a": 300, "b": 301, "c": 5})
    assert fit.better == {"b": 301}


def test_boxes_far_from_all_points_and_sizes_with_sweeps(tmp_path: Path) -> None:
    points = _cloud(tmp_path / "a.bin")
    near, far = BOXES.copy(), BOXES.copy()
    near[:, 2] += BOXES[:, 5] + 1.9
    far[:, 2] += BOXES[:, 5] + 2.1
    boxes = np.concatenate([BOXES, near, far])
    sweep = Sweep(tmp_path / "a.bin", np.eye(4), 0.1)
    found = measure_fit(_data(tmp_path / "a.bin", boxes, sweeps=(sweep,)))
    assert found.far == 2
    assert found.sizes[0] == 2 * len(points)
    assert found.inside == len(points)  # those of the sweep are not counted: what moves is elsewhere in it


def test_clouds_are_drawn_by_the_seed(tmp_path: Path) -> None:
    data = _data(tmp_path / "a.bin", BOXES, count=30)
    for n, record in enumerate(data.records):
        np.ones((n + 1, 3), np.float32).tofile(tmp_path / f"{n}.bin")
        object.__setattr__(record, "path", tmp_path / f"{n}.bin")
    found = [measure_fit(data, seed=seed, max_clouds=3) for seed in (0, 0, 1)]
    assert found[0].clouds == 3
    assert found[0].boxes == 6
    assert found[0] == found[1]
    assert found[0].sizes != found[2].sizes
    assert measure_fit(data).sizes == (1, 15, 30)
    assert math.isclose(found[0].readings["the yaw were clockwise"], 0)
