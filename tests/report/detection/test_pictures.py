"""Which pictures are shown, and what is drawn on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from limbeck.metrics.coco import CocoTruth
from limbeck.report.colours import COLOURS
from limbeck.report.detection.collect import collect
from limbeck.report.detection.pictures import Mark, draw_boxes, gallery, tally
from limbeck.report.gallery import PANEL_SIDE


def test_tally_by_hand() -> None:
    truth = CocoTruth.from_json(
        {
            "images": [{"id": 1}, {"id": 2}, {"id": 3}],
            "categories": [{"id": 1, "name": "wheel"}, {"id": 2, "name": "spring"}],
            "annotations": [
                {"image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10]},
                {"image_id": 1, "category_id": 2, "bbox": [50, 50, 10, 10]},
                {"image_id": 2, "category_id": 1, "bbox": [0, 0, 40, 40], "iscrowd": 1},
            ],
        }
    )
    found = tally(
        truth,
        [
            {"image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 9], "score": 0.9},
            {"image_id": 1, "category_id": 1, "bbox": [50, 50, 10, 10], "score": 0.8},  # the wrong class
            {"image_id": 1, "category_id": 2, "bbox": [50, 50, 10, 10], "score": 0.1},  # too unsure
            {"image_id": 2, "category_id": 1, "bbox": [5, 5, 9, 9], "score": 0.9},  # in the crowd
        ],
    )

    assert found.hits.tolist() == [1, 0, 0]
    assert found.false_alarms.tolist() == [1, 0, 0]
    assert found.missed.tolist() == [1, 0, 0]
    assert found.f1.tolist() == [0.5, 1, 1]
    assert found.sentence(0) == "1 of 2 found, 1 false alarm"


def test_the_gallery_shows_truth_and_all_models(make_run: Any) -> None:
    shown = gallery(collect(make_run()))

    assert shown.pictures
    assert shown.missing == ()
    assert [panel.who for panel in shown.pictures[0].panels] == ["truth", "teacher", "control", "student"]


def test_boxes_are_drawn_in_the_scale_of_the_panel() -> None:
    panel = draw_boxes(Image.new("RGB", (840, 420)), [Mark((200, 100, 400, 300), "")], "teacher")

    assert panel.size == (PANEL_SIDE, 210)
    assert panel.getpixel((100, 100)) == ImageColor.getrgb(COLOURS["teacher"])
    assert panel.getpixel((150, 100)) == (0, 0, 0)


@pytest.mark.parametrize("box", [(-50.0, -50.0, 500.0, 500.0), (95.0, 2.0, 99.0, 3.0), (10.0, 10.0, 10.0, 10.0)])
def test_odd_boxes_keep_their_label_inside_the_picture(box: tuple[float, float, float, float]) -> None:
    panel = np.asarray(draw_boxes(Image.new("RGB", (100, 60)), [Mark(box, "wheel 0.93")], "control"))

    label = (panel == ImageColor.getrgb(COLOURS["control"])).all(axis=2)
    assert label.sum() > 300
