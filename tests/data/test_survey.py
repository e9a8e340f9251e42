"""Counts and sizes by hand, and every kind of odd box."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from limbeck.data.records import BoxRecord
from limbeck.data.survey import QUANTILES, ClassCount, OddBox, PartSurvey, concerns, survey_part

CLASSES = ("wheel", "bolt", "spring")
Row = tuple[tuple[float, float, float, float], int, bool]


def record(name: str, *rows: Row, size_wh: tuple[int, int] = (200, 100)) -> BoxRecord:
    boxes = np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4)
    labels = np.array([label for _, label, _ in rows], np.int64)
    return BoxRecord(name, Path(name), size_wh, boxes, labels, np.array([ignore for _, _, ignore in rows], np.bool_))


def survey(*records: BoxRecord, canvas_wh: tuple[int, int] = (200, 100), stretch: bool = False) -> PartSurvey:
    return survey_part(records, CLASSES, canvas_wh, "stretch" if stretch else "letterbox")


def test_counts_by_class_and_image() -> None:
    found = survey(
        record("a", ((0, 0, 20, 20), 0, False), ((50, 50, 70, 70), 0, False), ((0, 0, 90, 90), 1, True)),
        record("b", ((0, 0, 20, 20), 0, False), ((30, 30, 50, 50), 1, False)),
        record("c", ((0, 0, 20, 20), 2, True)),
        record("d"),
    )
    assert (found.images, found.empty_images, found.boxes, found.ignored) == (4, 2, 4, 2)
    assert found.classes == (ClassCount("wheel", 3, 2), ClassCount("bolt", 1, 1), ClassCount("spring", 0, 0))
    assert found.missing == ("spring",)


def test_sizes_in_the_image_and_on_the_canvas() -> None:
    rows: list[Row] = [((0, 0, 10, 40), 0, False), ((0, 0, 40, 40), 0, False), ((0, 0, 90, 40), 0, False)]
    found = survey(record("a", *rows, ((0, 0, 1, 1), 0, True)), canvas_wh=(100, 100), stretch=True)
    middle = QUANTILES.index(0.5)
    assert [found.sizes.side[at] for at in (0, middle, -1)] == [20, 40, 60]
    assert [found.sizes.aspect[at] for at in (0, middle, -1)] == [0.25, 1, 2.25]
    np.testing.assert_allclose([found.sizes.canvas_side[at] for at in (0, middle, -1)], np.sqrt([200, 800, 1800]))
    assert [found.sizes.canvas_aspect[at] for at in (0, middle, -1)] == [0.125, 0.5, 1.125]
    boxed = survey(record("a", *rows), canvas_wh=(100, 100))
    assert boxed.sizes.canvas_side == tuple(side / 2 for side in boxed.sizes.side)
    assert boxed.sizes.canvas_aspect == boxed.sizes.aspect


@pytest.mark.parametrize(
    ("side", "counts"), [(7.9, (1, 0, 0)), (31.9, (1, 0, 0)), (32, (0, 1, 0)), (95.9, (0, 1, 0)), (96, (0, 0, 1))]
)
def test_limits_of_small_medium_and_large(side: float, counts: tuple[int, int, int]) -> None:
    found = survey(record("a", ((0, 0, side, side), 0, False)))
    assert (found.small, found.medium, found.large) == counts
    assert bool(found.tiny) == (side < 8)


def test_tiny_boxes_are_those_of_the_canvas_the_smallest_first() -> None:
    records = [
        record("a", ((0, 0, 14, 14), 1, False), ((0, 0, 16, 16), 1, False)),
        record("b", ((20, 20, 32, 32), 0, False), ((0, 0, 2, 2), 0, True)),
    ]
    assert survey(*records).tiny == ()
    found = survey(*records, canvas_wh=(100, 64))
    assert found.tiny == (
        OddBox(Path("b"), "wheel", (20, 20, 32, 32)),
        OddBox(Path("a"), "bolt", (0, 0, 14, 14)),
    )


def test_boxes_that_fill_the_image() -> None:
    found = survey(
        record("a", ((0, 0, 180, 100), 0, False), ((0, 0, 181, 100), 1, False), ((0, 0, 200, 100), 0, True)),
        record("b", ((0, 0, 50, 50), 2, False), size_wh=(50, 50)),
    )
    assert [(box.path.name, box.class_name) for box in found.huge] == [("a", "bolt"), ("b", "spring")]


def test_boxes_that_are_labelled_twice() -> None:
    box, moved, far = (10, 10, 60, 60), (10, 10, 60, 61), (10, 10, 60, 70)
    found = survey(
        record("a", (box, 0, False), (box, 1, False), (far, 0, False), (box, 0, True)),
        record("b", (box, 0, False)),
        record("c", (far, 2, False), (box, 1, False), (moved, 1, False), (box, 1, False)),
    )
    assert [(twin.path.name, twin.box_xyxy) for twin in found.twins] == [("c", moved), ("c", box)]


def test_a_part_without_boxes() -> None:
    for found in (survey(), survey(record("a")), survey(record("a", ((0, 0, 9, 9), 0, True)))):
        assert found.boxes == 0
        assert found.sizes.side == found.sizes.canvas_aspect == ()
        assert found.missing == CLASSES
        assert concerns({"val": found}) == ["the validation images have no box at all"]


def test_a_sentence_for_everything_odd() -> None:
    sound = survey(*(record("a", ((10 * n, 0, 10 * n + 50, 50), n, False)) for n in range(3)))
    assert concerns({"train": sound, "val": sound}) == []
    odd = OddBox(Path("a.jpg"), "bolt", (0, 0, 1, 1))
    found = concerns({"train": replace(sound, tiny=(odd,) * 3, huge=(odd,), twins=(odd, odd)), "val": sound})
    assert found == [
        "3 training boxes, the first in a.jpg, are smaller than 8 x 8 pixels on the canvas and hardly learnable; "
        "a larger data.size would help",
        "1 training box, in a.jpg, is larger than 90 % of the image",
        "2 training boxes, the first in a.jpg, are on top of another of the same class, probably labelled twice",
    ]
    missing = replace(sound, classes=(*sound.classes[:2], ClassCount("spring", 0, 0)))
    assert concerns({"train": missing, "val": missing}) == [
        "no training image has a box of 'spring': it cannot be learnt",
        "no validation image has a box of 'spring': it cannot be measured",
    ]


def test_a_box_that_float32_rounds_to_nothing_has_a_finite_shape() -> None:
    found = survey(record("a", ((90000, 10, 90000.001, 20), 0, False), size_wh=(100_000, 100)))
    assert np.isfinite(found.sizes.aspect).all()
    assert len(found.tiny) == 1
