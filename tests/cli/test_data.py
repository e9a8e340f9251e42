"""``limbeck data convert`` and ``scenes``: they print settings that read what they wrote."""

import json
from dataclasses import asdict

import pytest
import yaml

from limbeck.config import load_config
from limbeck.data.mask_config import MaskDataConfig
from limbeck.data.readers import read_all_parts
from limbeck.data.street.config import StreetConfig


@pytest.fixture
def run_file(make_run, tmp_path):
    return make_run(tmp_path / "data")


def printed_settings(said):
    return yaml.safe_load(said.out[said.out.index("data:") :])


@pytest.mark.parametrize("to", ["coco", "voc", "yolo"])
def test_a_run_file_is_converted_and_its_new_settings_work(limbeck, run_file, tmp_path, to):
    out = tmp_path / "out"
    said = limbeck("data", "convert", run_file, "--to", to, "--out", out)
    assert said.code == 0
    assert f"{out} was read back: 12 images, all labels the same." in said.out
    content = yaml.safe_load(run_file.read_text())
    train, val = read_all_parts(load_config(run_file).data).values()
    content["data"] = printed_settings(said)["data"] | {"size": [64, 64]}
    run_file.write_text(yaml.safe_dump(content))
    again = read_all_parts(load_config(run_file).data).values()
    for before, after in zip((train, val), again, strict=True):
        assert before.classes == after.classes
        assert [r.boxes_xyxy.tolist() for r in before.records] == [r.boxes_xyxy.tolist() for r in after.records]


def test_overrides_reach_the_run_file(limbeck, run_file, tmp_path):
    said = limbeck("data", "convert", run_file, "data.classes=[sqare]", "--to", "voc", "--out", tmp_path / "out")
    assert said.code == 2
    assert "no category is called 'sqare' (did you mean 'square'?)" in said.err


def test_one_part_is_converted_without_a_run_file_and_back(limbeck, run_file, tmp_path):
    images, json_file = tmp_path / "data" / "images", tmp_path / "data" / "val.json"
    source = ("--images", images, "--annotations", json_file)
    said = limbeck(
        "data", "convert", "--from", "coco", *source, "--to", "yolo", "--out", tmp_path / "y", "--part", "val"
    )
    assert said.code == 0
    val = printed_settings(said)["data"]["val"]
    source = ("--images", val["images"], "--list", val["list"])
    said = limbeck(
        "data", "convert", "--from", "yolo", *source, "--class", "box", "--to", "voc", "--out", tmp_path / "v"
    )
    assert said.code == 0
    assert printed_settings(said)["data"]["classes"] == ["box"]
    source = ("--images", val["images"], "--annotations", tmp_path / "v" / "Annotations")
    said = limbeck(
        "data", "convert", "--from", "voc", *source, "--to", "coco", "--out", tmp_path / "c", "--files", "none"
    )
    assert said.code == 0
    assert printed_settings(said)["data"]["train"]["images"] == val["images"]


def test_broken_data_is_refused_or_left_out_and_said(limbeck, run_file, tmp_path):
    (tmp_path / "data" / "images" / "val-0.png").unlink()
    source = ("--from", "coco", "--images", tmp_path / "data/images", "--annotations", tmp_path / "data/val.json")
    said = limbeck("data", "convert", *source, "--to", "voc", "--out", tmp_path / "out")
    assert said.code == 2
    assert "val-0.png: no such file or directory" in said.err
    said = limbeck("data", "convert", *source, "--skip-broken", "--to", "voc", "--out", tmp_path / "out")
    assert said.code == 0
    assert "val-0.png: no such file or directory" in said.out
    assert "3 images" in said.out


def test_a_run_file_or_the_other_options_but_not_both(limbeck, run_file, tmp_path):
    to = ("--to", "voc", "--out", tmp_path / "out")
    said = limbeck("data", "convert", run_file, "--images", tmp_path, "--skip-broken", *to)
    assert said.code == 2
    assert "Give either a run file or --images --skip-broken, not both." in said.err
    said = limbeck("data", "convert", "--images", tmp_path, *to)
    assert said.code == 2
    assert "Give a run file, or say with --from and --images what to convert." in said.err


def test_what_a_format_needs_is_said(limbeck, tmp_path):
    said = limbeck("data", "convert", "--from", "voc", "--images", tmp_path, "--to", "coco", "--out", tmp_path / "out")
    assert said.code == 2
    assert "annotations is missing: the format voc needs the folder of xml files" in said.err


def test_scenes_are_written_with_the_settings_that_read_them(limbeck, tmp_path):
    out = tmp_path / "streets"
    said = limbeck("data", "scenes", out, "--train", 2, "--val", 1, "--size", 96, 64, "--seed", 3, "--night", 1)
    assert said.code == 0
    assert f"3 scenes are in {out}." in said.out
    data = MaskDataConfig.model_validate(printed_settings(said)["data"])
    assert data.size == (96, 64)
    assert sorted(path.name for path in data.train.images.iterdir()) == ["0000.jpg", "0001.jpg"]
    assert len(list(data.val.x["depth"].iterdir())) == 1
    made_from = json.loads((out / "scenes.json").read_text())
    assert made_from["config"] == asdict(StreetConfig(96, 64, night=1.0)), "what is not given is the default"


def test_scenes_that_cannot_be_made_are_refused(limbeck, tmp_path):
    out = tmp_path / "streets"
    said = limbeck("data", "scenes", out, "--size", 100, 64, "--fog", 2)
    assert said.code == 2
    assert "width must be a multiple of 32 from 32 to 4096, not 100" in said.err
    assert "fog must be from 0 to 1, not 2.0" in said.err
    assert not out.exists()
    out.mkdir()
    (out / "mine").write_text("mine")
    said = limbeck("data", "scenes", out)
    assert said.code == 2
    assert "streets: is there already and not an empty folder" in said.err
    assert limbeck("data", "scenes", tmp_path / "none", "--train", 0).code == 2
