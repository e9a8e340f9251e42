"""A few frames of KITTI's road and semantics benchmarks, written as they write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data.mask_config import CameraConfig
from limbeck.data.x_maps import read_x

MAGENTA, RED, BLACK = (255, 0, 255), (255, 0, 0), (0, 0, 0)

P2 = "7.215377e+02 0 6.095593e+02 4.485728e+01 0 7.215377e+02 1.728540e+02 2.163791e-01 0 0 1 2.745884e-03"

NORMALS = {"depth": {"holds": "depth", "unit": "mm", "gives": "normals"}}


@pytest.fixture
def road(public: Any, tmp_path: Path) -> dict[str, Any]:
    """KITTI road: one frame of um, with road and lane, and one of umm and uu each, with road only."""
    for name in ("um_000000", "umm_000000", "uu_000000"):
        public.image(tmp_path / "image_2" / f"{name}.png")
        public.save(tmp_path / "depth_u16" / f"{name}.png", public.rows(0, 5000, dtype=np.uint16))
        category, _, number = name.partition("_")
        public.save(
            tmp_path / "gt_image_2" / f"{category}_road_{number}.png", public.rows(MAGENTA, RED, BLACK, MAGENTA)
        )
        (tmp_path / "calib").mkdir(exist_ok=True)
        (tmp_path / "calib" / f"{name}.txt").write_text(f"P0: 1 2 3\nP2: {P2}\nR0_rect: 1 0 0\n")
    public.save(tmp_path / "gt_image_2" / "um_lane_000000.png", public.rows(RED, MAGENTA, BLACK))
    return {
        "images": tmp_path / "image_2",
        "masks": tmp_path / "gt_image_2",
        "x": {"depth": tmp_path / "depth_u16"},
        "cameras": tmp_path / "calib",
    }


def test_kitti_road(public: Any, road: dict[str, Any]) -> None:
    data = public.read("kitti_road", road, x={"depth": {"holds": "depth", "unit": "mm"}})
    assert data.classes == ("background", "road")
    assert [record.id for record in data.records] == ["um_000000.png", "umm_000000.png", "uu_000000.png"]
    assert all(public.labels(data, index)[:4] == [1, 0, 255, 1] for index in range(3))
    values, valid = read_x(data.records[0], "depth", data.x["depth"])
    assert values[0, :3, 0].tolist() == [0, 5, 5]
    assert valid[:3, 0].tolist() == [False, True, True]


def test_kitti_lane_is_marked_on_the_images_of_um_only(public: Any, road: dict[str, Any]) -> None:
    data = public.read("kitti_road", road, area="lane", x={"depth": {"holds": "depth", "unit": "mm"}})
    assert data.classes == ("background", "lane")
    assert [record.id for record in data.records] == ["um_000000.png"]
    assert public.labels(data)[:3] == [0, 1, 255]


def test_another_colour_is_an_error(public: Any, road: dict[str, Any]) -> None:
    public.save(road["masks"] / "uu_road_000000.png", public.rows(MAGENTA, (255, 255, 255)))
    x = {"depth": {"holds": "depth", "unit": "mm"}}
    assert "uu_road_000000.png: has the level (255, 255, 255), which" in public.refused("kitti_road", road, x=x)[0]
    found = public.refused("kitti_road", road, x=x, class_map={"road": [5], "rest": ["red"]})
    assert found == (
        "data.class_map.road: 5 is a number, but the masks are in colour; name the class instead",
        "data.class_map.rest: no level is called 'red'",
    )


def test_a_mask_without_colours_is_refused(public: Any, road: dict[str, Any]) -> None:
    path = road["masks"] / "uu_road_000000.png"
    public.save(path, public.rows(1))
    x = {"depth": {"holds": "depth", "unit": "mm"}}
    sentence = "is no colour image, but the masks of this format are in colour"
    assert public.refused("kitti_road", road, x=x) == (f"{path}: {sentence}",)


def test_kitti_calibration(public: Any, road: dict[str, Any]) -> None:
    data = public.read("kitti_road", road, x=NORMALS)
    expected = CameraConfig(fx=721.5377, fy=721.5377, cx=609.5593, cy=172.854)
    assert all(record.cameras == {"depth": expected} for record in data.records)
    own = {"depth": {**NORMALS["depth"], "camera": {"fx": 7, "fy": 7, "cx": 1, "cy": 2}}}
    assert public.read("kitti_road", road, x=own).records[0].cameras["depth"].fx == 7
    one_for_all = {**road, "cameras": road["cameras"] / "um_000000.txt"}
    assert len(public.read("kitti_road", one_for_all, x=NORMALS).records) == 3
    (road["cameras"] / "um_000000.txt").write_text("P0: 1 2 3\n")
    (road["cameras"] / "umm_000000.txt").write_text("P2: 1 2 3\n")
    (road["cameras"] / "uu_000000.txt").unlink()
    assert public.refused("kitti_road", road, x=NORMALS) == (
        f"{road['cameras'] / 'um_000000.txt'}: has no line 'P2:' or 'P_rect_02:'",
        f"{road['cameras'] / 'umm_000000.txt'}: the camera's matrix is not 12 numbers with positive focal lengths",
        f"{road['cameras'] / 'uu_000000.txt'}: no such file or directory",
    )


def test_kitti_semantics(public: Any, tmp_path: Path) -> None:
    for name in ("000000_10", "000001_10"):
        public.image(tmp_path / "image_2" / f"{name}.png")
        public.save(tmp_path / "semantic" / f"{name}.png", public.rows(7, 26, 4, 33, 255))
        public.save(tmp_path / "disp_occ_0" / f"{name}.png", public.rows(0, 2560, dtype=np.uint16))
        (tmp_path / "calib").mkdir(exist_ok=True)
        (tmp_path / "calib" / f"{name[:6]}.txt").write_text(f"calib_time: 09-Jan-2012\nP_rect_02: {P2}\n")
    part = {
        "images": tmp_path / "image_2",
        "masks": tmp_path / "semantic",
        "x": {"disparity": tmp_path / "disp_occ_0"},
        "cameras": tmp_path / "calib",
    }
    data = public.read("kitti_semantics", part, x={"disparity": {"holds": "disparity", "unit": "px/256"}})
    assert len(data.classes) == 19
    names = (*data.classes, "ignored")
    found = [names[min(label, 19)] for label in public.labels(data)[:5]]
    assert found == ["road", "car", "ignored", "bicycle", "ignored"]
    values, valid = read_x(data.records[0], "disparity", data.x["disparity"])
    assert values[0, :2, 0].tolist() == [0, 10]
    assert valid[:2, 0].tolist() == [False, True]
    x = {"disparity": {"holds": "disparity", "unit": "px/256", "gives": "normals"}}
    assert public.read("kitti_semantics", part, x=x).records[1].cameras["disparity"].cx == 609.5593
