"""The hash of a data set of clouds follows what it is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.cloud_config import CloudDataConfig
from limbeck.data.cloud_sources import cloud_files, cloud_label_paths, hash_cloud_labels, label_files


def _changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    assert before.keys() == after.keys()
    return {path for path in before if before[path] != after[path]}


def test_the_hash_follows_labels_and_the_sizes_of_clouds(clouds: Any) -> None:
    before = hash_cloud_labels(clouds.config)
    assert set(before) == {str(clouds.root / part / kind) for part in ("train", "val") for kind in ("labels", "clouds")}
    assert set(map(str, cloud_label_paths(clouds.config, "train"))) == {p for p in before if "train" in Path(p).parts}
    assert cloud_label_paths(clouds.config, "test") == []
    clouds.write_boxes(clouds.car(yaw=0.6), clouds.post())
    clouds.write_cloud(np.ones((4, 4)), part="val")
    assert _changed(before, hash_cloud_labels(clouds.config)) == {
        str(clouds.root / "train/labels"),
        str(clouds.root / "val/clouds"),
    }


def test_a_list_and_labels_beside_the_clouds(clouds: Any, tmp_path: Path) -> None:
    chosen = tmp_path / "list.txt"
    chosen.write_text("a")
    clouds.settings["train"] = {"clouds": clouds.root / "train/clouds", "list": chosen}
    clouds.labels().rename(clouds.cloud("a.json"))
    before = hash_cloud_labels(clouds.config)
    assert set(map(str, cloud_label_paths(clouds.config, "train"))) == {str(chosen), str(clouds.root / "train/clouds")}
    text = clouds.cloud("a.json").read_text()
    clouds.cloud("a.json").write_text(text.replace("post", "past"))
    assert _changed(before, hash_cloud_labels(clouds.config)) == {str(clouds.root / "train/clouds")}
    chosen.write_text("a\n")
    assert _changed(before, hash_cloud_labels(clouds.config)) == {str(clouds.root / "train/clouds"), str(chosen)}


def test_kitti_has_calibration_and_nuscenes_its_tables(tmp_path: Path) -> None:
    for name in ("velodyne/1.bin", "label_2/1.txt", "calib/1.txt", "label_2/readme.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    part = {"clouds": tmp_path / "velodyne", "labels": tmp_path / "label_2", "calib": tmp_path / "calib"}
    config = CloudDataConfig.model_validate({"format": "kitti", "train": part, "val": part})
    assert label_files(config, config.train) == {tmp_path / name: ["1.txt"] for name in ("label_2", "calib")}
    assert cloud_files(config, config.train) == ["1.bin"]
    assert len(hash_cloud_labels(config)) == 3
    for name in ("samples/LIDAR_TOP/1.pcd.bin", "sweeps/LIDAR_TOP/2.pcd.bin", "samples/CAM/1.jpg", "v1/sample.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    (tmp_path / "v1/map.json").write_text("1")
    part = {"clouds": tmp_path, "labels": tmp_path / "v1"}
    config = CloudDataConfig.model_validate({"format": "nuscenes", "train": part, "val": part})
    assert label_files(config, config.train) == {tmp_path / "v1": ["sample.json"]}
    assert cloud_files(config, config.train) == ["samples/LIDAR_TOP/1.pcd.bin"]
    sweeping = config.model_copy(update={"sweeps": 2})
    assert cloud_files(sweeping, config.train)[1:] == ["sweeps/LIDAR_TOP/2.pcd.bin"]


def test_frames_enter_by_the_checksums_at_their_ends(tmp_path: Path) -> None:
    part = {"clouds": tmp_path}
    config = CloudDataConfig.model_validate({"format": "frames", "train": part, "val": part})
    hashes = []
    for name in ("car", "bus"):
        np.savez(tmp_path / "a.npz", points=np.zeros((9000, 4), np.float32), classes=np.array([name]))
        hashes.append((hash_cloud_labels(config), (tmp_path / "a.npz").stat().st_size))
    assert hashes[0][1] == hashes[1][1]
    assert hashes[0][0] != hashes[1][0]
