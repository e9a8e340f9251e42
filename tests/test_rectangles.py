"""Turned rectangles against polygon clipping by shapely, and the choice among boxes against the plain greedy loop."""

import math

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.rectangles import bev_ious, corners, left_by_distance, left_by_overlap, overlap_area, overlap_areas

TOLERANCE = 1e-8
"""Of the larger area."""
NEARLY_PARALLEL = 3e-7
"""The same where sides meet at an angle of about 1e-8 and one is 30 times as long as the other."""
ANGLES = [0.0, math.pi / 2, math.pi, -math.pi / 2, 2 * math.pi, math.pi / 4, 1.0]
SMALL_TURNS = [10.0**-power for power in range(2, 13)]


def as_polygons(rectangles):
    """Polygons of rectangles (N,5), written down anew."""
    found = []
    for x, y, length, width, angle in np.asarray(rectangles).tolist():
        cos, sin = math.cos(angle), math.sin(angle)
        offsets = [
            (length / 2, width / 2),
            (-length / 2, width / 2),
            (-length / 2, -width / 2),
            (length / 2, -width / 2),
        ]
        found.append(shapely.Polygon([(x + cos * u - sin * v, y + sin * u + cos * v) for u, v in offsets]))
    return np.array(found)


def clipped(a, b):
    """The areas that shapely gives for pairs of rectangles (N,5)."""
    return shapely.area(shapely.intersection(as_polygons(a), as_polygons(b)))


def larger(a, b):
    return np.maximum(a[:, 2] * a[:, 3], b[:, 2] * b[:, 3])


def both(function, *given):
    """What a function gives with numpy, after a look at whether torch gives the same."""
    found = function(np, *given)
    same = function(torch, *(torch.from_numpy(x) if isinstance(x, np.ndarray) else x for x in given)).numpy()
    np.testing.assert_allclose(same, found, rtol=0, atol=1e-12 * max(1.0, np.abs(found).max(initial=0)))
    return found


def drawn(count, seed, spread=4.0):
    generator = np.random.default_rng(seed)
    centres, sizes = generator.uniform(-spread, spread, (count, 2)), generator.uniform(0.2, 6, (count, 2))
    return np.column_stack([centres, sizes, generator.uniform(-7, 7, count)])


def test_random_pairs_against_clipping():
    a, b = drawn(3000, 0), drawn(3000, 1)
    expected = clipped(a, b)
    assert 0.3 < (expected > 0).mean() < 0.98, "pairs that meet and pairs that do not"
    assert (np.abs(both(overlap_area, a, b) - expected) <= TOLERANCE * larger(a, b)).all()


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("turn", [0.0, *SMALL_TURNS, math.pi / 2, math.pi])
def test_nearly_parallel_sides(angle, turn):
    a = drawn(100, 2, spread=2.0)
    a[:, 4] = angle
    b = a.copy()
    b[:50, :2] += drawn(50, 3)[:, :2] / 4
    b[25:75, 2:4] *= 1.5
    b[:, 4] += turn
    tolerance = NEARLY_PARALLEL if 1e-9 < turn < 1e-5 else TOLERANCE
    assert (np.abs(both(overlap_area, a, b) - clipped(a, b)) <= tolerance * larger(a, b)).all()


@pytest.mark.parametrize("angle", ANGLES)
def test_a_rectangle_overlaps_itself_wholly(angle):
    a = drawn(200, 4)
    a[:, 4] = angle
    np.testing.assert_allclose(both(overlap_area, a, a), a[:, 2] * a[:, 3], rtol=1e-12)


@pytest.mark.parametrize("angle", ANGLES)
def test_one_within_the_other(angle):
    inner, outer = np.array([[0.5, -0.2, 2.0, 1.0, angle]]), np.array([[0.0, 0, 10, 10, 0.3]])
    np.testing.assert_allclose(both(overlap_area, inner, outer), 2.0, rtol=1e-12)
    np.testing.assert_allclose(both(overlap_area, outer, inner), 2.0, rtol=1e-12)


@pytest.mark.parametrize("angle", ANGLES)
def test_rectangles_that_only_touch_have_nothing_in_common(angle):
    cos, sin = math.cos(angle), math.sin(angle)
    a = np.array([[0.0, 0, 4, 2, angle]] * 3)
    steps = np.array([[4.0, 0.0], [0.0, 2.0], [4.0, 2.0]])
    b = a.copy()
    b[:, :2] = steps @ np.array([[cos, sin], [-sin, cos]])
    assert (np.abs(both(overlap_area, a, b)) < 8 * TOLERANCE).all()


def test_crossed_bars_by_hand():
    a, b = np.array([[0.0, 0, 10, 1, 0]]), np.array([[1.0, 0.25, 1, 10, 0]])
    np.testing.assert_allclose(both(overlap_area, a, b), 1.0)
    turned = np.array([[1.0, 0.25, 10, 1, math.pi / 2]])
    np.testing.assert_allclose(both(overlap_area, a, turned), 1.0)
    square, diamond = np.array([[0.0, 0, 2, 2, 0]]), np.array([[0.0, 0, 2, 2, math.pi / 4]])
    np.testing.assert_allclose(both(overlap_area, square, diamond), 8 * (math.sqrt(2) - 1))


@pytest.mark.parametrize("size", [(0.0, 2.0), (2.0, 0.0), (0.0, 0.0)])
@pytest.mark.parametrize("angle", [0.0, 0.5, math.pi / 2])
def test_a_rectangle_without_an_area_overlaps_nothing(size, angle):
    a, b = np.array([[0.1, 0.2, *size, angle]]), np.array([[0.0, 0, 3, 3, 0.2]])
    for pair in ((a, b), (b, a), (a, a)):
        np.testing.assert_allclose(both(overlap_area, *pair), 0, atol=1e-12)


def test_far_from_the_origin_hardly_anything_is_lost():
    a, b = drawn(500, 5), drawn(500, 6)
    near = overlap_area(np, a, b)
    for side in (a, b):
        side[:, :2] += [3000.0, -2000.0]
    np.testing.assert_allclose(overlap_area(np, a, b), near, rtol=0, atol=1e-8 * larger(a, b).max())


rectangles = st.tuples(*[st.floats(-3, 3)] * 2, *[st.floats(0.01, 8)] * 2, st.floats(-7, 7) | st.sampled_from(ANGLES))


@given(rectangles, rectangles)
def test_any_pair_against_clipping(a, b):
    first, second = np.array([a]), np.array([b])
    found = overlap_area(np, first, second)
    tolerance = TOLERANCE * larger(first, second)
    assert abs(found - clipped(first, second)) <= tolerance
    assert abs(found - overlap_area(np, second, first)) <= tolerance
    assert -tolerance <= found <= min(a[2] * a[3], b[2] * b[3]) + tolerance


@given(rectangles, rectangles, st.floats(-4, 4))
def test_turning_both_changes_nothing(a, b, turn):
    cos, sin = math.cos(turn), math.sin(turn)
    pair = np.array([a, b])
    turned = pair.copy()
    turned[:, :2] = pair[:, :2] @ np.array([[cos, sin], [-sin, cos]])
    turned[:, 4] += turn
    difference = overlap_area(np, *turned[:, None]) - overlap_area(np, *pair[:, None])
    assert abs(difference) <= TOLERANCE * larger(*pair[:, None])


def test_corners_go_round_counter_clockwise_from_the_one_ahead_on_the_left():
    rectangle = np.array([[1.0, 2, 4, 2, math.pi / 2]])
    np.testing.assert_allclose(both(corners, rectangle), [[[0, 4], [0, 0], [2, 0], [2, 4]]], atol=1e-12)
    a = drawn(50, 7)
    rings = both(corners, a)
    np.testing.assert_allclose(
        rings, [np.array(polygon.exterior.coords)[:-1] for polygon in as_polygons(a)], atol=1e-12
    )
    assert all(polygon.exterior.is_ccw for polygon in map(shapely.Polygon, rings))


def test_all_pairs_are_those_one_by_one():
    a, b = drawn(40, 8, spread=8), drawn(30, 9, spread=8)
    expected = overlap_area(np, a[:, None], b[None])
    assert (expected == 0).any()
    np.testing.assert_allclose(both(overlap_areas, a, b), expected, atol=1e-12)
    union = (a[:, 2] * a[:, 3])[:, None] + b[:, 2] * b[:, 3] - expected
    np.testing.assert_allclose(both(bev_ious, a, b), expected / union, atol=1e-12)


def test_boxes_without_area_have_no_iou():
    flat = np.array([[0.0, 0, 0, 2, 0.3], [0, 0, 2, 0, 0.3]])
    assert both(bev_ious, flat, flat).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("count", [(0, 3), (3, 0), (0, 0)])
def test_none_at_all(count):
    a, b = drawn(count[0], 0), drawn(count[1], 1)
    assert both(overlap_areas, a, b).shape == count
    assert both(bev_ious, a, b).shape == count
    assert both(corners, a).shape == (count[0], 4, 2)


def greedy(suppresses):
    left = []
    for box in range(len(suppresses)):
        if not any(suppresses[better][box] for better in left):
            left.append(box)
    return [box in left for box in range(len(suppresses))]


@pytest.mark.parametrize("spread", [2, 8, 40])
@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5])
def test_what_is_left_by_overlap_is_what_the_greedy_loop_leaves(spread, threshold):
    for count in (1, 2, 17, 60):
        boxes = drawn(count, 3, spread=spread)
        expected = greedy((bev_ious(np, boxes, boxes) > threshold).tolist())
        assert both(left_by_overlap, boxes, threshold).tolist() == expected


@pytest.mark.parametrize("threshold", [0.0, 1.0, 9.0])
def test_what_is_left_by_distance_is_what_the_greedy_loop_leaves(threshold):
    centres = np.round(drawn(60, 4, spread=8)[:, :2])  # with pairs at just this distance
    apart = np.square(centres[:, None] - centres[None]).sum(axis=2)
    assert both(left_by_distance, centres, threshold).tolist() == greedy((apart <= threshold).tolist())


def test_a_box_that_fell_suppresses_nothing():
    row = np.stack([np.arange(30.0), np.zeros(30)], axis=1)
    assert both(left_by_distance, row, 1.0).tolist() == [box % 2 == 0 for box in range(30)]


def test_nothing_is_left_of_nothing():
    assert both(left_by_overlap, drawn(0, 0), 0.5).shape == (0,)
    assert both(left_by_distance, np.zeros((0, 2)), 1.0).shape == (0,)
