"""Everything that is wrong is named, and what is sound is counted all the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limbeck.data.audit import audit
from limbeck.data.config import DataConfig


@pytest.fixture
def make_sound(make_coco: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a function that writes a part without any odd box."""

    def make(name: str) -> Any:
        folder = make_coco(name)
        folder.annotations[1]["bbox"] = [0, 0, 60, 50]
        folder.write()
        return folder

    return make


@pytest.fixture
def train(make_sound: Callable[[str], Any]) -> Any:
    return make_sound("train")


@pytest.fixture
def val(make_sound: Callable[[str], Any]) -> Any:
    """A part with other images than the training part."""
    folder = make_sound("val")
    for number in (1, 2, 3, 4):
        with Image.open(folder.image(number)) as image:
            image.rotate(180).save(folder.image(number), quality=95)
    return folder


def config(train: Any, val: Any, **settings: Any) -> DataConfig:
    return DataConfig(train=train.split, val=val.split, size=(96, 96), **settings)


def test_sound_data(train: Any, val: Any) -> None:
    found = audit(config(train, val))
    assert found.problems == found.warnings == ()
    assert found.near == found.identical == ()
    assert {part: survey.boxes for part, survey in found.surveys.items()} == {"train": 3, "val": 3}
    assert found.compared == {"train": 4, "val": 4}


def test_all_problems_are_listed_and_the_rest_is_counted(train: Any, val: Any) -> None:
    train.annotations.extend({**train.annotations[2], "id": 100 + n, "category_id": 8} for n in range(40))
    train.write()
    val.image(2).write_bytes(val.image(2).read_bytes()[:1500])
    found = audit(config(train, val))
    assert len(found.problems) == 41
    assert str(val.image(2)) in found.problems[-1]
    assert found.surveys["train"].images == 4
    assert found.surveys["val"].images == 3
    assert found.warnings == ()  # what is a problem is not said again as something that was left out


def test_a_part_that_cannot_be_read_does_not_hide_the_other(train: Any, val: Any) -> None:
    train.split.annotations.write_text("{")
    found = audit(config(train, val))
    (problem,) = found.problems
    assert "not valid json" in problem
    assert list(found.surveys) == ["val"]
    assert found.compared == {"train": 0, "val": 4}


def test_nothing_can_be_read(train: Any, val: Any) -> None:
    for folder in (train, val):
        for number in (1, 2, 3, 4):
            folder.image(number).unlink()
    found = audit(config(train, val))
    assert sum("no such file" in problem for problem in found.problems) == 8
    assert sum("the data set is empty" in problem for problem in found.problems) == 2
    assert not found.data
    assert not found.surveys


def test_classes_that_are_left_out_are_a_warning(train: Any, val: Any) -> None:
    found = audit(config(train, val, classes=("wheel",)))
    assert found.problems == ()
    assert len(found.warnings) == 2
    assert all("1 annotations of 'bolt' are left out" in warning for warning in found.warnings)


def test_an_image_of_both_parts_is_a_problem(train: Any, val: Any) -> None:
    shutil.copy(train.image(3), val.image(4))
    found = audit(config(train, val))
    assert found.problems == (f"{val.image(4)}: the same pixels as the training image {train.image(3)}",)
    assert found.near == ()
    assert found.warnings == ()


def test_the_training_images_are_the_validation_images(train: Any) -> None:
    assert len(audit(config(train, train)).problems) == 4


def test_a_copy_in_the_other_part_is_a_warning(train: Any, val: Any) -> None:
    with Image.open(train.image(3)) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(val.image(1), quality=80)
    found = audit(config(train, val))
    assert found.problems == ()
    ((pair,),) = found.near
    assert (pair.train, pair.val, pair.mirrored) == (train.image(3), val.image(1), True)
    assert found.warnings == (
        "1 validation image shows the same picture as a training image, and scores on them are too good",
    )


def test_repeated_images_of_one_part_are_a_warning(train: Any, val: Any) -> None:
    for number in (2, 4):
        shutil.copy(train.image(1), train.image(number))
    (warning,) = audit(config(train, val)).warnings
    assert warning.startswith("2 training images have the same pixels as another one; the first are ")
    assert warning.endswith(f"{train.image(1)} and {train.image(2)}")


def test_not_more_images_are_compared_than_was_said(train: Any, val: Any) -> None:
    shutil.copy(train.image(3), val.image(4))
    found = audit(config(train, val), max_images=3, seed=0)
    assert found.compared == {"train": 3, "val": 3}
    leaks = {seed: bool(audit(config(train, val), max_images=3, seed=seed).problems) for seed in range(8)}
    assert set(leaks.values()) == {True, False}
    assert audit(config(train, val), max_images=3, seed=5).problems == (
        audit(config(train, val), max_images=3, seed=5).problems
    )


def test_json_holds_plain_numbers_and_texts(train: Any, val: Any) -> None:
    shutil.copy(train.image(3), val.image(4))
    found = audit(config(train, val))
    content = found.to_json()
    assert json.loads(json.dumps(content)) == content
    assert content["problems"] == list(found.problems)
    assert content["parts"]["train"]["classes"][0] == {"name": "wheel", "boxes": 2, "images": 2}
    assert content["identical"] == [{"train": [str(train.image(3))], "val": [str(val.image(4))]}]


@pytest.fixture
def test_part(make_sound: Callable[[str], Any]) -> Any:
    """A part with other images than the two others."""
    folder = make_sound("test")
    for number in (1, 2, 3, 4):
        pixels = np.random.default_rng(number).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder.image(number))
    return folder


def test_a_test_part_is_looked_at_and_compared_with_both(train: Any, val: Any, test_part: Any) -> None:
    found = audit(config(train, val, test=test_part.split))
    assert found.problems == found.warnings == ()
    assert found.surveys["test"].empty_images == 2
    assert found.compared == {"train": 4, "val": 4, "test": 4}
    shutil.copy(train.image(3), test_part.image(1))
    shutil.copy(val.image(4), test_part.image(2))
    spoilt = audit(config(train, val, test=test_part.split))
    assert spoilt.problems == (
        f"{test_part.image(1)}: the same pixels as the training image {train.image(3)}",
        f"{test_part.image(2)}: the same pixels as the validation image {val.image(4)}",
    )
    assert (spoilt.identical, spoilt.near) == ((), ())


def test_copies_in_the_test_part_are_a_warning(train: Any, val: Any, test_part: Any) -> None:
    with Image.open(val.image(3)) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(test_part.image(1), quality=80)
    shutil.copy(test_part.image(3), test_part.image(4))
    found = audit(config(train, val, test=test_part.split))
    assert found.problems == ()
    repeated, alike = found.warnings
    assert repeated.startswith("1 test images have the same pixels as another one")
    assert alike.startswith("1 test image shows the same picture as a validation image")
