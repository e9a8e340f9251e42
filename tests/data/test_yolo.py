"""The YOLO reader returns what the files say, and one sentence for everything that is wrong with them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limbeck.data.config import SplitConfig
from limbeck.data.yolo import label_folder, read_names, read_yolo
from limbeck.errors import DataError

CLASSES = ["wheel", "bolt"]


@dataclass
class YoloFolder:
    """Three images of 80 x 60: two objects, an empty file, no file."""

    root: Path

    @property
    def split(self):
        return SplitConfig(images=self.root / "images")

    def image(self, number):
        return self.root / "images" / f"{number}.jpg"

    def label(self, number):
        return self.root / "labels" / f"{number}.txt"


@pytest.fixture
def yolo(tmp_path):
    folder = YoloFolder(tmp_path)
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for number in (1, 2, 3):
        Image.effect_noise((80, 60), 50).convert("RGB").save(folder.image(number))
    folder.label(1).write_text("1 0.25 0.25 0.25 0.5\n\n0 0.5 0.5 1 1\n")
    folder.label(2).write_text("")
    return folder


def problems(yolo, classes=CLASSES, **options):
    with pytest.raises(DataError) as caught:
        read_yolo(yolo.split, classes, **options)
    return caught.value.problems


def test_fractions_become_pixels_and_a_missing_file_is_an_image_without_objects(yolo):
    data = read_yolo(yolo.split, CLASSES)
    assert data.classes == ("wheel", "bolt")
    assert data.category_ids == (1, 2)
    assert data.skipped == ()
    assert [record.id for record in data.records] == ["1.jpg", "2.jpg", "3.jpg"]
    assert data.records[0].boxes_xyxy.tolist() == [[10, 0, 30, 30], [0, 0, 80, 60]]
    assert data.records[0].labels.tolist() == [1, 0]
    assert not data.records[0].ignore.any()
    assert [record.boxes_xyxy.shape for record in data.records[1:]] == [(0, 4), (0, 4)]
    assert data.records[0].size_wh == (80, 60)


def test_a_polygon_gives_its_bounding_box(yolo):
    yolo.label(1).write_text("0 0.5 0.25 0.75 0.5 0.25 1 0.5 0.9\n0 .1 .1 .2 .2 .1 .2")
    boxes = read_yolo(yolo.split, CLASSES).records[0].boxes_xyxy
    np.testing.assert_allclose(boxes, [[20, 15, 60, 60], [8, 6, 16, 12]], rtol=1e-6)


def test_rounding_beyond_the_edge_is_clipped(yolo):
    yolo.label(1).write_text("0 0.16875 0.615625 0.3375 0.775\n")
    assert read_yolo(yolo.split, CLASSES).records[0].boxes_xyxy[0, [0, 3]].tolist() == [0, 60]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("0 0.5 0.5 0.1", "has 4 numbers; a line is the class and centre x"),
        ("0 0.5 0.5 0.1 0.1 0.9", "has 6 numbers; a line is the class and centre x"),
        ("0", "has 1 numbers"),
        ("0 .1 .1 .2 .2 .3 .3 .4", "has 8 numbers"),
        ("bolt 0.5 0.5 0.1 0.1", "has 'bolt' in it, which is not a number"),
        ("0 0.5 nan 0.1 0.1", "has 'nan' in it, which is not finite"),
        ("0 0.5 0.5 inf 0.1", "has 'inf' in it, which is not finite"),
        ("2 0.5 0.5 0.1 0.1", "has the class 2, but there are 2 classes, counted from 0"),
        ("-1 0.5 0.5 0.1 0.1", "has the class -1, but there are 2 classes"),
        ("0.5 0.5 0.5 0.1 0.1", "has the class 0.5, but there are 2 classes"),
        ("0 0.5 0.5 0 0.1", "has the box [0.5, 0.5, 0.0, 0.1], whose width or height is not positive"),
        ("0 0.5 0.5 -0.1 0.1", "whose width or height is not positive"),
        ("0 .5 .5 .5 .5 .5 .5", "whose width or height is not positive"),
        ("0 1.5 0.5 0.1 0.1", "lies outside the image '1.jpg' of 80 x 60 pixels"),
        ("0 0.95 0.5 0.2 0.1", "reaches beyond the image '1.jpg' of 80 x 60 pixels"),
        ("0 40 30 20 30", "has the number 40, but fractions of the image's sides are from 0 to 1"),
        ("1 0.5 0.5 0.5 0.5", "says the same as line 1"),
        ("1 0.50 0.5 .5 5e-1", "says the same as line 1"),
    ],
)
def test_broken_line(yolo, line, sentence):
    yolo.label(1).write_text(f"1 0.5 0.5 0.5 0.5\n{line}\n")
    (problem,) = problems(yolo)
    assert problem.startswith(f"{yolo.label(1)}: line 2 ")
    assert sentence in problem


def test_a_label_file_that_is_no_text_and_an_image_that_is_none(yolo):
    yolo.label(1).write_bytes(b"\xff\xfe\x80")
    yolo.image(2).write_text("no picture")
    assert problems(yolo) == (
        f"{yolo.label(1)}: not a text file",
        f"{yolo.image(2)}: not an image, or in an unknown format",
    )


def test_a_label_file_without_image_is_a_problem_but_the_files_of_tools_are_not(yolo):
    (yolo.root / "labels" / "classes.txt").write_text("wheel\nbolt\n")
    (yolo.root / "labels" / "obj.names.txt").write_text("wheel\nbolt\n")
    assert problems(yolo, None, names=yolo.root / "labels" / "classes.txt")[0].startswith(str(yolo.root / "labels/obj"))
    names = yolo.root / "labels" / "obj.names.txt"
    assert len(read_yolo(yolo.split, names=names).records) == 3
    yolo.image(1).unlink()
    (problem,) = problems(yolo, None, names=names)
    assert problem == f"{yolo.label(1)}: there is no image of this name in {yolo.root / 'images'}"


def test_truncated_image_is_found_when_pixels_are_verified(yolo):
    yolo.image(3).write_bytes(yolo.image(3).read_bytes()[:1500])
    assert len(read_yolo(yolo.split, CLASSES).records) == 3
    (problem,) = problems(yolo, verify_pixels=True)
    assert "truncated" in problem


def test_skip_leaves_out_what_is_broken_and_says_so(yolo):
    yolo.label(1).write_text("0 0.5 0.5 1 1\n0 0.5 0.5 1 1\n7 0.5 0.5 1 1\n")
    yolo.label(2).write_bytes(b"\xff")
    data = read_yolo(yolo.split, CLASSES, on_broken="skip")
    assert [(record.id, len(record.labels)) for record in data.records] == [("1.jpg", 1), ("3.jpg", 0)]
    assert len(data.skipped) == 3


def test_labels_lie_where_the_convention_says(tmp_path):
    nested = tmp_path / "images" / "x" / "images" / "train"
    for folder in (nested, tmp_path / "images/x/labels/train", tmp_path / "labels", tmp_path / "pictures"):
        folder.mkdir(parents=True)
    assert label_folder(SplitConfig(images=nested)) == tmp_path / "images" / "x" / "labels" / "train"
    assert label_folder(SplitConfig(images=tmp_path / "images")) == tmp_path / "labels"
    assert label_folder(SplitConfig(images=tmp_path / "pictures")) == tmp_path / "pictures"
    assert label_folder(SplitConfig(images=tmp_path / "images" / "y")) == tmp_path / "images" / "y"
    assert label_folder(SplitConfig(images=nested, annotations=tmp_path)) == tmp_path


def test_labels_beside_the_images_or_in_a_folder_that_is_named(yolo):
    expected = [len(record.labels) for record in read_yolo(yolo.split, CLASSES).records]
    other = yolo.split.model_copy(update={"annotations": yolo.root / "elsewhere"})
    (yolo.root / "labels").rename(yolo.root / "elsewhere")
    assert [len(record.labels) for record in read_yolo(other, CLASSES).records] == expected
    for file in (yolo.root / "elsewhere").iterdir():
        file.rename(yolo.root / "images" / file.name)
    assert [len(record.labels) for record in read_yolo(yolo.split, CLASSES).records] == expected


def test_no_label_at_all_means_a_wrong_folder(yolo):
    (yolo.root / "labels").rename(yolo.root / "label")
    with pytest.raises(DataError, match=r"none of its 3 images has a txt file of its name in \S+images") as caught:
        read_yolo(yolo.split, CLASSES)
    assert caught.value.hint == "give the folder of the txt files as 'annotations'"


def test_a_list_chooses_images_and_their_order(yolo):
    (yolo.root / "val.txt").write_text("./images/3.jpg\n./images/1.jpg\n")
    split = yolo.split.model_copy(update={"list": yolo.root / "val.txt"})
    assert [record.id for record in read_yolo(split, CLASSES).records] == ["3.jpg", "1.jpg"]


def test_names_and_classes(yolo):
    names = yolo.root / "data.yaml"
    names.write_text("names: {0: wheel, 1: bolt}")
    assert read_yolo(yolo.split, names=names).classes == ("wheel", "bolt")
    data = read_yolo(yolo.split, ["bolt"], names=names)
    assert data.records[0].labels.tolist() == [0]
    assert "1 annotations of 'wheel' are left out" in data.skipped[0]
    assert problems(yolo, ["bold"], names=names) == (f"{names}: no class is called 'bold' (did you mean 'bolt'?)",)
    assert problems(yolo, None)[0].startswith("names is missing: the format yolo needs the data.yaml or classes.txt")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.yaml", "names: [wheel, bolt]"),
        ("data.yml", "nc: 2\nnames:\n  1: bolt\n  0: wheel\n"),
        ("classes.txt", "wheel\n bolt \n\n"),
        ("obj.names", "\ufeffwheel\r\nbolt\r\n"),
    ],
)
def test_names_are_read(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_names(tmp_path / name) == ("wheel", "bolt")


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("data.yaml", "names: [wheel", "not valid YAML"),
        ("data.yaml", "train: images", "has no list or map 'names'"),
        ("data.yaml", "- wheel", "has no list or map 'names'"),
        ("data.yaml", "names: {1: wheel, 2: bolt}", "the numbers of the classes are [1, 2], not 0 to 1"),
        ("data.yaml", "nc: 3\nnames: [wheel, bolt]", "'nc' says 3 classes, but 'names' has 2"),
        ("data.yaml", "names: [wheel, no]", "class 1 has the name False, which is not a text"),
        ("data.yaml", "names: []", "has no class names in it"),
        ("classes.txt", "", "has no class names in it"),
        ("classes.txt", "wheel\n\nbolt", "class 1 has the name '', which is not a text"),
        ("classes.txt", "wheel\nbolt\nwheel\n", "class 2 has the name 'wheel', as class 0"),
    ],
)
def test_names_that_cannot_be_used(tmp_path, name, text, sentence):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as caught:
        read_names(tmp_path / name)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{tmp_path / name}: ")
    assert sentence in problem


def test_a_json_file_in_place_of_the_folder_is_refused(yolo):
    (yolo.root / "boxes.json").write_text("{}")
    split = yolo.split.model_copy(update={"annotations": yolo.root / "boxes.json"})
    with pytest.raises(DataError, match="a file, but the format yolo needs the folder of txt files") as caught:
        read_yolo(split, CLASSES)
    assert caught.value.hint == "set data.format to 'coco' for a json file"
