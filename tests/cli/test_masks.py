"""The commands on data with masks: check, predict, eval, doctor, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image


@pytest.fixture
def run_file(make_mask_run, tmp_path):
    """A small data set with masks and depth, and its run file."""
    return make_mask_run(tmp_path / "data")


@pytest.fixture(params=["student/best.safetensors", "bundle"])
def model(request, finished_mask_run):
    return finished_mask_run.folder / request.param


@pytest.fixture
def images(finished_mask_run, tmp_path):
    """A folder with two validation images."""
    (tmp_path / "seen").mkdir()
    for name in ("0.png", "1.png"):
        shutil.copy(finished_mask_run.config.data.val.images / name, tmp_path / "seen" / name)
    return tmp_path / "seen"


def change(run_file, edit):
    settings = yaml.safe_load(run_file.read_text())
    edit(settings)
    run_file.write_text(yaml.safe_dump(settings))


def test_check_shows_classes_and_maps_of_sound_data(run_file, limbeck, tmp_path):
    done = limbeck("data", "check", run_file, "--out", tmp_path / "checked")
    assert done.code == 0
    assert done.out.splitlines()[-1] == "sound: 8 training and 3 validation images"
    assert "square   16.13%       8  16.13%       3" in done.out
    assert "train: depth     8     m      96 %      2       5     5" in done.out
    numbers = json.loads((tmp_path / "checked/check.json").read_text())
    assert numbers["x"]["train"][0]["median"] == 5
    with Image.open(tmp_path / "checked/sheet.png") as sheet:
        pixels = np.array(sheet)
    assert pixels.shape[1] == 1600
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 1000


def test_check_and_doctor_notice_a_wrong_unit(run_file, limbeck):
    change(run_file, lambda settings: settings["data"]["x"]["depth"].update(unit="m"))
    for command in (("data", "check"), ("doctor",)):
        done = limbeck(*command, run_file)
        assert done.code == 0
        assert "the median depth is 5,000 m with the unit 'm'" in " ".join(done.out.split())
        assert "with 'mm' it would be 5 m" in " ".join(done.out.split())


def test_check_names_every_broken_file(run_file, limbeck):
    train = run_file.parent / "train"
    (train / "masks/0.png").write_bytes(b"no image")
    Image.fromarray(np.zeros((48, 32), np.uint16)).save(train / "depth/1.png")
    Image.fromarray(np.zeros((48, 64), np.uint16)).save(train / "depth/2.png")
    Image.fromarray(np.full((48, 64), 7, np.uint8)).save(train / "masks/3.png")
    (train / "depth/4.png").unlink()
    done = limbeck("data", "check", run_file)
    assert done.code == 2
    problems = [line for line in done.out.splitlines() if line.startswith("problem:")]
    assert len(problems) == 5
    for words in (
        "masks/0.png",
        "depth/1.png: has 32 x 48 pixels",
        "has no valid pixel",
        "the level 7",
        "4.png: there is no depth",
    ):
        assert any(words in problem for problem in problems), words


def test_what_is_there_is_said_saved_and_drawn(model, images, limbeck, tmp_path):
    save, drawn, masks = tmp_path / "found.json", tmp_path / "drawn", tmp_path / "masks"
    done = limbeck("predict", model, images, "--save", save, "--draw", drawn, "--masks", masks)
    assert done.code == 0
    rows = json.loads(save.read_text())
    assert [row["file"] for row in rows] == [str(images / name) for name in ("0.png", "1.png")]
    for row in rows:
        assert sum(row["shares"].values()) == pytest.approx(1, abs=1e-5)
        assert f"square {row['shares']['square']:.1%}" in done.out
    labels = np.array(Image.open(masks / "1.png"))
    assert labels.shape == (48, 64)
    assert (labels == 1).mean() == pytest.approx(rows[1]["shares"]["square"], abs=1e-6)
    assert np.array(Image.open(drawn / "1.png")).shape == (48, 64, 3)


def test_weights_and_bundle_score_as_in_the_run(model, finished_mask_run, limbeck):
    done = limbeck("eval", model, finished_mask_run.run_file)
    assert done.code == 0
    measured = finished_mask_run.outcome.evaluations["student"]
    for name in ("mIoU", "IoU square", "boundary_F"):
        (line,) = [line for line in done.out.splitlines() if f"│ {name} " in line]
        cells = [float(cell) for cell in line.split("│")[2:4]]
        for cell, part in zip(cells, (measured, measured["test"]), strict=True):
            value = part["per_class"]["square"]["IoU"] if name == "IoU square" else part["metrics"][name]
            assert cell == pytest.approx(value, abs=2e-3)


def test_large_images_are_looked_at_in_tiles(model, images, limbeck, tmp_path):
    large = tmp_path / "large.png"
    Image.fromarray(np.tile(np.array(Image.open(images / "0.png")), (3, 3, 1))).save(large)
    said = [limbeck("predict", model, large, *options).out for options in ((), ("--tile-overlap", 0.25))]
    assert said[0] != said[1]


def test_options_of_the_other_task_are_refused(model, images, finished_mask_run, finished_run, limbeck, tmp_path):
    refused = {
        "--min-score is for detectors": ("predict", model, images, "--min-score", 0.5),
        "--threshold is for detectors": ("eval", model, finished_mask_run.run_file, "--threshold", 0.5),
        "--masks and --tile-overlap are for segmenters": (
            "predict",
            finished_run.folder / "bundle",
            images,
            "--masks",
            tmp_path,
        ),
        "--tile-overlap is for segmenters": (
            "eval",
            finished_run.folder / "bundle",
            finished_run.run_file,
            "--tile-overlap",
            0.2,
        ),
        "must be below 0.9": ("predict", model, images, "--tile-overlap", 0.95),
        "The model is for the task segmentation": ("eval", model, finished_run.run_file),
        "only those are converted": (
            "data",
            "convert",
            finished_mask_run.run_file,
            "--to",
            "coco",
            "--out",
            tmp_path / "o",
        ),
    }
    for words, arguments in refused.items():
        done = limbeck(*arguments)
        assert done.code == 2, words
        assert words in " ".join(done.err.split())


def test_a_model_that_reads_depth_cannot_be_given_image_files_alone(finished_mask_run, images, limbeck):
    done = limbeck("predict", finished_mask_run.folder / "teacher/best.safetensors", images)
    assert done.code == 2
    assert "The model reads depth beside the image" in done.err
    assert limbeck("eval", finished_mask_run.folder / "teacher/best.safetensors", finished_mask_run.run_file).code == 0
