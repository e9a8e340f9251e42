"""The metrics of one class in a resample, and which of them are defined."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from limbeck.metrics.nuscenes import ERRORS, average_precision
from limbeck.metrics.ranking3d import HIT, MISS, NEITHER, ClassScores, Ranking, over_classes

ALL = np.ones(4, np.bool_)


def ranking(*fates, objects=(1, 1), moving=(0, 0), visible=(1, 1), has_error=ALL):
    """Detections in the frames 0, 1, 0, ... with the same fate at every distance and by overlap."""
    count = len(fates)
    return Ranking(
        frames=np.arange(count) % 2,
        scores=np.linspace(0.9, 0.1, count),
        by_distance=np.repeat(np.array(fates, np.int8).reshape(-1, 1), 4, axis=1),
        errors=np.full((count, 4), 0.25),
        by_overlap=np.array(fates, np.int8),
        accuracies=np.full(count, 0.5),
        objects=np.array(objects),
        moving=np.array(moving),
        visible=np.array(visible),
        has_error=has_error,
    )


def measured(found, *weights):
    return found.measure(np.array(weights))


def test_a_frame_counts_as_often_as_it_is_drawn():
    """Frame 0 has nothing but a false alarm, the best of all, and frame 1 a hit: x of 1 + x detections are hits."""
    found = ranking(MISS, HIT, objects=(0, 1), visible=(0, 1))
    for times in (0, 1, 3):
        assert measured(found, times, 2).aph == pytest.approx(0.5 * 2 / (2 + times))
        assert measured(found, 1, times).aph == pytest.approx(
            0.5 * times / (1 + times) if times else math.nan, nan_ok=True
        )
    assert measured(ranking(HIT, HIT), 0, 2).aps.tolist() == pytest.approx([1] * 4)
    assert measured(ranking(HIT, HIT, moving=(1, 1)), 1, 1).errors.tolist() == pytest.approx([0.25] * 4)


def test_what_counts_neither_way_is_left_out():
    assert measured(ranking(NEITHER, HIT, NEITHER, HIT), 1, 0).aph == 0
    found = measured(ranking(NEITHER, HIT, NEITHER), 0, 1)
    assert (found.aps[0], found.aph) == (pytest.approx(1), 0.5)


def test_what_is_defined_depends_on_the_objects_alone():
    for fates in ((), (MISS, MISS), (HIT, HIT)):
        found = ranking(*fates, objects=(1, 0), moving=(1, 0), visible=(1, 0))
        nothing = measured(found, 0, 3)
        assert np.isnan([*nothing.aps, *nothing.errors, nothing.aph]).all()
        assert not np.isnan(
            [*measured(found, 1, 0).aps, *measured(found, 1, 0).errors, measured(found, 1, 0).aph]
        ).any()
        still = measured(replace(found, moving=np.array([0, 1])), 1, 0)
        assert np.isnan(still.errors).tolist() == [False, False, False, True]
        hidden = measured(replace(found, visible=np.array([0, 1])), 1, 0)
        assert np.isnan(hidden.aph)
        assert not np.isnan(hidden.aps).any()


def test_errors_that_make_no_sense_for_the_class_are_undefined():
    found = ranking(HIT, HIT, moving=(1, 1), has_error=np.array([True, True, False, False]))
    assert np.isnan(measured(found, 1, 1).errors).tolist() == [False, False, True, True]


def test_an_error_without_a_hit_is_1():
    assert measured(ranking(MISS, moving=(1, 0)), 1, 1).errors.tolist() == [1] * 4


def test_the_curve_is_that_at_2_metres():
    found = ranking(HIT, HIT)
    found.by_distance[:, [0, 1, 3]] = MISS
    assert average_precision(found.curve()) == pytest.approx(1)
    assert ranking(HIT, objects=(0, 0)).curve() is None


def test_means_over_the_classes_in_which_they_are_defined():
    nan = math.nan
    scores = [
        ClassScores(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.2, 0.4, nan, nan]), 0.5),
        ClassScores(np.array([0.5, 0.5, 0.5, 0.5]), np.array([0.4, 0.2, 1.5, nan]), nan),
        ClassScores(np.full(4, nan), np.full(4, nan), nan),
    ]
    expected = {"mAP": 0.375, "NDS": (5 * 0.375 + 0.7 + 0.7 + 0) / 8, "mAPH": 0.5}
    expected |= dict(zip([f"m{name}" for name in ERRORS], [0.3, 0.3, 1.5, nan], strict=True))
    assert over_classes(scores) == pytest.approx(expected, nan_ok=True)
    assert over_classes(scores[2:]) == pytest.approx(dict.fromkeys(expected, nan), nan_ok=True)
    assert over_classes([]) == pytest.approx(dict.fromkeys(expected, nan), nan_ok=True)
