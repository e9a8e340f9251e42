import json
import shutil
from functools import partial

import pytest
from PIL import Image


@pytest.fixture
def run_file(make_run, tmp_path):
    """A small data set and its run file."""
    return make_run(tmp_path / "data")


@pytest.fixture
def images(run_file):
    return run_file.parent / "images"


def spoil(images, part, change):
    """Change the annotations of a part."""
    path = images.parent / f"{part}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_sound_data_set(run_file, limbeck):
    done = limbeck("data", "check", run_file)
    assert done.code == 0
    assert done.err == ""
    assert done.out.splitlines()[-1] == "sound: 8 training and 4 validation images"
    assert "square      8  100 %       8      4  100 %       4" in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())


def test_everything_can_be_written(run_file, limbeck, tmp_path):
    done = limbeck("data", "check", run_file, "--out", tmp_path / "new/checked")
    assert done.code == 0
    numbers = json.loads((tmp_path / "new/checked/check.json").read_text())
    assert numbers["parts"]["train"]["boxes"] == 8
    with Image.open(tmp_path / "new/checked/sheet.png") as sheet:
        assert sheet.width == 1600
    again = limbeck("data", "check", run_file, "--out", tmp_path / "again")
    assert again.code == 0
    for name in ("check.json", "sheet.png"):
        assert (tmp_path / "new/checked" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_place_that_cannot_be_written_is_named(run_file, limbeck):
    done = limbeck("data", "check", run_file, "--out", run_file / "below")
    assert done.code == 2
    assert "cannot be written" in done.err


def test_nothing_is_written_unless_asked_for(run_file, limbeck):
    before = sorted(run_file.parent.rglob("*"))
    assert limbeck("data", "check", run_file).code == 0
    assert sorted(run_file.parent.rglob("*")) == before


def test_all_problems_are_listed_and_what_is_sound_is_counted(run_file, images, limbeck):
    spoil(images, "train", lambda content: content["annotations"].extend({"id": 100 + n} for n in range(30)))
    (images / "val-2.png").write_bytes((images / "val-2.png").read_bytes()[:500])
    done = limbeck("data", "check", run_file)
    assert done.code == 2
    assert done.out.count("problem: ") == 31
    assert f"problem: {images / 'val-2.png'}: " in done.out
    assert "8 training and 3 validation images are sound; 31 problems" in done.out.splitlines()[-1]
    assert "square      8  100 %       8      3  100 %       3" in done.out


def test_a_part_that_cannot_be_read(run_file, images, limbeck):
    (images.parent / "train.json").write_text("{")
    done = limbeck("data", "check", run_file)
    assert done.code == 2
    assert "train.json: not valid json" in done.out
    assert "4 validation images are sound; 1 problem:" in done.out.splitlines()[-1]


def test_nothing_can_be_read(run_file, images, limbeck, tmp_path):
    shutil.rmtree(images)
    done = limbeck("data", "check", run_file, "--out", tmp_path / "checked")
    assert done.code == 2
    assert "the folder of images does not exist" in done.out
    assert done.out.splitlines()[-1].startswith("no images are sound; ")
    assert [path.name for path in (tmp_path / "checked").iterdir()] == ["check.json"]


def test_the_same_pixels_in_both_parts_are_a_problem(run_file, images, limbeck):
    shutil.copy(images / "train-5.png", images / "val-1.png")
    done = limbeck("data", "check", run_file)
    assert done.code == 2
    assert (
        f"problem: {images / 'val-1.png'}: the same pixels as the training image {images / 'train-5.png'}" in done.out
    )


def test_near_duplicates_are_a_warning(run_file, images, limbeck):
    with Image.open(images / "train-5.png") as image:
        mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        mirrored.point(lambda level: level * 0.9).save(images / "val-1.png")
    done = limbeck("data", "check", run_file)
    assert done.code == 0
    (row,) = (line.split() for line in done.out.splitlines() if line.startswith("val-1.png"))
    assert row[:2] == ["val-1.png", "train-5.png"]
    assert row[-1] == "mirrored"
    assert "warning: 1 validation image shows the same picture as a training image" in done.out
    assert done.out.splitlines()[-1] == "sound: 8 training and 4 validation images, with 1 warning"


def test_overrides_and_missing_classes(run_file, images, limbeck):
    spoil(images, "train", lambda content: content["categories"].append({"id": 2, "name": "[red]ring"}))
    spoil(images, "val", lambda content: content["categories"].append({"id": 2, "name": "[red]ring"}))
    done = limbeck("data", "check", run_file, "data.size=[32,32]")
    assert done.code == 0
    assert "[red]ring" in done.out
    assert "pixels of the canvas, 32 x 32 (stretch)" in done.out
    assert "warning: no training image has a box of '[red]ring': it cannot be learnt" in done.out
    assert limbeck("data", "check", run_file, "data.sise=[32,32]").code == 2


def test_of_very_many_classes_the_most_frequent_and_the_rarest_are_shown(run_file, images, limbeck):
    def add_classes(content):
        content["categories"] += [{"id": 10 + n, "name": f"class-{n}"} for n in range(60)]
        first = content["annotations"][0]
        content["annotations"] += [{**first, "id": 500 + n, "category_id": 69} for n in range(3)]

    for part in ("train", "val"):
        spoil(images, part, add_classes)
    done = limbeck("data", "check", run_file)
    rows = [line.split()[0] for line in done.out.splitlines() if line.startswith(("square", "class-"))]
    assert len(rows) == 40
    assert rows[:2] == ["square", "class-59"]
    assert "21 classes between the most frequent and the rarest are left out here" in done.out
    assert "2.7 times as many boxes of 'square' as of 'class-59'" in done.out


def test_a_sample_of_the_images_is_called_a_sample(run_file, limbeck, monkeypatch):
    from limbeck.cli import data_check
    from limbeck.data.audit import audit

    monkeypatch.setattr(data_check, "audit", partial(audit, max_images=5))
    done = limbeck("data", "check", run_file)
    assert "duplicates were looked for among 5 of 8 training images, drawn by the seed" in done.out
    assert "validation images, drawn" not in done.out


def test_a_test_part_is_counted_with_its_images_without_a_box(make_run, limbeck, tmp_path):
    done = limbeck("data", "check", make_run(tmp_path / "tested", test_images=5))
    assert done.code == 0
    assert done.out.splitlines()[-1] == "sound: 8 training, 4 validation and 5 test images"
    rows = [line.split() for line in done.out.splitlines()]
    assert ["images", "without", "a", "box", "0", "0", "1"] in rows
    assert all(len(line) <= 80 for line in done.out.splitlines())
