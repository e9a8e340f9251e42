"""KITTI's object benchmark: boxes from the camera's frame into the LiDAR's, levels, and labels without a camera."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data.cloud_config import CloudDataConfig
from limbeck.data.cloud_readers import read_cloud_parts
from limbeck.data.cloud_records import CloudData
from limbeck.data.kitti_lidar import camera_box, read_calibration
from limbeck.errors import DataError

# x of the camera is -y of the LiDAR, y is -z, z is x; the camera sits 0.27 m behind and 0.08 m below the LiDAR.
TO_CAMERA = np.array([[0, -1, 0, 0.0], [0, 0, -1, -0.08], [1, 0, 0, -0.27]])
CAR = "Car 0.00 0 -1.58 587.01 173.33 614.12 213.40 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59"


class Kitti:
    """Frame 000000 and 000001 of KITTI in both parts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings: dict[str, Any] = {"format": "kitti"}
        for part in ("train", "val"):
            self.settings[part] = {
                "clouds": root / part / "velodyne",
                "labels": root / part / "label_2",
                "calib": root / part / "calib",
            }
            for folder in self.settings[part].values():
                folder.mkdir(parents=True)
            for name in ("000000", "000001"):
                np.random.default_rng(0).uniform(0, 60, (200, 4)).astype("<f4").tofile(
                    self.file("velodyne", name, part)
                )
                self.label(CAR, name=name, part=part)
                self.calibrate(TO_CAMERA, name=name, part=part)

    def file(self, kind: str, name: str = "000000", part: str = "train") -> Path:
        return self.root / part / kind / f"{name}.{'bin' if kind == 'velodyne' else 'txt'}"

    def label(self, *lines: str, name: str = "000000", part: str = "train") -> Path:
        path = self.file("label_2", name, part)
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    def calibrate(self, to_camera: np.ndarray, rectify: np.ndarray | None = None, **where: str) -> Path:
        def text(matrix: np.ndarray) -> str:
            return " ".join(f"{number:.12e}" for number in matrix.ravel())

        path = self.file("calib", **where)
        rotation = np.eye(3) if rectify is None else rectify
        path.write_text(f"P2: {text(np.eye(3, 4))}\nR0_rect: {text(rotation)}\nTr_velo_to_cam: {text(to_camera)}\n\n")
        return path

    def read(self) -> CloudData:
        return read_cloud_parts(CloudDataConfig.model_validate(self.settings))["train"]

    def problems(self) -> tuple[str, ...]:
        with pytest.raises(DataError) as caught:
            self.read()
        return caught.value.problems


@pytest.fixture
def kitti(tmp_path: Path) -> Kitti:
    return Kitti(tmp_path)


def _turn(axis: int, angle: float) -> np.ndarray:
    matrix = np.eye(3)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix[[first, second], [first, second]] = math.cos(angle)
    matrix[first, second], matrix[second, first] = -math.sin(angle), math.sin(angle)
    return matrix


def test_a_box_by_hand(kitti: Kitti) -> None:
    data = kitti.read()
    assert data.classes == ("Car",)
    record = data.records[0]
    assert (record.id, record.path) == ("000000", kitti.file("velodyne"))
    x, y, z = 46.70 + 0.27, 0.65, -(1.71 - 1.65 / 2) - 0.08
    np.testing.assert_allclose(record.boxes, [[x, y, z, 3.64, 1.67, 1.65, 1.59 - math.pi / 2]], rtol=1e-6)
    assert record.levels.tolist() == [0]
    assert (record.num_points >= 0).all()


def test_corners_agree_with_the_benchmarks_own_where_the_camera_is_turned(kitti: Kitti) -> None:
    # Turned about the LiDAR's z and moved only, so that no box leans: all corners must agree.
    to_camera = TO_CAMERA.copy()
    to_camera[:, :3] = TO_CAMERA[:, :3] @ _turn(2, 0.3)
    rectify = _turn(1, -0.02)
    to_lidar = read_calibration(kitti.calibrate(to_camera, rectify))
    height, width, length, x, y, z, angle = 1.5, 1.6, 4.0, -2.0, 1.7, 20.0, 0.7
    corners = np.array([[s * length / 2, -u * height, t * width / 2] for s in (1, -1) for t in (1, -1) for u in (0, 1)])
    in_camera = corners @ _turn(1, angle).T + [x, y, z]
    expected = in_camera @ to_lidar[:3, :3].T + to_lidar[:3, 3]
    cx, cy, cz, dl, dw, dh, yaw = camera_box((0,) * 7 + (height, width, length, x, y, z, angle), to_lidar)
    own = np.array([[s * dl / 2, t * dw / 2, (u - 0.5) * dh] for s in (1, -1) for t in (1, -1) for u in (0, 1)])
    np.testing.assert_allclose(own @ _turn(2, yaw).T + [cx, cy, cz], expected, atol=1e-9)


def test_the_calibration_is_inverted_exactly(kitti: Kitti) -> None:
    to_camera = np.hstack([_turn(0, -1.5) @ _turn(1, 0.1) @ _turn(2, 1.5), [[0.1], [-0.2], [0.3]]])
    rectify = _turn(0, 0.01) @ _turn(2, -0.02)
    to_lidar = read_calibration(kitti.calibrate(to_camera, rectify))
    point = np.array([12.0, -3.0, 0.5])
    seen = rectify @ (to_camera[:, :3] @ point + to_camera[:, 3])
    np.testing.assert_allclose(to_lidar @ [*seen, 1], [*point, 1], atol=1e-9)


@pytest.mark.parametrize(
    ("truncation", "occlusion", "height", "level"),
    [
        (0.0, 0, 40, 0),
        (0.15, 0, 39.9, 1),
        (0.16, 0, 50, 1),
        (0.0, 1, 25, 1),
        (0.31, 1, 25, 2),
        (0.0, 2, 60, 2),
        (0.0, 0, 24.9, 3),
        (0.51, 0, 60, 3),
        (0.0, 3, 60, 3),
    ],
)
def test_levels_by_the_rules_of_the_benchmark(
    kitti: Kitti, truncation: float, occlusion: int, height: float, level: int
) -> None:
    kitti.label(f"Car {truncation} {occlusion} 0 100 100 150 {100 + height} 1.5 1.6 4 0 1.7 20 0")
    assert kitti.read().records[0].levels.tolist() == [level]


def test_classes_come_in_the_usual_order_and_what_is_no_object_is_left_out(kitti: Kitti) -> None:
    others = [CAR.replace("Car", name) for name in ("Tram", "Wagon", "Cyclist", "Bike")]
    dont_care = "DontCare -1 -1 -10 503.89 169.71 590.61 190.13 -1 -1 -1 -1000 -1000 -1000 -10"
    flat = "Van 0 0 0 1 2 3 4 0 0 0 0 0 0 0"
    kitti.label(*others, dont_care, flat, "", f"{CAR} 0.9")
    data = kitti.read()
    assert data.classes == ("Car", "Cyclist", "Tram", "Bike", "Wagon")
    assert data.records[0].labels.tolist() == [2, 4, 1, 3, 0]
    folder = kitti.root / "train/label_2"
    assert data.skipped == (f"{folder}: objects that have a box in the image only are left out: 1",)


@pytest.mark.parametrize(
    ("settings", "ignored"),
    [
        ({"classes": ("Car",)}, [False, True]),
        ({"class_map": {"vehicle": ("Car",), "person": ("Pedestrian",)}}, [False, True, False, True]),
        ({"class_map": {"vehicle": ("Car", "Van")}}, [False, False]),
        ({"class_map": {"tall": ("Van", "Tram"), "vehicle": ("Car",)}}, [False, False]),
        ({"classes": ("Car",), "ignore_map": {}}, [False]),
        ({"classes": ("Car",), "ignore_map": {"Car": ("Person_sitting",)}}, [False, True]),
        ({}, [False] * 4),
    ],
)
def test_neighbours_of_a_class_are_ignored_as_the_benchmark_does(kitti: Kitti, settings, ignored) -> None:
    kitti.label(*(CAR.replace("Car", name) for name in ("Car", "Van", "Pedestrian", "Person_sitting")))
    kitti.settings |= settings
    assert kitti.read().records[0].ignore.tolist() == ignored


def test_labels_in_the_frame_of_the_lidar(kitti: Kitti) -> None:
    kitti.settings["label_frame"] = "lidar"
    for part in ("train", "val"):
        kitti.settings[part].pop("calib")
    kitti.label("cone 0.00 0 0.00 0.00 0.00 0.00 0.00 0.358 0.251 0.2 19.905 4.934 -0.971 0.25")
    data = kitti.read()
    assert data.classes == ("Car", "cone")
    record = data.records[0]
    np.testing.assert_allclose(record.boxes, [[19.905, 4.934, -0.971, 0.2, 0.251, 0.358, 0.25]], rtol=1e-6)
    assert record.levels.tolist() == [0]


def test_broken_lines_and_calibration_are_named(kitti: Kitti) -> None:
    labels = kitti.label("Car 0 0 0 1 2 3", CAR, "Car Car", CAR.replace("1.67", "-2"))
    calib = kitti.file("calib", "000001")
    calib.write_text(calib.read_text().replace("R0_rect", "R_rect"))
    val = kitti.file("calib", part="val")
    val.write_text(val.read_text().replace("Tr_velo_to_cam:", "Tr_velo_to_cam: 1"))
    missing = kitti.file("calib", "000001", "val")
    missing.unlink()
    assert kitti.problems() == (
        f"{labels}: 2 lines, the first line 1, are not a name and 14 numbers: 'Car 0 0 0 1 2 3'",
        f"{labels}: line 4 has the box [46.97, 0.65, -0.965, 3.64, -2, 1.65, 0.0192037], whose width is not positive",
        f"{calib}: has no line 'R0_rect:'",
        f"{val}: has a line 'Tr_velo_to_cam:' that is not 12 numbers",
        f"{missing}: no such file or directory",
    )
    singular = kitti.calibrate(np.zeros((3, 4)))
    with pytest.raises(DataError, match="are no rotations"):
        read_calibration(singular)
