"""``limbeck data check`` on point clouds, and ``limbeck data clouds``."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import yaml
from PIL import Image

from limbeck.data.cloud_config import CloudDataConfig
from limbeck.data.cloud_readers import read_cloud_parts
from limbeck.data.lidar.config import LidarSceneConfig


@pytest.fixture
def run_file(make_cloud_run, tmp_path):
    """A small data set of simulated clouds, and its run file."""
    return make_cloud_run(tmp_path / "data")


def spoil(run_file, name, change):
    """Change the label file of a cloud."""
    path = run_file.parent / "clouds" / name
    content = json.loads(path.read_text())
    change(content["boxes"])
    path.write_text(json.dumps(content))


def test_a_sound_data_set(run_file, limbeck):
    done = limbeck("data", "check", run_file)
    assert done.code == 0
    assert done.err == ""
    assert done.out.splitlines()[-1].startswith("sound: 8 training and 3 validation clouds")
    data = CloudDataConfig.model_validate(yaml.safe_load(run_file.read_text())["data"])
    train = read_cloud_parts(data)["train"]
    cars = sum(int((record.labels == 0).sum()) for record in train.records)
    rows = [line.split() for line in done.out.splitlines()]
    assert next(row for row in rows if row[:1] == ["car"])[1] == str(cars)
    empty = sum(int((record.num_points == 0).sum()) for record in train.records)
    assert next(row for row in rows if row[:3] == ["without", "a", "point"])[3] == str(empty)
    assert "train: pedestrian" in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())


def test_everything_can_be_written(run_file, limbeck, tmp_path):
    done = limbeck("data", "check", run_file, "--out", tmp_path / "new/checked")
    assert done.code == 0
    numbers = json.loads((tmp_path / "new/checked/check.json").read_text())
    assert numbers["parts"]["train"]["clouds"] == 8
    with Image.open(tmp_path / "new/checked/sheet.png") as sheet:
        assert sheet.width == 1600
        assert len(np.unique(np.array(sheet)[:400].reshape(-1, 3), axis=0)) > 100
    limbeck("data", "check", run_file, "--out", tmp_path / "again")
    for name in ("check.json", "sheet.png"):
        assert (tmp_path / "new/checked" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_every_problem_is_named_and_what_is_sound_is_counted(run_file, limbeck):
    (run_file.parent / "clouds/train/clouds/00002.npy").write_bytes(b"no cloud")
    spoil(run_file, "train/labels/00004.json", lambda boxes: boxes[0].update(size=[4, -1, 2]))
    done = limbeck("data", "check", run_file)
    assert done.code == 2
    problems = [line for line in done.out.splitlines() if line.startswith("problem: ")]
    assert len(problems) == 2
    for name in ("00002.npy", "00004.json"):
        assert any(name in problem for problem in problems)
    assert "and 3 validation clouds are sound; 2 problems" in done.out.splitlines()[-1]


def test_a_class_without_an_object_is_seen(run_file, limbeck):
    for number in range(3):
        spoil(
            run_file,
            f"val/labels/{number:05d}.json",
            lambda boxes: boxes.__setitem__(slice(None), [box for box in boxes if box["class"] != "cyclist"]),
        )
    done = limbeck("data", "check", run_file)
    assert done.code == 0
    (row,) = [line.split() for line in done.out.splitlines() if line.startswith("cyclist")]
    assert row[4:] == ["none", "-", "-"]
    assert "warning: no validation cloud has an object of 'cyclist'" in done.out
    assert "val: cyclist" in done.out


def test_nothing_can_be_read(run_file, limbeck, tmp_path):
    done = limbeck("data", "check", run_file, "data.train.clouds=gone", "data.val.clouds=gone", "--out", tmp_path / "o")
    assert done.code == 2
    assert done.out.splitlines()[-1].startswith("no clouds are sound; ")
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["check.json"]


def test_clouds_are_written_with_the_settings_that_read_them(limbeck, tmp_path):
    out = tmp_path / "lidar"
    said = limbeck(
        "data", "clouds", out, "--train", 2, "--val", 1, "--seed", 3, "--rings", 4, "--azimuth-step", 3,
        "--range", 30, "--field-of-view", 90, "--clutter", 0,
    )  # fmt: skip
    assert said.code == 0
    assert f"3 clouds are in {out}." in said.out
    data = CloudDataConfig.model_validate(yaml.safe_load(said.out[said.out.index("data:") :])["data"])
    parts = read_cloud_parts(data)
    assert [len(part.records) for part in parts.values()] == [2, 1]
    made_from = json.loads((out / "scenes.json").read_text())
    config = LidarSceneConfig(rings=4, azimuth_step=3.0, max_range=30.0, field_of_view=90.0, clutter=0.0)
    assert made_from["config"] == json.loads(json.dumps(asdict(config)))
    assert made_from["seed"] == 3


def test_what_is_not_given_is_the_default(limbeck, tmp_path):
    limbeck("data", "clouds", tmp_path / "lidar", "--train", 1, "--val", 1)
    made_from = json.loads((tmp_path / "lidar/scenes.json").read_text())
    assert made_from["config"] == json.loads(json.dumps(asdict(LidarSceneConfig())))


def test_clouds_that_cannot_be_made_are_refused(limbeck, tmp_path):
    out = tmp_path / "lidar"
    said = limbeck("data", "clouds", out, "--rings", 0, "--range", 3)
    assert said.code == 2
    assert "rings must be a whole number from 1 to 128, not 0" in said.err
    assert "max_range must be from 20 to 200, not 3.0" in said.err
    assert not out.exists()
    out.mkdir()
    (out / "mine").write_text("mine")
    said = limbeck("data", "clouds", out)
    assert said.code == 2
    assert "lidar: is there already and not an empty folder" in said.err
    assert limbeck("data", "clouds", tmp_path / "none", "--val", 0).code == 2


def test_clouds_are_not_converted(run_file, limbeck, tmp_path):
    said = limbeck("data", "convert", run_file, "--to", "coco", "--out", tmp_path / "out")
    assert said.code == 2
    assert "is not about images with boxes; only those are converted" in " ".join(said.err.split())
