"""Which images the sheet shows, and what is drawn on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from limbeck.data.records import BoxData, BoxRecord
from limbeck.errors import DataError
from limbeck.report.sheet import (
    CLASS_COLOURS,
    CLOSE_UPS,
    MAX_TILES,
    TILES,
    draw_sheet,
    shown_samples,
    smallest_boxes,
)
from limbeck.report.sheet_layout import WIDTH

Box = tuple[float, float, float, float]


def record(
    path: Path | str, boxes: Sequence[Box] = (), labels: Sequence[int] = (), ignore: Sequence[bool] = ()
) -> BoxRecord:
    marks = np.array(ignore or [False] * len(boxes), np.bool_)
    rows = np.array(boxes, np.float32).reshape(-1, 4)
    return BoxRecord(str(path), Path(path), (80, 60), rows, np.array(labels, np.int64), marks)


def data(*records: BoxRecord, classes: int = 3) -> BoxData:
    names = tuple(f"class {number}" for number in range(classes))
    return BoxData(records, names, tuple(range(classes)), ())


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    Image.new("RGB", (80, 60), (100, 100, 100)).save(tmp_path / "grey.png")
    return tmp_path / "grey.png"


def count(sheet: Image.Image, colour: str) -> int:
    return int((np.asarray(sheet) == ImageColor.getrgb(colour)).all(axis=2).sum())


def test_every_class_and_an_ignore_region_are_shown() -> None:
    whole = (0, 0, 9, 9)
    records = [record(f"{n}", [whole], [0]) for n in range(60)]
    records[13] = record("13", [whole], [2])
    records[31] = record("31", [whole, whole], [0, 1])
    records[47] = record("47", [whole], [0], [True])
    rows = shown_samples(records)
    assert {13, 31, 47} <= set(rows)
    assert len(rows) == len(set(rows)) == TILES
    assert rows == sorted(rows)


def test_more_images_are_shown_where_classes_need_them() -> None:
    for classes, shown in ((15, 15), (MAX_TILES + 9, MAX_TILES)):
        assert len(shown_samples([record(f"{n}", [(0, 0, 9, 9)], [n]) for n in range(classes)])) == shown


def test_few_images_and_none() -> None:
    assert shown_samples([record("a"), record("b")]) == [0, 1]
    assert shown_samples([]) == []


def test_the_smallest_boxes_on_the_canvas_one_of_each_image() -> None:
    records = [
        record("a", [(0, 0, 20, 20), (0, 0, 6, 6)], [0, 1]),
        record("b", [(0, 0, 2, 2), (0, 0, 10, 3)], [0, 0], [True, False]),
        record("c", [(0, 0, 8, 8), (0, 0, 1, 1)], [0, 0], [False, True]),
        record("d"),
    ]
    assert smallest_boxes(records, (80, 60), "stretch") == [(1, 1), (0, 1), (2, 0)]
    many = [record(str(n), [(0, 0, 9, 20 - n)], [0]) for n in range(12)]
    assert smallest_boxes(many, (80, 60), "stretch") == [(row, 0) for row in range(11, 11 - CLOSE_UPS, -1)]
    assert smallest_boxes([], (80, 60), "stretch") == []


def test_boxes_have_the_colours_of_their_classes(grey: Path) -> None:
    def colours(*labels: int) -> list[bool]:
        boxes: list[Box] = [(5 + 25 * n, 5, 25 + 25 * n, 40) for n in range(len(labels))]
        with_boxes = draw_sheet({"train": data(record(grey, boxes, labels))}, (80, 60), "stretch")
        without = draw_sheet({"train": data(record(grey))}, (80, 60), "stretch")
        return [count(with_boxes, colour) > count(without, colour) + 500 for colour in CLASS_COLOURS[:3]]

    assert colours(0) == [True, False, False]
    assert colours(2, 1) == [False, True, True]


def test_ignore_regions_are_hatched_and_in_the_legend(grey: Path) -> None:
    box: list[Box] = [(10, 10, 50, 50)]
    plain = draw_sheet({"val": data(record(grey))}, (80, 60), "stretch")
    hatched = draw_sheet({"val": data(record(grey, box, [0], [True]))}, (80, 60), "stretch")
    changed = (np.asarray(plain) != np.asarray(hatched)).any(axis=2)
    tile = changed[100:400, :400]
    assert 0.1 < tile[tile.any(axis=1)][:, tile.any(axis=0)].mean() < 0.6
    assert changed[:50].any()


def test_the_sheet_is_as_wide_as_it_says_and_the_same_every_time(grey: Path) -> None:
    part = data(*(record(grey, [(3, 3, 9 + n, 30)], [n % 3]) for n in range(5)))
    sheet = draw_sheet({"train": part, "val": part}, (96, 64), "letterbox")
    assert sheet.width == WIDTH
    assert sheet.tobytes() == draw_sheet({"train": part, "val": part}, (96, 64), "letterbox").tobytes()


@pytest.mark.parametrize("box", [(0, 0, 80, 60), (79.99, 59.99, 80, 60), (0, 0, 0.001, 60), (0, 0, 80, 0.001)])
@pytest.mark.parametrize("ignored", [True, False])
def test_odd_boxes_are_drawn(box: Box, ignored: bool, grey: Path) -> None:
    part = data(record(grey, [box], [0], [ignored]))
    assert draw_sheet({"train": part}, (32, 32), "letterbox").width == WIDTH


def test_odd_pictures_and_long_names(tmp_path: Path) -> None:
    path = tmp_path / f"{'long name ' * 20}.png"
    Image.new("L", (3, 900)).save(path)
    boxes = np.array([[0, 0, 3, 4]], np.float32)
    thin = BoxRecord(1, path, (3, 900), boxes, np.array([199]), np.array([False]))
    sheet = draw_sheet({"train": data(thin, record(path), classes=200)}, (64, 64), "letterbox")
    assert sheet.width == WIDTH


def test_empty_data_gives_an_empty_sheet() -> None:
    assert draw_sheet({"train": data()}, (64, 64), "letterbox").width == WIDTH
    assert draw_sheet({}, (64, 64), "letterbox").width == WIDTH


def test_an_image_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone"):
        draw_sheet({"train": data(record(tmp_path / "gone.png"))}, (64, 64), "letterbox")
