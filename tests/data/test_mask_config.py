"""The settings of data with masks refuse what cannot work, in a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from limbeck.data.mask_config import MaskDataConfig, XConfig

CAMERA = {"fx": 700, "fy": 700, "cx": 40, "cy": 30}
DEPTH = {"holds": "depth", "unit": "mm"}
PART = {"images": "images", "masks": "masks"}
DEEP = {**PART, "x": {"depth": "depth"}}


def settings(**changes: Any) -> dict[str, Any]:
    return {"train": PART, "val": PART, "size": (320, 256), "classes": ["road", "car"], **changes}


def with_x(x: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return settings(train=DEEP, val=DEEP, x={"depth": x}, **changes)


def sentences(given: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        MaskDataConfig.model_validate(given)
    return str(caught.value)


@pytest.mark.parametrize(
    ("x", "level_value", "channels"),
    [
        (DEPTH, 1e-3, 1),
        ({"holds": "depth", "unit": "m/256"}, 1 / 256, 1),
        ({"holds": "depth", "unit": 0.5}, 0.5, 1),
        ({"holds": "depth", "unit": 2}, 2, 1),
        ({"holds": "disparity", "unit": "px/256", "offset": 1}, 1 / 256, 1),
        ({"holds": "disparity", "unit": "px", "gives": "normals", "camera": CAMERA}, 1, 3),
        ({"holds": "normals"}, 1, 3),
        ({"holds": "thermal"}, 1, 1),
        ({"holds": "thermal", "unit": 0.04, "offset": 27315}, 0.04, 1),
        ({"holds": "other", "unit": "raw", "invalid": []}, 1, 1),
    ],
)
def test_units_and_channels(x: dict[str, Any], level_value: float, channels: int) -> None:
    config = XConfig.model_validate(x)
    assert config.level_value == level_value
    assert config.channels == channels


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        ({"holds": "depth"}, "unit is missing: what one stored level of depth is worth, 'm', 'cm', 'mm', 'm/256' or a"),
        ({"holds": "disparity"}, "unit is missing: what one stored level of disparity is worth, 'px', 'px/256' or a"),
        ({"holds": "depth", "unit": "mm/256"}, r"unit 'mm/256' is not one of depth (did you mean 'm/256'?); there are"),
        ({"holds": "depth", "unit": "px"}, "unit 'px' is not one of depth; there are 'm', 'cm', 'mm', 'm/256'"),
        ({"holds": "depth", "unit": -1}, "greater than 0"),
        ({"holds": "normals", "unit": 2.0}, "unit and offset are not for normals"),
        ({"holds": "normals", "offset": 1}, "unit and offset are not for normals"),
        ({"holds": "thermal", "gives": "normals"}, "gives: normals is for depth and disparity, not for thermal"),
        ({"holds": "normals", "gives": "normals"}, "gives: normals is for depth and disparity, not for normals"),
        ({**DEPTH, "camera": CAMERA}, "camera is used with gives: normals only"),
        ({**DEPTH, "camera": {**CAMERA, "fx": 0}}, "greater than 0"),
        ({"holds": "lidar"}, "Input should be 'depth', 'disparity', 'normals', 'thermal' or 'other'"),
    ],
)
def test_a_wrong_modality_is_refused(x: dict[str, Any], sentence: str) -> None:
    assert sentence in sentences(with_x(x))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("image", "'image' is the name of the colour image"),
        *((n, "must be small letters") for n in ("Z", "2d", "x-ray")),
    ],
)
def test_a_modality_has_a_name_that_an_input_can_have(name: str, sentence: str) -> None:
    part = {**PART, "x": {name: "depth"}}
    assert sentence in sentences(settings(x={name: DEPTH}, train=part, val=part))


def test_names_of_the_modalities_are_those_of_the_folders_in_every_part() -> None:
    wrong = {**PART, "x": {"deph": "depth"}}
    text = sentences(settings(train=DEEP, val=wrong, test=PART, x={"depth": DEPTH}))
    assert "val.x.depth is missing: the folder of its maps" in text
    assert "val.x.deph is a folder of maps, but x has no 'deph' (did you mean 'depth'?)" in text
    assert "test.x.depth is missing" in text
    assert "train.x" not in text


def test_normals_need_a_camera_or_calibration_files() -> None:
    normals = {**DEPTH, "gives": "normals"}
    MaskDataConfig.model_validate(with_x({**normals, "camera": CAMERA}))
    text = sentences(with_x(normals))
    assert text.count("x.depth.camera is missing: normals need fx, fy, cx and cy") == 1  # though both parts need it
    assert "cameras" not in text.split("cx and cy")[1].split(";")[0]
    text = sentences(with_x(normals, format="kitti_road"))
    assert "cx and cy, or train.cameras, the folder calib" in text
    calibrated = {**DEEP, "cameras": "calib"}
    MaskDataConfig.model_validate(settings(x={"depth": normals}, train=calibrated, val=calibrated, format="kitti_road"))
    assert "train.cameras is not for the format folders, which has no calibration files" in sentences(
        settings(x={"depth": normals}, train=calibrated, val=calibrated)
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"classes": None}, "classes is missing: the names of the levels 0, 1, 2, ...; or class_map"),
        ({"class_map": {}}, "class_map is empty"),
        ({"class_map": {"road": [1], "car": []}}, "class_map.car has no level in it"),
        ({"class_map": {"road": [1, 2], "car": [2]}}, "class_map.car has the level 2 and so has class_map.road"),
        ({"class_map": {"road": [1, 1], "car": [2]}}, "class_map.road has the level 1 twice"),
        (
            {"class_map": {"road": [-1], "car": [70000]}},
            "class_map.car has the level 70000; levels are from 0 to 65535",
        ),
        ({"class_map": {"road": [1], "cars": [2]}}, "'car', which class_map does not have (did you mean 'cars'?)"),
        ({"class_map": {"road": [0], "car": [1]}, "ignore": [1, 7]}, "ignore has the level 1, which class_map.car has"),
        ({"classes": [str(n) for n in range(255)]}, "there are 255 classes; a mask can have 254"),
        ({"area": "lane"}, "area is for the format kitti_road, not for folders"),
        ({"format": "folder"}, "Input should be 'folders', 'kitti_road'"),
        ({"train": {"images": "images"}}, "masks"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, Any], sentence: str) -> None:
    assert sentence in sentences(settings(**change))


def test_all_problems_are_told_at_once() -> None:
    text = sentences(settings(train=DEEP, class_map={"road": [1], "car": [1]}, area="lane"))
    assert all(part in text for part in ("train.x.depth is a folder", "has the level 1 and so has", "area is for"))
