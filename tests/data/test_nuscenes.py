"""Tables as nuScenes has them: boxes by hand, velocities, sweeps, and what does not fit together."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data.cloud_config import CloudDataConfig
from limbeck.data.cloud_points import read_points
from limbeck.data.cloud_readers import read_cloud_parts
from limbeck.data.cloud_records import CloudData
from limbeck.data.nuscenes_tables import pose, rotations
from limbeck.errors import DataError

HALF_SECOND = 500_000
CATEGORIES = ("vehicle.car", "human.pedestrian.child", "animal")
SENSOR = {"translation": [1.0, 0.0, 2.0], "rotation": [math.cos(-math.pi / 4), 0, 0, math.sin(-math.pi / 4)]}
"""The LiDAR of the vehicle is 1 m ahead, 2 m up, and its x looks to the right of the vehicle, as in nuScenes."""


def _about_z(angle: float) -> list[float]:
    return [math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2)]


class NuScenes:
    """Two scenes of three samples, with two sweeps between each; the vehicle drives along y at 10 m/s.

    In each sample stands a car, which drives along y at 4 m/s, a child, and in the first an animal.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tables: dict[str, list[dict[str, Any]]] = {name: [] for name in ("scene", "sample", "sample_data")}
        self.tables |= {name: [] for name in ("ego_pose", "instance", "sample_annotation")}
        self.tables["category"] = [{"token": f"c{n}", "name": name} for n, name in enumerate(CATEGORIES)]
        self.tables["calibrated_sensor"] = [{"token": "lidar", **SENSOR}]
        for scene in ("scene-0001", "scene-0002"):
            self._add_scene(scene, start=1_000_000_000 * (len(self.tables["scene"]) + 1))
        self.settings: dict[str, Any] = {"format": "nuscenes"}
        for part, scene in (("train", "scene-0001"), ("val", "scene-0002")):
            (root / f"{part}.txt").write_text(f"{scene}\n")
            self.settings[part] = {"clouds": root, "labels": root / "v1.0-mini", "list": root / f"{part}.txt"}
        self.write()

    def _add_scene(self, scene: str, start: int) -> None:
        self.tables["scene"].append({"token": scene.upper(), "name": scene})
        for n in range(3):
            token = f"{scene}/{n}"
            self.tables["sample"].append(
                {"token": token, "timestamp": start + n * HALF_SECOND, "scene_token": scene.upper()}
            )
        for n in range(7):
            seconds = n / 6
            row = {
                "token": f"{scene}:{n}",
                "sample_token": f"{scene}/{min(2, (n + 2) // 3)}",
                "ego_pose_token": f"{scene}:{n}",
                "calibrated_sensor_token": "lidar",
                "filename": f"{'sweeps' if n % 3 else 'samples'}/LIDAR_TOP/{scene}_{n}.pcd.bin",
                "timestamp": start + round(seconds * 1e6),
                "is_key_frame": n % 3 == 0,
                "prev": f"{scene}:{n - 1}" if n else "",
            }
            self.tables["sample_data"] += [row, {**row, "token": f"{scene}:{n}c", "filename": f"samples/CAM/{n}.jpg"}]
            pose = {"token": row["token"], "translation": [100.0, 10 * seconds, 0.0], "rotation": _about_z(math.pi / 2)}
            self.tables["ego_pose"].append(pose)
            path = self.root / row["filename"]
            path.parent.mkdir(parents=True, exist_ok=True)
            np.array([[1, 2, 3, 4, 5], [n, 0, 0, 7, 0]], "<f4").tofile(path)
        for k, category in enumerate((0, 1, 2)):
            instance = f"{scene}-{k}"
            self.tables["instance"].append({"token": instance, "category_token": f"c{category}"})
            for n in range(3 if k < 2 else 1):
                self._annotate(scene, instance, k, n)

    def _annotate(self, scene: str, instance: str, k: int, n: int) -> None:
        self.tables["sample_annotation"].append(
            {
                "token": f"{instance}:{n}",
                "sample_token": f"{scene}/{n}",
                "instance_token": instance,
                "translation": [110.0 + k, 4.0 * n / 2 if k == 0 else 0.0, 1.0],
                "size": [1.9, 4.5, 1.6],
                "rotation": _about_z(math.pi / 2),
                "num_lidar_pts": 30 - n,
                "prev": f"{instance}:{n - 1}" if n else "",
                "next": f"{instance}:{n + 1}" if n < 2 and k < 2 else "",
            }
        )

    def rows(self, table: str, **fields: Any) -> list[dict[str, Any]]:
        return [row for row in self.tables[table] if all(row[name] == value for name, value in fields.items())]

    def write(self) -> None:
        folder = self.root / "v1.0-mini"
        folder.mkdir(exist_ok=True)
        for name, rows in self.tables.items():
            (folder / f"{name}.json").write_text(json.dumps(rows, indent=0))

    def read(self, **settings: Any) -> CloudData:
        self.write()
        return read_cloud_parts(CloudDataConfig.model_validate(self.settings | settings))["train"]

    def problems(self, **settings: Any) -> list[str]:
        with pytest.raises(DataError) as caught:
            self.read(**settings)
        return [problem.replace(f"{self.root}/", "") for problem in caught.value.problems]


@pytest.fixture
def nuscenes(tmp_path: Path) -> NuScenes:
    return NuScenes(tmp_path)


def test_keyframes_of_the_listed_scenes_with_their_boxes(nuscenes: NuScenes) -> None:
    data = nuscenes.read()
    assert data.classes == ("car", "pedestrian")
    assert data.form.columns == data.form.features == ("x", "y", "z", "intensity", "ring")
    assert [record.id for record in data.records] == ["scene-0001/0", "scene-0001/1", "scene-0001/2"]
    second = data.records[1]
    assert second.path == nuscenes.root / "samples/LIDAR_TOP/scene-0001_3.pcd.bin"
    assert second.labels.tolist() == [0, 1]
    assert second.num_points.tolist() == [29, 29]
    assert second.sweeps == ()
    # The vehicle looks along y of the world and the LiDAR to its right, along x: the axes of LiDAR and world agree.
    # The LiDAR is at (100, 5 + 1, 2).
    expected = [[10, 2 - 6, -1, 4.5, 1.9, 1.6, math.pi / 2], [11, -6, -1, 4.5, 1.9, 1.6, math.pi / 2]]
    np.testing.assert_allclose(second.boxes, expected, atol=1e-5)
    folder = nuscenes.root / "v1.0-mini"
    assert data.skipped == (f"{folder}: 1 objects of 'animal' are left out, as it is not among the classes to learn",)


def test_velocities_are_those_of_the_neighbours_in_the_frame_of_the_lidar(nuscenes: NuScenes) -> None:
    for record in nuscenes.read().records:
        np.testing.assert_allclose(record.velocities, [[0, 4], [0, 0]], atol=1e-4)
    nuscenes.rows("calibrated_sensor")[0]["rotation"] = [1, 0, 0, 0]  # the LiDAR looks ahead, along y of the world
    np.testing.assert_allclose(nuscenes.read().records[1].velocities, [[4, 0], [0, 0]], atol=1e-4)


def test_velocities_over_too_long_a_time_or_of_a_single_annotation_are_not_known(nuscenes: NuScenes) -> None:
    data = nuscenes.read(class_map={"animal": ["animal"]})
    assert np.isnan(data.records[0].velocities).all()
    for row in nuscenes.rows("sample", scene_token="SCENE-0001"):
        row["timestamp"] += 2 * HALF_SECOND * int(row["token"][-1])  # 1.5 s from one to the next
    assert np.isfinite(nuscenes.read().records[1].velocities).all()
    nuscenes.rows("sample", token="scene-0001/2")[0]["timestamp"] += 1
    first, second, third = (np.isnan(record.velocities).any() for record in nuscenes.read().records)
    assert (first, second, third) == (False, True, True)


def test_earlier_sweeps_come_in_the_frame_of_the_keyframe_with_their_lag(nuscenes: NuScenes) -> None:
    data = nuscenes.read(sweeps=3, features=("x", "y", "z", "time"))
    assert [len(record.sweeps) for record in data.records] == [0, 2, 2]
    second = data.records[1]
    assert [sweep.path.name for sweep in second.sweeps] == ["scene-0001_2.pcd.bin", "scene-0001_1.pcd.bin"]
    np.testing.assert_allclose([sweep.seconds for sweep in second.sweeps], [1 / 6, 2 / 6], atol=1e-6)
    points = read_points(second, data)
    expected = [[1, 2, 3, 0], [3, 0, 0, 0]]
    for n, lag in ((2, 1 / 6), (1, 2 / 6)):  # the LiDAR was so much behind along y, and sees along the world's axes
        expected += [[1, 2 - 10 * lag, 3, lag], [n, -10 * lag, 0, lag]]
    np.testing.assert_allclose(points, expected, atol=1e-4)


def test_sweeps_reach_back_before_earlier_keyframes(nuscenes: NuScenes) -> None:
    data = nuscenes.read(sweeps=10)
    names = [sweep.path.name for sweep in data.records[2].sweeps]
    assert names == [f"scene-0001_{n}.pcd.bin" for n in (5, 4, 3, 2, 1, 0)]


def test_a_class_map_takes_categories(nuscenes: NuScenes) -> None:
    data = nuscenes.read(class_map={"alive": ["animal", "human.pedestrian.child"]})
    assert data.classes == ("alive",)
    assert [len(record.labels) for record in data.records] == [2, 1, 1]


def test_without_a_list_all_scenes_are_read_in_the_order_of_the_table(nuscenes: NuScenes) -> None:
    nuscenes.settings["train"].pop("list")
    nuscenes.tables["scene"].reverse()
    nuscenes.tables["sample"].reverse()
    ids = [record.id for record in nuscenes.read().records]
    assert ids == [f"{scene}/{n}" for scene in ("scene-0002", "scene-0001") for n in range(3)]


def test_a_list_with_a_scene_that_is_not_there(nuscenes: NuScenes) -> None:
    (nuscenes.root / "train.txt").write_text("scene-001\n")
    problem = f"train.txt: {nuscenes.root}/v1.0-mini has no scene 'scene-001' (did you mean 'scene-0001'?)"
    assert nuscenes.problems() == [problem.replace(f"{nuscenes.root}/", "")]
    (nuscenes.root / "train.txt").write_text("\n")
    assert nuscenes.problems() == ["train.txt: names no scene"]


def test_tables_that_do_not_fit_together(nuscenes: NuScenes) -> None:
    nuscenes.tables["ego_pose"].pop(0)
    nuscenes.tables["category"].pop(1)
    problems = [
        "v1.0-mini/ego_pose.json: lacks 1 tokens that other tables name, the first 'scene-0001:0'",
        "v1.0-mini/instance.json: lacks 1 tokens that other tables name, the first 'scene-0001-1'",
    ]
    assert nuscenes.problems()[:2] == problems
    nuscenes.tables["sample_annotation"].append(nuscenes.tables["sample_annotation"][0])
    assert nuscenes.problems()[0] == (
        "v1.0-mini/sample_annotation.json: the token 'scene-0001-0:0' is used more than once"
    )


@pytest.mark.parametrize(
    ("table", "change", "problem"),
    [
        ("sample_annotation", {"size": [1, 2]}, "entry 1 has the size [1, 2], which is not 3 numbers"),
        ("ego_pose", {"rotation": None}, "entry 1 has the rotation None, which is not 4 numbers"),
        ("sample", {"timestamp": "noon"}, "entry 1 has the timestamp 'noon', which is not a whole number"),
        ("scene", {"name": 3}, "entry 1 has the name 3, which is not a text"),
        ("instance", None, "entry 1 has no 'token'"),
    ],
)
def test_entries_that_are_none(nuscenes: NuScenes, table: str, change: Any, problem: str) -> None:
    rows = nuscenes.tables[table]
    rows[0] = {} if change is None else rows[0] | change
    assert f"v1.0-mini/{table}.json: {problem}" in nuscenes.problems()


def test_missing_tables_keyframes_and_clouds(nuscenes: NuScenes) -> None:
    nuscenes.rows("sample_data", token="scene-0001:0")[0]["is_key_frame"] = False
    gone = nuscenes.root / "samples/LIDAR_TOP/scene-0001_3.pcd.bin"
    gone.unlink()
    short = nuscenes.root / "sweeps/LIDAR_TOP/scene-0001_5.pcd.bin"
    short.write_bytes(bytes(30))
    assert nuscenes.problems(sweeps=2) == [
        "v1.0-mini/sample_data.json: the sample 'scene-0001/0' has no keyframe of LIDAR_TOP",
        "samples/LIDAR_TOP/scene-0001_3.pcd.bin: no such file or directory",
        "sweeps/LIDAR_TOP/scene-0001_5.pcd.bin: has 30 bytes, which are no whole number of points with 5 values each "
        "(x, y, z, intensity, ring)",
    ]
    nuscenes.tables.pop("instance")
    (nuscenes.root / "v1.0-mini/instance.json").unlink()
    assert nuscenes.problems() == ["v1.0-mini/instance.json: the table is missing"]


def test_rotations_of_quaternions() -> None:
    turned = rotations(np.array([[2.0, 0, 0, 0], [1, 0, 0, 1], [1, 1, 0, 0], [1, 0, 1, 0]]))
    np.testing.assert_allclose(turned[0], np.eye(3))
    np.testing.assert_allclose(turned[1] @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(turned[2] @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(turned[3] @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    matrix = pose([1, 2, 3], [1, 0, 0, 1])
    np.testing.assert_allclose(matrix @ [1, 0, 0, 1], [1, 3, 3, 1], atol=1e-12)
