import json
import re

import numpy as np
import pytest

from limbeck.data.cloud_config import CloudDataConfig
from limbeck.data.lidar.config import CLASSES, LidarSceneConfig
from limbeck.data.lidar.scenes import lidar_scene
from limbeck.data.lidar.writing import write_lidar_scenes
from limbeck.data.scene_parts import PART_NUMBERS
from limbeck.errors import DataError

SMALL = LidarSceneConfig(rings=12, azimuth_step=1.5)


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes") / "lidar"
    return folder, write_lidar_scenes(folder, {"train": 3, "val": 2}, seed=4, config=SMALL)


def test_what_is_read_back_is_what_was_made(written):
    folder, _ = written
    for part, count in (("train", 3), ("val", 2)):
        assert len(list((folder / part / "clouds").iterdir())) == count
        for place in range(count):
            scene = lidar_scene((4, PART_NUMBERS[part], place), SMALL)
            points = np.load(folder / part / f"clouds/{place:05d}.npy")
            assert points.dtype == np.float32
            assert np.array_equal(points, scene.points)
            boxes = json.loads((folder / part / f"labels/{place:05d}.json").read_text())["boxes"]
            assert [CLASSES.index(box["class"]) for box in boxes] == scene.labels.tolist()
            assert [box["points"] for box in boxes] == scene.num_points.tolist()
            read = np.array([[*box["centre"], *box["size"], box["yaw"]] for box in boxes])
            assert np.abs(read - scene.boxes).max() < 6e-5
            assert np.abs(np.array([box["velocity"] for box in boxes]) - scene.velocities).max() < 6e-5


def test_the_settings_are_those_of_data_with_clouds(written):
    folder, settings = written
    config = CloudDataConfig.model_validate(settings)
    assert config.format == "boxes"
    assert config.classes == CLASSES
    assert config.columns == ("x", "y", "z", "intensity")
    assert config.licence
    assert {name: part.clouds for name, part in config.parts.items()} == {
        "train": folder / "train/clouds",
        "val": folder / "val/clouds",
    }
    assert all(part.clouds.is_dir() and part.labels.is_dir() for part in config.parts.values())


def test_what_they_were_made_from_is_beside_them(written):
    folder, _ = written
    made_from = json.loads((folder / "scenes.json").read_text())
    assert (made_from["seed"], made_from["scenes"]) == (4, {"train": 3, "val": 2})
    config = {name: tuple(value) if isinstance(value, list) else value for name, value in made_from["config"].items()}
    assert LidarSceneConfig(**config) == SMALL
    assert made_from["classes"] == list(CLASSES)


def test_what_stands_still_has_no_negative_zero(written):
    folder, _ = written
    labels = [content for name, content in files(folder).items() if "/labels/" in name]
    assert any(re.search(rb" 0\.0\b", content) for content in labels)
    assert not any(re.search(rb"-0\.0\b", content) for content in labels)


def test_more_scenes_leave_the_first_ones_as_they_are(written, tmp_path):
    folder, _ = written
    write_lidar_scenes(tmp_path / "more", {"train": 4, "val": 1}, seed=4, config=SMALL)
    before, after = files(folder), files(tmp_path / "more")
    both = (before.keys() & after.keys()) - {"scenes.json"}
    assert len(both) == 2 * (3 + 1)
    assert all(before[name] == after[name] for name in both)
    write_lidar_scenes(tmp_path / "other", {"train": 1}, seed=5, config=SMALL)
    assert files(tmp_path / "other")["train/clouds/00000.npy"] != before["train/clouds/00000.npy"]
    assert before["val/clouds/00000.npy"] != before["train/clouds/00000.npy"]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="is there already and not an empty folder"):
        write_lidar_scenes(tmp_path, {"train": 1, "val": 1}, config=SMALL)
    assert files(tmp_path) == {"mine.txt": b"mine"}


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="not a directory"):
        write_lidar_scenes(tmp_path / "file" / "lidar", {"train": 1, "val": 1}, config=SMALL)
