"""Images with nothing to find come through every reader, are drawn and augmented like any other, and stay empty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data.config import AugmentConfig, DataConfig
from limbeck.data.convert import convert, read_parts
from limbeck.data.detection2d import DetectionViews, collate
from limbeck.data.readers import read_all_parts
from limbeck.data.records import BoxData
from limbeck.data.sampling import class_weights, repeat_factors, resample
from limbeck.data.survey import survey_part
from limbeck.data.views import Draw, ViewLoader

STRONG = AugmentConfig(flip=0.5, scale_crop=1.0, scale=(0.3, 3.0), mosaic=0.5)


@pytest.fixture(params=["coco", "voc", "yolo", "yolo without txt files"])
def train(request: Any, make_coco: Callable[[str], Any], tmp_path: Path) -> BoxData:
    """Four images, the last two with nothing on them, as each reader gives them."""
    split = make_coco("train").split
    config = DataConfig(train=split, val=split, size=(64, 64))
    format, _, without = request.param.partition(" ")
    if format != "coco":
        out = tmp_path / "out"
        done = convert(read_parts(config)[:1], format, out)
        if without:
            for number in (3, 4):
                (out / "labels/train" / f"{number}.txt").unlink()
        settings = done.settings | {"val": done.settings["train"], "size": (64, 64)}
        config = DataConfig.model_validate(settings)
    return read_all_parts(config)["train"]


def test_every_reader_keeps_them(train: BoxData) -> None:
    assert [len(record.labels) for record in train.records] == [2, 1, 0, 0]
    empty = train.records[2]
    assert empty.boxes_xyxy.shape == (0, 4)
    assert (empty.boxes_xyxy.dtype, empty.labels.dtype, empty.ignore.dtype) == (np.float32, np.int64, np.bool_)
    assert empty.areas.shape == (0,)
    assert survey_part(train.records, train.classes, (64, 64), "letterbox").empty_images == 2


def test_they_are_drawn_as_often_as_any_other(train: BoxData) -> None:
    factors = repeat_factors(train.records, threshold=1.0)
    assert factors.tolist() == [2.0, pytest.approx(2**0.5), 1.0, 1.0], "a rare class asks for more, nothing for less"
    drawn = Counter(np.concatenate([resample(factors, np.random.default_rng(n)) for n in range(20)]).tolist())
    assert drawn[2] == drawn[3] == pytest.approx(20, abs=4)
    assert class_weights(train.records, train.classes, "auto").shape == (2,)
    views = DetectionViews(train.records, (64, 64), "letterbox", STRONG)
    loader = ViewLoader(views, 1, collate, seed=0, shuffle=True)
    assert sorted(batch.frames[0].id for batch in loader) == sorted(record.id for record in train.records)


def test_no_view_of_them_has_a_box(train: BoxData) -> None:
    weights = np.array([1.0, 2.0], dtype=np.float32)
    negative = train.records[2:]
    views = DetectionViews(negative, (64, 64), "letterbox", STRONG, class_weights=weights)
    samples = [views[Draw(view=view, index=index)] for view in range(10) for index in (0, 1)]
    batch = collate(samples)
    assert batch.images.shape == (20, 3, 64, 64)
    for target in batch.targets:
        assert target.boxes_xyxy.shape == (0, 4)
        assert target.labels.shape == target.ignore.shape == target.weights.shape == (0,)
    plain = DetectionViews(negative, (64, 64), "stretch")[Draw(view=0, index=1)]
    assert plain.boxes.boxes_xyxy.shape == (0, 4)


def test_a_mosaic_takes_boxes_only_from_the_images_that_have_some(train: BoxData) -> None:
    views = DetectionViews(train.records, (64, 64), "letterbox", AugmentConfig(mosaic=1.0))
    counts = {len(views[Draw(view=view, index=2)].boxes.labels) for view in range(30)}
    assert min(counts) == 0
    assert max(counts) > 0
