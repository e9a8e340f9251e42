"""Boundary pixels and their matches: by hand, and against slow loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from limbeck.core.samples import IGNORED_LABEL
from limbeck.metrics.boundary import BOUNDARY_COUNTS, TOLERANCE, boundary_counts, boundary_f

SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)


def square(left, top=4, side=4, size_wh=(20, 12)):
    """A map of zeros with a square of ones."""
    labels = np.zeros(size_wh[::-1], dtype=np.uint8)
    labels[top : top + side, left : left + side] = 1
    return labels


def slow_boundary(labels, k):
    """The boundary pixels of a class, looked for one by one."""
    height, width = labels.shape
    found = []
    for y in range(height):
        for x in range(width):
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            inside = [labels[v, u] for v, u in around if 0 <= v < height and 0 <= u < width]
            if labels[y, x] == k and any(other not in (k, IGNORED_LABEL) for other in inside):
                found.append((y, x))
    return found


def slow_counts(labels, predicted, num_classes, tolerance):
    predicted = np.where(labels == IGNORED_LABEL, IGNORED_LABEL, predicted)
    pixels = max(1, tolerance * math.sqrt(labels.shape[0] ** 2 + labels.shape[1] ** 2))
    counts = []
    for k in range(num_classes):
        truth, found = slow_boundary(labels, k), slow_boundary(predicted, k)
        hits, met = (
            sum(any(math.dist(pixel, other) <= pixels for other in others) for pixel in mine)
            for mine, others in ((found, truth), (truth, found))
        )
        counts.append([hits, len(found), met, len(truth)])
    return counts


@given(st.data(), SHAPES, st.integers(1, 11), st.sampled_from([0.0, TOLERANCE, 0.15, 0.3, 2.0]))
def test_counts_against_loops_over_pixels(data, shape, num_classes, tolerance):
    classes = st.integers(0, num_classes - 1)
    labels = data.draw(arrays.arrays(np.uint8, shape, elements=classes | st.just(IGNORED_LABEL)))
    predicted = data.draw(arrays.arrays(np.uint8, shape, elements=classes))
    expected = slow_counts(labels, predicted, num_classes, tolerance)
    assert boundary_counts(labels, predicted, num_classes, tolerance).tolist() == expected


def test_a_class_with_the_highest_number_that_there_may_be():
    labels, predicted = square(8) * np.uint8(254), square(9) * np.uint8(254)
    counts = boundary_counts(labels, predicted, 255)
    assert counts[254].tolist() == boundary_counts(square(8), square(9), 2)[1].tolist()
    assert counts[1:254].sum() == 0


@pytest.mark.parametrize(
    ("shift", "matched"),
    [
        (0, 12),  # all of the ring of a 4 x 4 square
        (1, 12),  # a pixel is within the tolerance
        (2, 8),  # all but the far column
        (3, 6),  # the near column lies on the other's far one, and a pixel of either side reaches it
        (4, 4),  # the squares stand side by side
        (5, 0),
    ],
)
def test_a_shifted_square_by_hand(shift, matched):
    counts = boundary_counts(square(4), square(4 + shift), 2)[1]
    assert dict(zip(BOUNDARY_COUNTS, counts.tolist(), strict=True)) == {
        "matched_predicted": matched,
        "predicted": 12,
        "matched_truth": matched,
        "truth": 12,
    }
    assert boundary_f(counts.astype(float)) == pytest.approx(matched / 12)


def test_the_tolerance_is_a_share_of_the_diagonal():
    """400 x 300 has a diagonal of 500, of which 0.75 % are 3.75 pixels: a side 3 off is met, one 4 off is not."""
    there = square(100, top=100, side=50, size_wh=(400, 300))
    for shift, met in ((3, True), (4, False)):
        counts = boundary_counts(there, np.roll(there, shift, axis=1), 2)[1]
        assert (boundary_f(counts.astype(float)) == 1) == met


def test_a_distance_is_that_of_a_straight_line():
    labels, predicted = np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.uint8)
    labels[4, 4] = predicted[6, 6] = 1
    pixel = 1 / math.hypot(9, 9)
    for tolerance, matched in ((2.8, 0), (2.9, 1)):
        assert boundary_counts(labels, predicted, 2, tolerance * pixel)[1].tolist() == [matched, 1, matched, 1]


def test_neither_the_edge_of_the_image_nor_ignored_pixels_are_a_boundary():
    one = np.ones((5, 6), dtype=np.uint8)
    assert not boundary_counts(one, one, 2).any()
    halves = one.copy()
    halves[:, 3:] = IGNORED_LABEL
    assert not boundary_counts(halves, one, 2).any()


def test_what_is_predicted_of_ignored_pixels_does_not_count():
    labels = square(4)
    labels[:, 12:] = IGNORED_LABEL
    predicted = np.maximum(labels == 1, square(13)).astype(np.uint8)
    clean = boundary_counts(labels, (labels == 1).astype(np.uint8), 2)
    assert clean[1].tolist() == [12, 12, 12, 12]
    np.testing.assert_array_equal(boundary_counts(labels, predicted, 2), clean)


def test_f_score_of_counts():
    counts = np.array([[3, 4, 1, 2], [0, 5, 0, 0], [0, 0, 0, 5], [0, 4, 0, 4], [0, 0, 0, 0]], dtype=float)
    np.testing.assert_allclose(boundary_f(counts), [2 * 0.75 * 0.5 / 1.25, 0, 0, 0, np.nan])
