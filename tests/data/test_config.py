"""The settings refuse what cannot work, in a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from limbeck.data.config import AugmentConfig, DataConfig


def settings(**changes: Any) -> dict[str, Any]:
    split = {"images": "images", "annotations": "boxes.json"}
    return {"train": split, "val": split, "size": (320, 256), **changes}


def test_defaults() -> None:
    config = DataConfig.model_validate(settings())
    assert config.resize == "letterbox"
    assert config.views is None
    assert config.on_broken == "error"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"size": (320, 250)}, "width and height must be positive multiples of 32, not 320 x 250"),
        ({"size": (0, 64)}, "width and height must be positive multiples of 32, not 0 x 64"),
        ({"classes": ()}, "the list of classes is empty"),
        ({"classes": ("a", "b", "a")}, "classes are listed twice: a"),
        ({"augment": {"scale": (1.2, 0.8)}}, "smallest <= largest"),
        ({"augment": {"flip": 1.5}}, "less than or equal to 1"),
        ({"views": 0}, "greater than or equal to 1"),
        ({"views": 2, "augment": {"mosaic_epochs": 5}}, "augment.mosaic_epochs cannot be used with views"),
        ({"augment": {"mosaic": 1.1}}, "less than or equal to 1"),
        ({"repeat_threshold": 0}, "greater than 0"),
        ({"class_weights": "automatic"}, "must be 'auto' or class names with weights above 0"),
        ({"class_weights": {"bolt": 0}}, "must be 'auto' or class names with weights above 0"),
        ({"class_weights": {"bolt": float("nan")}}, "must be 'auto' or class names with weights above 0"),
        ({"class_weights": {"bolt": True}}, "must be 'auto' or class names with weights above 0"),
        ({"class_weights": {7: 1.0}}, "must be 'auto' or class names with weights above 0"),
        ({"class_weights": ["bolt"]}, "must be 'auto' or class names with weights above 0"),
        ({"scales": (1.2, 0.8)}, "scales must be two numbers, 0 < smallest <= largest"),
        ({"scales": (0.0, 1)}, "scales must be two numbers, 0 < smallest <= largest"),
        ({"scales": (1.01, 1.09)}, r"no multiple of 32 lies between 1.01 and 1.09 times 320"),
        ({"sise": 3}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        DataConfig.model_validate(settings(**change))


IMAGES = {"images": "images"}
FULL = {"images": "images", "annotations": "boxes", "list": "train.txt"}


@pytest.mark.parametrize(
    "change",
    [
        {"format": "voc", "train": FULL},
        {"format": "yolo", "train": FULL, "val": IMAGES, "names": "data.yaml"},
        {"format": "yolo", "train": IMAGES, "classes": ["wheel"]},
    ],
)
def test_each_format_has_what_it_needs(change: dict[str, Any]) -> None:
    DataConfig.model_validate(settings(**change))


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        ({"train": IMAGES}, ["train.annotations is missing: the format coco needs the json file with the boxes"]),
        ({"val": FULL}, ["val.list is not for the format coco, whose json file lists the images"]),
        ({"names": "data.yaml"}, ["names is for the format yolo; the annotations of the format coco have the names"]),
        (
            {"format": "voc", "train": IMAGES, "val": IMAGES, "names": "data.yaml"},
            [
                "train.annotations is missing: the format voc needs the folder of xml files",
                "val.annotations is missing: the format voc needs the folder of xml files",
                "names is for the format yolo; the annotations of the format voc have the names",
            ],
        ),
        ({"format": "yolo"}, ["names is missing: the format yolo needs the data.yaml or classes.txt, or all names in"]),
        ({"format": "csv"}, ["Input should be 'coco', 'voc' or 'yolo'"]),
    ],
)
def test_what_a_format_lacks_or_cannot_use_is_said(change: dict[str, Any], sentences: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        DataConfig.model_validate(settings(**change))
    assert all(sentence in str(caught.value) for sentence in sentences)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        AugmentConfig().flip = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("size", "scales", "canvases"),
    [
        ((320, 256), None, [(320, 256)]),
        ((320, 256), (1, 1), [(320, 256)]),
        ((320, 320), (0.7, 1), [(224, 224), (256, 256), (288, 288), (320, 320)]),
        ((800, 800), (2.2, 2.2), [(1760, 1760)]),  # in floating point 2.2 x 800 / 32 is above 55
        ((640, 384), (0.9, 1.1), [(576, 352), (608, 352), (640, 384), (672, 416), (704, 416)]),
        ((384, 640), (0.95, 1.01), [(352, 608), (384, 640)]),
        ((640, 32), (0.5, 0.55), [(320, 32), (352, 32)]),
        ((32, 32), (0.5, 2), [(32, 32), (64, 64)]),
    ],
)
def test_canvases_keep_the_aspect_as_well_as_multiples_of_32_allow(size: Any, scales: Any, canvases: Any) -> None:
    assert list(DataConfig.model_validate(settings(size=size, scales=scales)).canvases) == canvases
