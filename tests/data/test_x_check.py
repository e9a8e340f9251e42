"""What X maps measure, and every kind of setting that cannot be right."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data.mask_config import CameraConfig, XConfig
from limbeck.data.mask_records import MaskCode, MaskData, MaskRecord
from limbeck.data.x_check import XSurvey, survey_x, x_concerns

CAMERA = {"fx": 700, "fy": 700, "cx": 40, "cy": 30}


def survey(tmp_path: Path, *maps: np.ndarray, **settings: Any) -> XSurvey:
    x = XConfig.model_validate(settings)
    records = []
    for number, levels in enumerate(maps):
        path = tmp_path / f"{number}.npy"
        np.save(path, levels)
        size_wh = (levels.shape[1], levels.shape[0])
        cameras = {"x": x.camera} if x.camera else {}
        records.append(MaskRecord(str(number), Path("a.jpg"), size_wh, Path("m.png"), {"x": path}, cameras))
    data = MaskData(tuple(records), ("a",), (), MaskCode(np.zeros(1, np.uint8)), {"x": x})
    return survey_x(data)[0]


def levels(least: float, most: float, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    return np.linspace(least, most, math.prod(shape)).reshape(shape)


def test_numbers_in_the_physical_unit(tmp_path: Path) -> None:
    first = levels(2000, 4000)
    first[:30] = 0
    found = survey(tmp_path, first, levels(4000, 8000), holds="depth", unit="mm")
    assert (found.name, found.maps, found.unit) == ("x", 2, "m")
    assert found.measured == 0.75
    assert found.least == pytest.approx(3, rel=1e-3)
    assert found.most == pytest.approx(8)
    assert found.median == pytest.approx(5, rel=1e-2)
    assert found.suspicions == ()


@pytest.mark.parametrize(
    ("unit", "level", "sentence"),
    [
        (
            "m",
            12000,
            "the median depth is 12,000 m with the unit 'm'; with 'cm' it would be 120 m, with 'mm' it would be",
        ),
        ("mm", 12, "the median depth is 0.012 m with the unit 'mm'; with 'm' it would be 12 m"),
        ("m/256", 20, "the median depth is 0.0781 m with the unit 'm/256'; with 'm' it would be 20 m"),
        ("cm", 400_000, "the median depth is 4,000 m with the unit 'cm'; no unit makes it a usual one"),
        (3.0, 5120, "the median depth is 15,360 m with the unit 3; with 'cm' it would be 51.2 m, with 'mm' it"),
    ],
)
def test_a_depth_that_cannot_be(tmp_path: Path, unit: Any, level: float, sentence: str) -> None:
    found = survey(tmp_path, levels(0.9 * level, 1.1 * level), holds="depth", unit=unit)
    assert len(found.suspicions) == 1
    assert found.suspicions[0].startswith(sentence)


@pytest.mark.parametrize("unit", ["mm", "m/256", "cm"])
def test_a_unit_is_not_doubted_where_its_depth_is_possible(tmp_path: Path, unit: str) -> None:
    """5120 levels are 5 m in millimetres and 20 m in 1/256 m: the numbers do not tell."""
    assert survey(tmp_path, levels(4000, 6000), holds="depth", unit=unit).suspicions == ()


def test_sparse_maps_of_the_size_of_kittis_are_in_its_unit(tmp_path: Path) -> None:
    sparse = np.zeros((375, 1242))
    sparse[::5] = 5120
    sparse[::10] = 5000
    found = survey(tmp_path, sparse, holds="depth", unit="mm")
    assert found.suspicions == (
        "the images have KITTI's size and 20 % of the pixels were measured, as in KITTI's depth benchmark, whose unit "
        "is 'm/256' and not 'mm'",
    )
    assert survey(tmp_path, sparse, holds="depth", unit="m/256").suspicions == ()
    assert survey(tmp_path, levels(4000, 6000, (375, 1242)), holds="depth", unit="mm").suspicions == ()
    assert survey(tmp_path, sparse[:300], holds="depth", unit="mm").suspicions == ()


def test_disparities_that_cannot_be(tmp_path: Path) -> None:
    found = survey(tmp_path, levels(256, 5120), holds="disparity", unit="px")
    assert found.unit == "px"
    assert found.suspicions == (
        "the largest disparity is 5,120 px with the unit 'px', in images 80 pixels wide; with 'px/256' it would be "
        "20 px",
    )
    found = survey(tmp_path, levels(1, 60), holds="disparity", unit="px/256")
    assert found.suspicions == (
        "the largest disparity is 0.234 px with the unit 'px/256', so that nothing can be told apart; with 'px' it "
        "would be 60 px",
    )
    assert survey(tmp_path, levels(1, 60), holds="disparity", unit="px").suspicions == ()


def test_vectors_that_are_no_normals(tmp_path: Path) -> None:
    vectors = np.zeros((60, 80, 3))
    vectors[..., 2] = -0.5
    assert survey(tmp_path, vectors, holds="normals").suspicions == (
        "the vectors have the median length 0.5, and normals have 1",
    )
    vectors[..., 2] = 1
    found = survey(tmp_path, vectors, holds="normals")
    assert found.suspicions[0].startswith("100 % of the normals have z above 0; those that limbeck computes")
    vectors[..., 2] = -1
    found = survey(tmp_path, vectors, holds="normals")
    assert found.suspicions == ()
    assert found.median == 1
    eight_bits = np.full((60, 80, 3), (127, 128, 0), np.uint8)
    assert survey(tmp_path, eight_bits, holds="normals").suspicions == ()


def test_a_camera_of_other_images(tmp_path: Path) -> None:
    settings = {"holds": "depth", "unit": "mm", "gives": "normals"}
    assert survey(tmp_path, levels(4000, 6000), **settings, camera=CAMERA).suspicions == ()
    found = survey(tmp_path, levels(4000, 6000), **settings, camera={**CAMERA, "cx": 620, "cy": 187})
    assert found.suspicions == (
        "the camera's principal point (620, 187) is far from the middle of a.jpg with 80 x 60 pixels",
    )
    assert CameraConfig.model_validate(CAMERA).cx == 40


def test_maps_that_are_nearly_empty_or_all_the_same(tmp_path: Path) -> None:
    few = np.zeros((60, 80))
    few[0, :10] = range(3000, 3010)
    assert survey(tmp_path, few, holds="depth", unit="mm").suspicions == ("only 0.21 % of the pixels were measured",)
    assert survey(tmp_path, levels(7, 7), holds="thermal").suspicions == ("all that was measured is 7",)
    empty = survey(tmp_path, np.zeros((60, 80)), holds="thermal")
    assert empty.measured == 0
    assert math.isnan(empty.median)
    assert empty.suspicions == ("none of its pixels was measured",)


def test_some_maps_stand_for_all(tmp_path: Path, masks: Any) -> None:
    assert survey(tmp_path, *[levels(4000, 6000)] * 3, holds="depth", unit="mm").maps == 3
    records = [MaskRecord(str(n), Path("a.jpg"), (80, 60), Path("m.png"), {"x": tmp_path / "0.npy"}) for n in range(9)]
    x = {"x": XConfig(holds="depth", unit="mm")}
    data = MaskData(tuple(records), ("a",), (), MaskCode(np.zeros(1, np.uint8)), x)
    assert survey_x(data, max_maps=4)[0].maps == 4


def test_concerns_say_where(tmp_path: Path) -> None:
    found = survey(tmp_path, levels(7, 7), holds="thermal")
    assert x_concerns({"train": [found], "val": []}) == ["training maps 'x': all that was measured is 7"]
