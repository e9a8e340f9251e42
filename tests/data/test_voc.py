"""The VOC reader returns what the files say, and one sentence for everything that is wrong with them."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from limbeck.data.config import SplitConfig
from limbeck.data.voc import read_voc
from limbeck.errors import DataError

SIZE = "<size><width>80</width><height>60</height><depth>3</depth></size>"


def obj(name="bolt", box=(10, 10, 30, 40), more=""):
    sides = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name>{more}<bndbox>{sides}</bndbox></object>"


@dataclass
class VocFolder:
    """Three images of 80 x 60: two objects, one object, none."""

    root: Path

    @property
    def split(self):
        return SplitConfig(images=self.root / "images", annotations=self.root / "xml")

    def image(self, number):
        return self.root / "images" / f"{number}.jpg"

    def xml(self, number):
        return self.root / "xml" / f"{number}.xml"

    def write(self, number, *objects, size=SIZE):
        self.xml(number).write_text(f"<annotation><filename>old.png</filename>{size}{''.join(objects)}</annotation>")


@pytest.fixture
def voc(tmp_path):
    folder = VocFolder(tmp_path)
    for name in ("images", "xml"):
        (tmp_path / name).mkdir()
    for number in (1, 2, 3):
        Image.effect_noise((80, 60), 50).convert("RGB").save(folder.image(number))
    folder.write(1, obj(), obj("wheel", (0, 0, 80, 60)))
    folder.write(2, obj("wheel", (5.5, 5.5, 15.5, 15.5)))
    folder.write(3)
    return folder


def problems(voc, *arguments, **options):
    with pytest.raises(DataError) as caught:
        read_voc(voc.split, *arguments, **options)
    return caught.value.problems


def test_corners_are_taken_as_they_are_and_classes_in_order_of_the_alphabet(voc):
    data = read_voc(voc.split)
    assert data.classes == ("bolt", "wheel")
    assert data.category_ids == (1, 2)
    assert data.skipped == ()
    assert [record.id for record in data.records] == ["1.jpg", "2.jpg", "3.jpg"]
    assert data.records[0].boxes_xyxy.tolist() == [[10, 10, 30, 40], [0, 0, 80, 60]]
    assert data.records[0].labels.tolist() == [0, 1]
    assert data.records[1].boxes_xyxy.tolist() == [[5.5, 5.5, 15.5, 15.5]]
    assert data.records[2].boxes_xyxy.shape == (0, 4)
    assert data.records[0].size_wh == (80, 60)
    assert data.records[0].path == voc.image(1)


def test_difficult_objects_become_ignore_regions_and_truncated_ones_stay_objects(voc):
    voc.write(1, obj(more="<difficult>1</difficult>"), obj(more="<truncated>1</truncated><difficult>0</difficult>"))
    assert read_voc(voc.split).records[0].ignore.tolist() == [True, False]


def test_boxes_of_parts_inside_an_object_are_no_objects(voc):
    part = "<part><name>thread</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    voc.write(1, obj(more=part))
    data = read_voc(voc.split)
    assert data.classes == ("bolt", "wheel")
    assert data.records[0].boxes_xyxy.tolist() == [[10, 10, 30, 40]]


def test_a_list_chooses_images_and_their_order(voc):
    (voc.root / "val.txt").write_text("3\n1\n")
    split = voc.split.model_copy(update={"list": voc.root / "val.txt"})
    assert [record.id for record in read_voc(split).records] == ["3.jpg", "1.jpg"]


def test_chosen_classes_set_the_labels_and_the_rest_is_reported(voc):
    assert read_voc(voc.split, ["wheel", "bolt"]).records[0].labels.tolist() == [1, 0]
    data = read_voc(voc.split, ["bolt"])
    assert [len(record.labels) for record in data.records] == [1, 0, 0]
    assert len(data.skipped) == 1
    assert "2 annotations of 'wheel' are left out" in data.skipped[0]


def test_a_class_without_objects_is_a_slip_only_where_other_objects_are_left_out(voc):
    assert read_voc(voc.split, ["bolt", "wheel", "nut"], need_objects=True).classes == ("bolt", "wheel", "nut")
    (problem,) = problems(voc, ["bolt", "weel"], need_objects=True)
    assert problem == f"{voc.root / 'xml'}: no object is called 'weel' (did you mean 'wheel'?)"
    assert len(read_voc(voc.split, ["bolt", "weel"]).skipped) == 1, "as in a validation part with the classes of train"


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (obj(""), "object 1 has no 'name'"),
        (obj(box=(1, 2, 3, "")), "object 1 has no 'ymax'"),
        (obj(box=(1, "x", 3, 4)), "object 1 has the ymin 'x', which is not a number"),
        (obj(box=("nan", 1, 3, 4)), "object 1 has the xmin 'nan', which is not a number"),
        (obj(box=(1, 1, "inf", 4)), "object 1 has the xmax 'inf', which is not a number"),
        (obj(box=(10, 10, 10, 40)), "has the box [10.0, 10.0, 10.0, 40.0], whose width or height is not positive"),
        (obj(box=(30, 10, 10, 40)), "has the box [30.0, 10.0, 10.0, 40.0], whose width or height is not positive"),
        (obj(box=(90, 10, 95, 40)), "lies outside the image '1.jpg' of 80 x 60 pixels"),
        (obj(box=(70, 10, 82, 40)), "reaches beyond the image '1.jpg' of 80 x 60 pixels"),
        (obj(more="<difficult>maybe</difficult>"), "has the difficult 'maybe', which is neither 0 nor 1"),
        ("<object><name>bolt</name></object>", "object 1 has no 'xmin'"),
    ],
)
def test_broken_object(voc, entry, sentence):
    voc.write(1, entry)
    (problem,) = problems(voc)
    assert sentence in problem
    assert problem.startswith(f"{voc.xml(1)}: ")


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;&b;">]><annotation><filename>&c;</filename></annotation>'


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not valid xml; no element found"),
        (b"<annotation><object>", "not valid xml; "),
        (b"\xff\xfe\x80\x81", "not valid xml; "),
        (b'<?xml version="1.0" encoding="no-such"?><annotation/>', "not valid xml; "),
        (b"<labels/>", "not a VOC file; its outermost element is 'labels', not 'annotation'"),
        (BOMB.encode(), "has a DOCTYPE"),
        (BOMB.encode("utf-16"), "has a DOCTYPE"),
        (b"<!DOCTYPE annotation><annotation/>", "has a DOCTYPE"),
    ],
)
def test_broken_file(voc, content, sentence):
    voc.xml(2).write_bytes(content)
    (problem,) = problems(voc)
    assert problem.startswith(f"{voc.xml(2)}: ")
    assert sentence in problem


@pytest.mark.parametrize("size", ["", "<size/>", SIZE.replace("60", "0"), "<size><width>80</width></size>"])
def test_a_size_that_the_file_does_not_say_is_the_images_own(voc, size):
    voc.write(1, obj(), size=size)
    assert read_voc(voc.split).records[0].size_wh == (80, 60)
    voc.image(1).write_bytes(voc.image(1).read_bytes()[:1500])
    (problem,) = problems(voc, verify_pixels=True)
    assert "truncated" in problem


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        (SIZE.replace("80", "90"), "the file has 80 x 60 pixels, but its annotation says 90 x 60 pixels"),
        (SIZE.replace("80", "8.5"), "has the size [8.5, 60.0], which is not two positive integers"),
        (SIZE.replace("80", "-80"), "has the size [-80.0, 60.0], which is not two positive integers"),
        (SIZE.replace("80", "wide"), "has the width 'wide', which is not a number"),
    ],
)
def test_wrong_size(voc, size, sentence):
    voc.write(3, size=size)
    (problem,) = problems(voc)
    assert sentence in problem


def test_sizes_are_those_after_the_exif_rotation(voc):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (60, 80)).save(voc.image(3), exif=exif)
    assert read_voc(voc.split).records[2].size_wh == (80, 60)
    voc.write(3, size="")
    assert read_voc(voc.split).records[2].size_wh == (80, 60)


def test_missing_images_and_files_come_with_all_other_problems(voc):
    voc.image(1).unlink()
    voc.xml(2).unlink()
    voc.write(3, obj(box=(0, 0, 0, 0)))
    orphan, alone, broken = problems(voc)
    assert orphan == f"{voc.xml(1)}: there is no image of this name in {voc.root / 'images'}"
    assert alone.startswith(f"{voc.image(2)}: there is no xml file for it in {voc.root / 'xml'}")
    assert broken.startswith(f"{voc.xml(3)}: object 1 ")


def test_an_image_that_is_no_image_is_named_once(voc):
    voc.image(1).write_text("no picture")
    voc.image(2).write_text("no picture")
    voc.write(2, size="")
    assert sorted(problems(voc)) == [f"{voc.image(n)}: not an image, or in an unknown format" for n in (1, 2)]


def test_skip_leaves_out_what_is_broken_and_says_so(voc):
    voc.write(1, obj(), obj(box=(0, 0, 0, 0)))
    voc.xml(2).write_text("<")
    data = read_voc(voc.split, on_broken="skip")
    assert [record.id for record in data.records] == ["1.jpg", "3.jpg"]
    assert data.records[0].boxes_xyxy.tolist() == [[10, 10, 30, 40]]
    assert len(data.skipped) == 2


def test_training_data_needs_an_object(voc):
    for number in (1, 2, 3):
        voc.write(number, obj(more="<difficult>1</difficult>"))
    assert len(read_voc(voc.split).records) == 3
    (problem,) = problems(voc, need_objects=True)
    assert problem.endswith("the data set is empty; none of its 3 images has an object")


def test_annotations_must_be_a_folder(voc):
    split = voc.split.model_copy(update={"annotations": voc.xml(1)})
    with pytest.raises(DataError, match="a file, but the format voc needs the folder of xml files"):
        read_voc(split)
    with pytest.raises(DataError, match="annotations is missing: the format voc needs the folder of xml files"):
        read_voc(SplitConfig(images=voc.root / "images"))
