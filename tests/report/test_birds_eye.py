"""Clouds from above: what is where, and what covers what."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ImageColor

from limbeck.report.birds_eye import BACKGROUND, GREYS, LEAST_PIXELS, NOSE_PIXELS, Outlines, View, draw

RED = "#FF0000"
VIEW = View((-10.0, 10.0), (-20.0, 20.0), 10.0)
NOTHING = np.zeros((0, 4), np.float32)


def box(x: float, y: float, length: float = 4.0, width: float = 2.0, yaw: float = 0.0) -> NDArray[np.float64]:
    return np.array([[x, y, 0, length, width, 1.5, yaw]])


def pixels_of(layers: list[Outlines], points: NDArray[Any] = NOTHING, view: View = VIEW) -> NDArray[np.int64]:
    return np.asarray(draw(points, view, layers)).astype(np.int64)


def has(picture: NDArray[np.int64], colour: str) -> NDArray[np.bool_]:
    return np.asarray((np.abs(picture - ImageColor.getrgb(colour)) < 8).all(axis=-1))


def test_ahead_is_up_and_left_is_left() -> None:
    assert VIEW.size_wh == (400, 200)
    places = np.array([[0.0, 0, 9], [10, 20, 9], [5, -20, 9]])
    assert VIEW.pixels(places).tolist() == [[200, 100], [0, 0], [400, 50]]


@pytest.mark.parametrize(("x", "y", "yaw"), [(0, 0, 0), (47, -13, 0.3), (-8, 71, 2), (150, 0, 1), (3, 3, -4)])
def test_a_view_has_its_boxes_and_the_lidar(x: float, y: float, yaw: float) -> None:
    view = View.around(np.concatenate([box(x, y, yaw=yaw), box(5, 5)]), 300)
    width, height = view.size_wh
    assert max(width, height) == 300
    assert max(width, height) <= 1.61 * min(width, height)
    columns, rows = view.pixels(np.array([[0.0, 0], [x, y], [5, 5]])).T
    assert ((columns > 0) & (columns < width) & (rows > 0) & (rows < height)).all()


def test_a_view_may_be_square_and_is_never_tiny() -> None:
    assert View.around(box(60, 0), 300, most_aspect=1).size_wh == (300, 300)
    assert View.around(np.zeros((0, 7)), 300) == View((-15, 15), (-15, 15), 10)


def test_a_point_is_the_brighter_the_higher_it_is_and_the_highest_is_seen() -> None:
    ground = np.tile([[-5.05, 0.05, -1.8]], (100, 1))
    points = np.concatenate([ground, [[5, 5, -0.3], [5, -5, 9.0], [5, -5, -1.8], [99, 0, 1.0]]])
    picture = pixels_of([], points)[..., 0]
    assert picture[150, 199] == GREYS[0]
    assert picture[50, 150] == np.mean(GREYS) // 1
    assert picture[50, 250] == GREYS[1]
    assert picture[10, 10] == BACKGROUND


def test_a_cloud_without_points_is_drawn() -> None:
    assert (pixels_of([])[10, 10] == BACKGROUND).all()


def test_a_box_is_drawn_in_its_place_with_a_line_ahead() -> None:
    red = has(pixels_of([Outlines(box(0, 10), RED, width=2)]), RED)
    rows, columns = np.nonzero(red[:, :200])
    assert (columns.min(), columns.max()) == pytest.approx((90, 110), abs=1.5)
    assert (rows.min(), rows.max()) == pytest.approx((80 - NOSE_PIXELS, 120), abs=1.5)
    assert red[75, 99:101].any(), "the line of the heading goes up"
    assert not red[110, 95:106].any(), "the box is not filled"


def test_the_line_turns_with_the_yaw() -> None:
    red = has(pixels_of([Outlines(box(0, 10, yaw=math.pi / 2), RED, width=2)]), RED)
    _, columns = np.nonzero(red)
    assert columns.min() == pytest.approx(80 - NOSE_PIXELS, abs=1.5)
    assert columns.max() == pytest.approx(120, abs=1.5)


def test_points_in_a_filled_box_stay_visible() -> None:
    points = np.tile([[-1.0, 10.55, 0.0]], (2, 1))
    filled = pixels_of([Outlines(box(0, 10), RED, filled=True)], points)
    assert (filled[115, 105] > BACKGROUND + 20).tolist() == [True, False, False]
    row, column = 110, 94
    assert (filled[row, column, 1:] > filled[115, 105, 1:] + 10).all()


def test_small_boxes_are_large_enough_to_be_seen() -> None:
    far = View((-100.0, 100.0), (-100.0, 100.0), 1.0)
    red = has(pixels_of([Outlines(box(-50, 50, 0.4, 0.4), RED, filled=True)], view=far), RED)
    assert np.ptp(np.nonzero(red)[1]) == pytest.approx(LEAST_PIXELS, abs=1.5)


def test_later_boxes_cover_earlier_ones() -> None:
    picture = pixels_of([Outlines(box(0, 10), RED, width=2), Outlines(box(0, 10), "#00FF00", width=2)])
    assert has(picture, "#00FF00").sum() > 50
    assert not has(picture, RED).any()


def rings_along(row: NDArray[np.int64]) -> list[int]:
    return np.flatnonzero(row[:, 0] > BACKGROUND + 20).tolist()


def test_rings_are_10_m_apart_and_50_m_in_a_wide_view() -> None:
    columns = rings_along(pixels_of([])[100])
    assert [round((200 - column) / 10) for column in columns if column < 195] == [20, 10]
    wide = View((-120.0, 120.0), (-120.0, 120.0), 1.0)
    columns = rings_along(pixels_of([], view=wide)[120])
    assert {round((120 - column) / 10) for column in columns if column < 115} == {5, 10}


def test_the_same_is_drawn_every_time() -> None:
    points = np.random.default_rng(0).normal(0, 5, (500, 4))
    layers = [Outlines(box(3, 3, yaw=0.3), RED)]
    assert draw(points, VIEW, layers).tobytes() == draw(points, VIEW, layers).tobytes()


def test_it_is_drawn_on_a_device_without_torch() -> None:
    code = "import sys, limbeck.report.birds_eye; assert not {'torch', 'matplotlib', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
