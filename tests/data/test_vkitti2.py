"""A few frames of Virtual KITTI 2, written as it writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data.mask_config import CameraConfig
from limbeck.data.x_maps import read_x

COLOURS = "Category r g b\nTerrain 210 0 200\nSky 90 200 255\nRoad 100 60 100\nCar 255 127 80\n"

TERRAIN, SKY, ROAD, CAR, BLACK = (210, 0, 200), (90, 200, 255), (100, 60, 100), (255, 127, 80), (0, 0, 0)

INTRINSIC = "frame cameraID K[0,0] K[1,1] K[0,2] K[1,2]\n"


@pytest.fixture
def virtual(public: Any, tmp_path: Path) -> dict[str, Any]:
    """Virtual KITTI 2: two frames of two cameras in two sequences, all in one tree."""
    for sequence in ("Scene01/clone", "Scene20/15-deg-left"):
        root = tmp_path / sequence
        for camera, frame in ((0, 0), (0, 1), (1, 0), (1, 1)):
            name = f"Camera_{camera}/{{}}_{frame:05d}".format
            public.image(root / "frames" / "rgb" / f"{name('rgb')}.jpg")
            depth = public.rows(1500, 1500, 65535, dtype=np.uint16)
            public.save(root / "frames" / "depth" / f"{name('depth')}.png", depth)
            classes = public.rows(ROAD, CAR, SKY, TERRAIN, BLACK)
            public.save(root / "frames" / "classSegmentation" / f"{name('classgt')}.png", classes)
            public.save(root / "frames" / "instanceSegmentation" / f"{name('instancegt')}.png", public.rows(3))
        (root / "colors.txt").write_text(COLOURS)
        lines = [f"{frame} {camera} 725.0087 725.0087 620.5 187\n" for frame in (0, 1) for camera in (0, 1)]
        (root / "intrinsic.txt").write_text(INTRINSIC + "".join(lines))
    return {"images": tmp_path, "masks": tmp_path, "x": {"depth": tmp_path}, "cameras": tmp_path}


DEPTH_CM = {"depth": {"holds": "depth", "unit": "cm", "invalid": [65535]}}


def test_vkitti2(public: Any, virtual: dict[str, Any]) -> None:
    data = public.read("vkitti2", virtual, x=DEPTH_CM)
    assert data.classes == ("Terrain", "Sky", "Road", "Car")
    assert len(data.records) == 8
    first = data.records[0]
    assert first.id == "Scene01/clone/frames/rgb/Camera_0/rgb_00000.jpg"
    assert first.mask.name == "classgt_00000.png"
    assert first.x["depth"] == virtual["images"] / "Scene01/clone/frames/depth/Camera_0/depth_00000.png"
    assert public.labels(data)[:5] == [2, 3, 1, 0, 255]
    values, valid = read_x(first, "depth", data.x["depth"])
    assert values[0, 1:3, 0].tolist() == [15, 0]
    assert valid[1:3, 0].tolist() == [True, False]


def test_a_list_and_the_images_of_one_sequence(public: Any, virtual: dict[str, Any], tmp_path: Path) -> None:
    names = ["Scene20/15-deg-left/frames/rgb/Camera_1/rgb_00001.jpg", "Scene01/clone/frames/rgb/Camera_0/rgb_00000"]
    (tmp_path / "train.txt").write_text("\n".join(names))
    data = public.read("vkitti2", {**virtual, "list": tmp_path / "train.txt"}, x=DEPTH_CM)
    assert [record.id.removesuffix(".jpg") for record in data.records] == [n.removesuffix(".jpg") for n in names]
    scene = tmp_path / "Scene01" / "clone"
    data = public.read("vkitti2", {"images": scene, "masks": scene, "x": {"depth": scene}}, x=DEPTH_CM)
    assert len(data.records) == 4
    assert data.records[0].id == "frames/rgb/Camera_0/rgb_00000.jpg"


def test_classes_of_vkitti2_may_be_joined_by_name(public: Any, virtual: dict[str, Any]) -> None:
    data = public.read(
        "vkitti2", virtual, x=DEPTH_CM, class_map={"drivable": ["Road"], "rest": ["Terrain", "Sky", "Car"]}
    )
    assert public.labels(data)[:5] == [0, 1, 1, 1, 255]


def test_cameras_of_vkitti2(public: Any, virtual: dict[str, Any]) -> None:
    x = {"depth": {**DEPTH_CM["depth"], "gives": "normals"}}
    camera = public.read("vkitti2", virtual, x=x).records[0].cameras["depth"]
    assert camera == CameraConfig(fx=725.0087, fy=725.0087, cx=620.5, cy=187)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (INTRINSIC + "0 0 1 1 1 1\n0 1 1 1 1 1\n1 0 1 1 1 1\n", "has no line for frame 1 of camera 1"),
        (INTRINSIC + "0 0 1 1 1\n", "the line '0 0 1 1 1' is not frame, camera, fx, fy, cx, cy"),
        (INTRINSIC + "0 0 0 1 1 1\n", "the line '0 0 0 1 1 1' is not frame, camera, fx, fy, cx, cy"),
    ],
)
def test_a_broken_camera_of_vkitti2(public: Any, virtual: dict[str, Any], text: str, sentence: str) -> None:
    path = virtual["images"] / "Scene01/clone/intrinsic.txt"
    path.write_text(text)
    x = {"depth": {**DEPTH_CM["depth"], "gives": "normals"}}
    assert public.refused("vkitti2", virtual, x=x) == (f"{path}: {sentence}",)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Category r g b\nRoad 1 2 3\n", "has other classes or colours than"),
        ("Road 1 2 3\n", "the first line is 'Road 1 2 3', not 'Category r g b'"),
        ("Category r g b\nRoad 1 2\n", "the line 'Road 1 2' is not a name and three numbers up to 255"),
        ("Category r g b\nRoad 1 2 256\n", "the line 'Road 1 2 256' is not a name and three numbers up to 255"),
        ("Category r g b\nRoad 1 2 3\nCar 1 2 3\n", "a class or a colour stands twice"),
        ("", "the first line is '', not 'Category r g b'"),
    ],
)
def test_a_broken_file_of_colours(public: Any, virtual: dict[str, Any], text: str, sentence: str) -> None:
    path = virtual["images"] / "Scene20/15-deg-left/colors.txt"
    path.write_text(text)
    found = public.refused("vkitti2", virtual, x=DEPTH_CM)
    assert found[0].startswith(f"{path}: {sentence}")
