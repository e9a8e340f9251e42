import json
import shutil

import pytest
from PIL import Image


@pytest.fixture
def images(finished_run, tmp_path):
    """Two folders with an image of the same name each."""
    source = finished_run.config.data.val.images
    for folder, name in (("a", "val-0.png"), ("b", "val-1.png")):
        (tmp_path / folder).mkdir()
        shutil.copy(source / name, tmp_path / folder / "one.png")
    return tmp_path


@pytest.fixture(params=["student/best.safetensors", "bundle"])
def model(request, finished_run):
    return finished_run.folder / request.param


def test_what_is_found_is_said_saved_and_drawn(model, images, limbeck):
    save, draw = images / "new/found.json", images / "drawn"
    done = limbeck("predict", model, images / "a", images / "b", "--save", save, "--draw", draw, "--min-score", 0.05)
    assert done.code == 0
    rows = json.loads(save.read_text())
    assert [row["file"] for row in rows] == [str(images / "a/one.png"), str(images / "b/one.png")]
    for row in rows:
        assert f"{row['file']}: square {row['detections'][0]['score']:.2f}" in done.out
        for found in row["detections"]:
            x1, y1, x2, y2 = found["box_xyxy"]
            assert -1 <= x1 < x2 <= 65
            assert -1 <= y1 < y2 <= 65
            assert found["score"] >= 0.05
    assert sorted(path.name for path in draw.iterdir()) == ["one-2.png", "one.png"]
    for folder, name in (("a", "one.png"), ("b", "one-2.png")):
        with Image.open(images / folder / "one.png") as before, Image.open(draw / name) as after:
            assert before.size == after.size
            assert before.convert("RGB").tobytes() != after.convert("RGB").tobytes()


def test_weak_answers_are_left_out(model, images, limbeck):
    done = limbeck("predict", model, images / "a", "--min-score", 1)
    assert done.code == 0
    assert done.out == f"{images / 'a/one.png'}: nothing\n"


def test_a_broken_image_does_not_keep_the_others_back(model, images, limbeck):
    (images / "a/broken.png").write_bytes((images / "a/one.png").read_bytes()[:200])
    (images / "b/text.png").write_text("no image")
    done = limbeck("predict", model, images / "a", images / "b", "--save", images / "found.json")
    assert done.code == 2
    assert len(json.loads((images / "found.json").read_text())) == 2
    assert "broken.png: " in done.err
    assert "text.png: not an image" in done.err


def test_a_place_that_cannot_be_written_is_named(model, images, limbeck):
    (images / "file").touch()
    for option in ("--draw", "--save"):
        done = limbeck("predict", model, images / "a", option, images / "file" / "below")
        assert done.code == 2
        assert "cannot be written" in done.err
