"""The COCO reader returns what the file says, and one sentence for everything that is wrong with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from limbeck.data.coco import read_coco
from limbeck.data.config import SplitConfig
from limbeck.errors import DataError


def problems(split: SplitConfig, *arguments: Any, **options: Any) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        read_coco(split, *arguments, **options)
    return caught.value.problems


def test_boxes_labels_and_negative_images(coco: Any) -> None:
    data = read_coco(coco.split)
    assert data.classes == ("wheel", "bolt")  # in order of their ids
    assert data.category_ids == (3, 7)
    assert data.skipped == ()
    assert [record.id for record in data.records] == [1, 2, 3, 4]
    assert data.records[0].boxes_xyxy.tolist() == [[10, 10, 30, 40], [0, 0, 80, 60]]
    assert data.records[0].labels.tolist() == [1, 0]
    assert not data.records[0].ignore.any()
    assert data.records[2].boxes_xyxy.shape == (0, 4)
    assert data.records[0].size_wh == (80, 60)
    assert data.records[0].path == coco.image(1)


def test_crowd_and_ignore_marks_become_ignored_rows(coco: Any) -> None:
    coco.annotations[0]["iscrowd"] = 1
    coco.annotations[2]["ignore"] = 1
    first, second, *_ = read_coco(coco.write()).records
    assert first.ignore.tolist() == [True, False]
    assert second.ignore.tolist() == [True]


def test_chosen_classes_set_the_labels_and_the_rest_is_reported(coco: Any) -> None:
    assert read_coco(coco.split, ["bolt", "wheel"]).records[0].labels.tolist() == [0, 1]
    data = read_coco(coco.split, ["bolt"])
    assert data.classes == ("bolt",)
    assert [len(record.labels) for record in data.records] == [1, 0, 0, 0]
    assert len(data.skipped) == 1
    assert "2 annotations of 'wheel' are left out" in data.skipped[0]


def test_unknown_class_names_the_nearest(coco: Any) -> None:
    (problem,) = problems(coco.split, ["bolt", "weel"])
    assert problem == f"{coco.split.annotations}: no category is called 'weel' (did you mean 'wheel'?)"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"category_id": 9}, "annotation 11 has the category id 9, which is not in the list of categories"),
        ({"image_id": 99}, "annotation 11 belongs to the image id 99, which is not in the list of images"),
        ({"bbox": [90, 10, 5, 5]}, "lies outside the image '1.jpg' of 80 x 60 pixels"),
        ({"bbox": [-9, 10, 5, 5]}, "lies outside the image '1.jpg' of 80 x 60 pixels"),
        ({"bbox": [70, 10, 12, 5]}, "reaches beyond the image '1.jpg' of 80 x 60 pixels"),
        ({"bbox": [10, 10, 0, 5]}, "annotation 11 has the box [10, 10, 0, 5], whose width or height is not positive"),
        ({"bbox": [10, 10, 5, -5]}, "annotation 11 has the box [10, 10, 5, -5], whose width or height is not positive"),
        ({"bbox": [float("nan"), 1, 2, 3]}, "annotation 11 has the box [nan, 1, 2, 3], in which not every number is"),
        ({"bbox": [1, 1, float("inf"), 3]}, "annotation 11 has the box [1, 1, inf, 3], in which not every number is"),
        ({"bbox": [1, 2, 3]}, "annotation 11 has the box [1, 2, 3], which is not four numbers"),
        ({"bbox": "1 2 3 4"}, "annotation 11 has the box '1 2 3 4', which is not four numbers"),
        ({"area": "large"}, "annotation 11 has the area 'large', which is not a number of square pixels"),
        ({"area": -1}, "annotation 11 has the area -1, which is not a number of square pixels"),
        ({"id": 13}, "annotation id 13 is used more than once"),
        ({"id": None}, "annotation number 1 of the list has the id None"),
    ],
)
def test_broken_annotation(coco: Any, change: dict[str, Any], sentence: str) -> None:
    coco.annotations[0].update(change)
    (problem,) = problems(coco.write())
    assert sentence in problem
    assert problem.startswith(f"{coco.split.annotations}: ")


def test_the_area_of_a_mask_is_taken_where_there_is_one(coco: Any) -> None:
    left, top, right, bottom = read_coco(coco.write()).records[0].boxes_xyxy[0].tolist()
    assert read_coco(coco.write()).records[0].areas[0] == (right - left) * (bottom - top)
    coco.annotations[0]["area"] = 7.5
    assert read_coco(coco.write()).records[0].areas[0] == 7.5


@pytest.mark.parametrize("key", ["id", "image_id", "category_id", "bbox"])
def test_missing_key_of_an_annotation(coco: Any, key: str) -> None:
    del coco.annotations[0][key]
    (problem,) = problems(coco.write())
    assert f"has no '{key}'" in problem


@pytest.mark.parametrize(
    ("box", "expected"),
    [([70, 10, 11, 5], [70, 10, 80, 15]), ([-0.9, -0.5, 10, 10], [0, 0, 9.1, 9.5])],
)
def test_small_overhang_is_clipped(coco: Any, box: list[float], expected: list[float]) -> None:
    coco.annotations[0]["bbox"] = box
    np.testing.assert_allclose(read_coco(coco.write()).records[0].boxes_xyxy[0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"id": 2}, "image id 2 is used more than once"),
        ({"width": "80"}, "image 1 has the width '80', which is not a positive integer"),
        ({"height": 0}, "image 1 has the height 0, which is not a positive integer"),
        ({"file_name": 5}, "image 1 has the file_name 5, which is not a text"),
    ],
)
def test_broken_image_entry(coco: Any, change: dict[str, Any], sentence: str) -> None:
    coco.content["images"][0].update(change)
    coco.content["annotations"] = coco.annotations[2:]
    (problem,) = problems(coco.write())
    assert sentence in problem


def test_a_broken_image_entry_does_not_blame_its_annotations(coco: Any) -> None:
    del coco.content["images"][0]["width"]
    (problem,) = problems(coco.write())
    assert problem.endswith("image 1 has no 'width'")


def test_missing_image(coco: Any) -> None:
    coco.image(3).unlink()
    assert problems(coco.split) == (f"{coco.image(3)}: no such file or directory",)


def test_missing_folder_is_one_problem(coco: Any) -> None:
    split = coco.split.model_copy(update={"images": coco.root / "pictures"})
    assert problems(split) == (f"{coco.root / 'pictures'}: the folder of images does not exist",)
    (problem,) = problems(SplitConfig(images=coco.image(1), annotations=coco.split.annotations))
    assert problem.startswith(f"{coco.image(1)}: a file, but 'images' is a folder")


def test_size_mismatch(coco: Any) -> None:
    Image.new("RGB", (60, 60)).save(coco.image(4))
    (problem,) = problems(coco.split)
    expected = "the file has 60 x 60 pixels, but its annotation says 80 x 60 pixels"
    assert problem == f"{coco.image(4)}: {expected}"


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_sizes_are_compared_after_the_exif_rotation(coco: Any, suffix: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    coco.content["images"][3]["file_name"] = f"4.{suffix}"
    coco.write()
    Image.new("RGB", (80, 60)).save(coco.root / "images" / f"4.{suffix}", exif=exif)
    (problem,) = problems(coco.split)
    assert "60 x 80 pixels after its EXIF rotation" in problem
    Image.new("RGB", (60, 80)).save(coco.root / "images" / f"4.{suffix}", exif=exif)
    assert len(read_coco(coco.split).records) == 4


def test_truncated_image_is_found_when_pixels_are_verified(coco: Any) -> None:
    coco.image(2).write_bytes(coco.image(2).read_bytes()[:2000])
    assert len(read_coco(coco.split).records) == 4
    (problem,) = problems(coco.split, verify_pixels=True)
    assert str(coco.image(2)) in problem
    assert "truncated" in problem


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "not valid json; it breaks off or is wrong at line 1, column 1"),
        ("[]", "not a COCO file; it is a list, not an object"),
        ('{"images": []}', "not a COCO file; it has no list 'annotations'"),
        ('{"images": [], "annotations": [], "categories": []}', "the list of categories is empty"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}', "the data set is empty"),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}',
            "2 categories are called 'a'",
        ),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}',
            "category id 1 is used more than once",
        ),
    ],
)
def test_broken_file(coco: Any, text: str, sentence: str) -> None:
    coco.split.annotations.write_text(text)
    assert sentence in problems(coco.split)[0]


def test_json_cut_in_half_missing_or_binary(coco: Any) -> None:
    path = coco.split.annotations
    text = path.read_text()
    path.write_text(text[: len(text) // 2])
    assert "not valid json; it breaks off" in problems(coco.split)[0]
    path.write_bytes(b"\xff\xfe\x80")
    assert problems(coco.split) == (f"{path}: not a text file",)
    path.unlink()
    assert problems(coco.split) == (f"{path}: no such file or directory",)


def test_a_folder_in_place_of_the_json_file_is_refused_with_what_to_do(coco: Any) -> None:
    split = coco.split.model_copy(update={"annotations": coco.root / "images"})
    with pytest.raises(DataError, match="a folder, but the format coco needs the json file with the boxes") as caught:
        read_coco(split)
    assert (
        caught.value.hint == "set data.format to 'voc' for a folder of xml files, to 'yolo' for a folder of txt files"
    )
    with pytest.raises(DataError, match="annotations is missing: the format coco needs the json file"):
        read_coco(SplitConfig(images=coco.root / "images"))


def test_training_data_needs_an_object(coco: Any) -> None:
    for annotation in coco.annotations:
        annotation["iscrowd"] = 1
    split = coco.write()
    assert len(read_coco(split).records) == 4
    (problem,) = problems(split, need_objects=True)
    assert problem.endswith("the data set is empty; none of its 4 images has an object")


def test_all_problems_come_at_once_and_a_long_list_is_cut(coco: Any) -> None:
    coco.image(3).unlink()
    coco.annotations[0]["category_id"] = 9
    coco.annotations[1]["bbox"] = [0, 0, -1, 5]
    assert len(problems(coco.write())) == 3
    coco.annotations.extend({**coco.annotations[2], "id": 100 + n, "category_id": 8} for n in range(40))
    with pytest.raises(DataError, match="\n  - and 23 more\n") as caught:
        read_coco(coco.write())
    assert len(caught.value.problems) == 43


def test_skip_leaves_out_what_is_broken_and_says_so(coco: Any) -> None:
    coco.image(2).unlink()
    coco.annotations[0]["category_id"] = 9
    data = read_coco(coco.write(), on_broken="skip")
    assert [record.id for record in data.records] == [1, 3, 4]
    assert data.records[0].boxes_xyxy.tolist() == [[0, 0, 80, 60]]
    assert len(data.skipped) == 2
    assert "annotation 11" in data.skipped[0]
    assert str(coco.image(2)) in data.skipped[1]


def test_skip_does_not_accept_that_nothing_is_left(coco: Any) -> None:
    for number in (1, 2, 3, 4):
        coco.image(number).unlink()
    (problem,) = problems(coco.split, on_broken="skip")
    assert "the data set is empty" in problem
