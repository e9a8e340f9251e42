"""Two frames of Cityscapes, written as it writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data.cityscapes import CLASSES, LEVELS
from limbeck.data.mask_config import CameraConfig
from limbeck.data.x_maps import read_x

DISPARITY = {"holds": "disparity", "unit": "px/256", "offset": 1}


@pytest.fixture
def city(public: Any, tmp_path: Path) -> dict[str, Any]:
    """Cityscapes: two frames of two cities, with the other files that lie beside the masks."""
    for city in ("aachen", "bad-honnef"):
        name = f"{city}/{city}_000000_000019"
        public.image(tmp_path / "leftImg8bit" / f"{name}_leftImg8bit.png")
        public.save(tmp_path / "gtFine" / f"{name}_gtFine_labelIds.png", public.rows(7, 9, 26, 255, 0))
        public.save(tmp_path / "gtFine" / f"{name}_gtFine_color.png", public.rows((255, 0, 255)))
        public.save(tmp_path / "gtFine" / f"{name}_gtFine_instanceIds.png", public.rows(26001, dtype=np.uint16))
        public.save(tmp_path / "disparity" / f"{name}_disparity.png", public.rows(0, 1, 2561, dtype=np.uint16))
        camera = tmp_path / "camera" / f"{name}_camera.json"
        camera.parent.mkdir(parents=True, exist_ok=True)
        intrinsic = {"fx": 2262.52, "fy": 2265.30, "u0": 1096.98, "v0": 513.137}
        camera.write_text(json.dumps({"extrinsic": {"baseline": 0.209313}, "intrinsic": intrinsic}))
    return {
        "images": tmp_path / "leftImg8bit",
        "masks": tmp_path / "gtFine",
        "x": {"disparity": tmp_path / "disparity"},
        "cameras": tmp_path / "camera",
    }


def test_cityscapes(public: Any, city: dict[str, Any]) -> None:
    data = public.read("cityscapes", city, x={"disparity": DISPARITY})
    assert data.classes == tuple(CLASSES)
    assert [record.id for record in data.records][1] == "bad-honnef/bad-honnef_000000_000019_leftImg8bit.png"
    assert public.labels(data, 1)[:5] == [0, 255, 13, 255, 255]
    values, valid = read_x(data.records[0], "disparity", data.x["disparity"])
    assert values[0, :3, 0].tolist() == [0, 0, 10]
    assert valid[:3, 0].tolist() == [False, False, True]
    normals = public.read("cityscapes", city, x={"disparity": {**DISPARITY, "gives": "normals"}})
    assert normals.records[0].cameras["disparity"] == CameraConfig(fx=2262.52, fy=2265.30, cx=1096.98, cy=513.137)


def test_the_labels_of_cityscapes_are_all_there_is(public: Any) -> None:
    assert sorted(LEVELS.values()) == [*range(34), 255]


def test_classes_of_cityscapes_may_be_joined_by_name(public: Any, city: dict[str, Any]) -> None:
    x = {"disparity": DISPARITY}
    data = public.read("cityscapes", city, x=x, class_map={"flat": ["road", "parking"], "vehicle": ["car", 27]})
    assert data.classes == ("flat", "vehicle")
    assert public.labels(data)[:5] == [0, 0, 1, 255, 255]  # the other void labels stay void
    found = public.refused(
        "cityscapes", city, x=x, class_map={"flat": ["rod", 7], "drive": ["road"]}, ignore=["car", 26]
    )
    assert found == (
        "data.class_map.flat: no level is called 'rod' (did you mean 'road'?)",
        "data.class_map.drive: has the level 7, which data.class_map.flat has too",
        "data.ignore: has the level 26, which data.ignore has too",
    )
    found = public.refused("cityscapes", city, x=x, class_map={"flat": ["road"]})
    assert "has the level 26 ('car'), which stands for no class" in found[0]
    assert public.labels(public.read("cityscapes", city, x=x, class_map={"flat": ["road"]}, ignore="others"))[:3] == [
        0,
        255,
        255,
    ]
    assert public.refused("cityscapes", city, x=x, classes=["road", "cars"]) == (
        "data.classes: no class is called 'cars' (did you mean 'car'?)",
    )
    data = public.read("cityscapes", city, x=x, classes=["car"])
    assert public.labels(data)[:3] == [255, 255, 0]
    assert data.skipped[0].startswith("data.classes: pixels of 'road', 'sidewalk', ")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not valid json"),
        ("[]", "has no 'intrinsic' with fx, fy, u0 and v0"),
        ('{"intrinsic": {"fx": 1, "fy": 2, "u0": 3}}', "the camera cannot be used; cy: "),
        ('{"intrinsic": {"fx": 0, "fy": 2, "u0": 3, "v0": 3}}', "the camera cannot be used; fx: "),
    ],
)
def test_a_broken_camera_of_cityscapes(public: Any, city: dict[str, Any], text: str, sentence: str) -> None:
    path = city["cameras"] / "aachen" / "aachen_000000_000019_camera.json"
    path.write_text(text)
    found = public.refused("cityscapes", city, x={"disparity": {**DISPARITY, "gives": "normals"}})
    assert found[0].startswith(f"{path}: {sentence}")


def test_images_that_are_not_called_as_in_the_format(public: Any, city: dict[str, Any], tmp_path: Path) -> None:
    public.image(tmp_path / "flat" / "a.png")
    found = public.refused("cityscapes", {**city, "images": tmp_path / "flat"}, x={"disparity": DISPARITY})
    assert "no image in it that is called like 'aachen/aachen_000000_000019_leftImg8bit.png'" in found[0]
