"""Heading-weighted average precision: by hand, against slow loops, and its levels and ranges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from limbeck.metrics.boxes3d import overlaps_wanted
from limbeck.metrics.heading_ap import average_precisions, heading_accuracy, heading_scores, levels_of
from limbeck.metrics.pairs3d import pair_up
from limbeck.ops.boxes3d import iou_3d


def scores_of(truth, found, level=2, within=(0.0, math.inf), overlaps=None):
    return heading_scores(pair_up(truth, found), overlaps_wanted(truth.classes, overlaps), level, within)


def score_of(clouds, objects, detections, **settings):
    """AP, APH and the number of objects of the one class."""
    return scores_of(*clouds((objects, detections)), **settings)[0].tolist()


def areas(text, objects, accuracies=None, wanted=None):
    hits = np.array([letter == "x" for letter in text], np.bool_)
    accuracies = np.ones(len(hits)) if accuracies is None else np.array(accuracies)
    return average_precisions(hits, accuracies, hits if wanted is None else np.array(wanted), objects)


def test_the_area_under_the_curve():
    """x . x of two objects: half of the recalls at precision 1, half at 2/3."""
    assert areas("x.x", 2) == pytest.approx((0.5 + 0.5 * 2 / 3,) * 2)
    assert areas(".x", 1) == (0.5, 0.5)
    assert areas("xx", 4) == (0.5, 0.5)
    assert areas("", 3) == areas("..", 3) == (0, 0)


def test_headings_weigh_in_the_precision_and_not_in_the_recall():
    """Weighted precision at recall 1/2: 0.5; at recall 1: (0.5 + 1) / 2, which is higher and holds for both."""
    assert areas("xx", 2, [0.5, 1.0]) == pytest.approx((1, 0.75))
    assert areas("xx", 2, [1.0, 0.5]) == pytest.approx((1, 0.5 * 1 + 0.5 * 0.75))
    assert areas("x.", 1, [0.25, 9.0]) == pytest.approx((1, 0.25))


def test_an_object_of_a_higher_level_is_a_hit_where_it_is_found_and_not_missed_where_it_is_not():
    """One wanted object: after the first hit, which is of another level, one of two is found; then two of two."""
    assert areas("x.x", 1, wanted=[False, False, True]) == pytest.approx((0.5 + 0.5 * 2 / 3,) * 2)


def test_heading_accuracy_takes_the_smaller_angle():
    found = np.array([0.1, 3.0, 0.0, math.pi / 2, 7.0])
    true = np.array([0.1, -3.0, math.pi, 0.0, 7.0 - 4 * math.pi])
    expected = [1, 1 - (2 * math.pi - 6) / math.pi, 0, 0.5, 1]
    assert heading_accuracy(found, true).tolist() == pytest.approx(expected)


def test_levels_by_the_points_inside():
    assert levels_of(np.array([-1, 0, 1, 5, 6, 1000])).tolist() == [1, 0, 2, 2, 1, 1]


def test_a_heading_that_is_turned_round_is_worth_nothing(clouds):
    assert score_of(clouds, [{}], [{"yaw": math.pi}]) == pytest.approx([1, 0, 1])
    assert score_of(clouds, [{"yaw": 3.0}], [{"yaw": 3.0 - 2 * math.pi}]) == pytest.approx([1, 1, 1])


def test_the_overlap_may_be_just_the_threshold(clouds):
    """A box of 4 m that is 2 m off overlaps by a third."""
    assert score_of(clouds, [{}], [{"x": 12}], overlaps={"car": 1 / 3 - 1e-9})[:2] == [1, 1]
    assert score_of(clouds, [{}], [{"x": 12}], overlaps={"car": 1 / 3 + 1e-9})[:2] == [0, 0]


def test_an_overlap_that_is_just_the_threshold_is_a_hit(clouds):
    assert score_of(clouds, [{}], [{"length": 2.0}], overlaps={"car": 0.5})[:2] == [1, 1]


def test_the_best_score_takes_the_object_and_the_better_overlap_is_chosen(clouds):
    objects = [{"x": 10}, {"x": 11, "yaw": 0.4}]
    detections = [{"x": 10.9, "yaw": 0.4, "scores": 0.9}, {"x": 10.1, "scores": 0.8}]
    assert score_of(clouds, objects, detections, overlaps={"car": 0.2}) == pytest.approx([1, 1, 2])
    twice = [{"scores": 0.9}, {"scores": 0.8}, {"x": 30, "scores": 0.7}]
    assert score_of(clouds, [{}, {"x": 30}], twice)[0] == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_level_1_is_about_objects_with_more_than_five_points(clouds):
    objects = [{"x": 0, "num_points": 6}, {"x": 10, "num_points": 5}]
    assert score_of(clouds, objects, [{"x": 0}], level=1) == [1, 1, 1]
    assert score_of(clouds, objects, [{"x": 0}], level=2) == [0.5, 0.5, 2]
    assert score_of(clouds, objects, [{"x": 10}], level=1) == [0.5, 0.5, 1]  # found, and the other one is missed
    assert np.isnan(score_of(clouds, objects[1:], [{"x": 10}], level=1)[0])


def test_objects_to_ignore_and_those_without_a_point_count_neither_way(clouds):
    objects = [{"x": 0}, {"x": 10, "ignore": True}, {"x": 20, "num_points": 0}]
    detections = [{"x": x, "scores": 0.9} for x in (10, 10, 20)]
    assert score_of(clouds, objects, [*detections, {"x": 0, "scores": 0.1}]) == [1, 1, 1]
    assert score_of(clouds, objects, detections) == [0, 0, 1]
    assert score_of(clouds, [{"num_points": -1}], [{}]) == [1, 1, 1]


def test_ranges_hold_the_objects_and_detections_at_that_distance(clouds):
    truth, found = clouds(([{"x": 29}, {"x": 30}, {"x": 60}], [{"x": 29}, {"x": 60, "yaw": math.pi / 2}]))
    assert scores_of(truth, found, within=(0, 30))[0].tolist() == [1, 1, 1]
    assert scores_of(truth, found, within=(30, 50))[0].tolist() == [0, 0, 1]
    assert scores_of(truth, found, within=(50, math.inf), overlaps={"car": 0.3})[0].tolist() == [1, 0.5, 1]


def test_a_detection_hits_no_object_of_another_range(clouds):
    """The first detection is of an object on the other side of the border: a false alarm on its own side."""
    detections = [{"x": 30.5, "scores": 0.9}, {"x": 9, "scores": 0.5}, {"x": 40, "scores": 0.4}]
    truth, found = clouds(([{"x": 29}, {"x": 9}, {"x": 40}], detections))
    for within, expected in (((0, 30), [0.5, 0.5, 2]), ((30, 50), [0.5, 0.5, 1]), ((0, 50), [1, 1, 3])):
        assert scores_of(truth, found, within=within, overlaps={"car": 0.3})[0].tolist() == pytest.approx(expected)


def test_the_distance_is_that_in_space(clouds):
    up = {"x": 18.0, "z": 24.0}
    assert score_of(clouds, [up], [up], within=(30, 50)) == [1, 1, 1]


def test_nothing_at_all(clouds):
    for frame in (([], []), ([], [{}]), ([{"ignore": True}], [{}])):
        assert score_of(clouds, *frame) == pytest.approx([math.nan, math.nan, 0], nan_ok=True)
    assert score_of(clouds, [{}], []) == [0, 0, 1]


def slow_scores(truth, found, label, level, threshold):
    """Greedy matching detection by detection, then for each step of the recall the best precision from there on."""
    rows, taken, objects = [], set(), 0
    detections = [
        (mine.scores[row], place, row)
        for place, mine in enumerate(found.frames)
        for row in np.flatnonzero(mine.labels == label).tolist()
    ]
    levels = [levels_of(frame.num_points) for frame in truth.frames]
    for place, true in enumerate(truth.frames):
        objects += sum((true.labels == label) & ~true.ignore & (levels[place] > 0) & (levels[place] <= level))
    for _, place, row in sorted(detections, reverse=True):
        true, mine = truth.frames[place], found.frames[place]
        overlap = iou_3d(torch.from_numpy(mine.boxes[row : row + 1]), torch.from_numpy(true.boxes))[0].tolist()
        near = [column for column in np.flatnonzero(true.labels == label).tolist() if overlap[column] >= threshold]
        ignored = [column for column in near if true.ignore[column] or levels[place][column] == 0]
        if near and max(near, key=overlap.__getitem__) in ignored:
            continue
        free = [column for column in near if column not in ignored and (place, column) not in taken]
        if not free:
            rows.append((False, 0.0, False))
            continue
        own = max(free, key=overlap.__getitem__)
        taken.add((place, own))
        error = abs((mine.boxes[row, 6] - true.boxes[own, 6]) % (2 * math.pi))
        rows.append((True, 1 - min(error, 2 * math.pi - error) / math.pi, levels[place][own] <= level))
    points, hits, weight, of_level = [], 0, 0.0, 0
    for count, (hit, accuracy, wanted) in enumerate(rows, start=1):
        hits, weight, of_level = hits + hit, weight + accuracy, of_level + wanted
        points.append((hits / (hits + objects - of_level), hits / count, weight / count))
    area, before = [0.0, 0.0], 0.0
    for place, (recall, *_) in enumerate(points):
        for kind in (0, 1):
            area[kind] += (recall - before) * max(point[1 + kind] for point in points[place:])
        before = recall
    return area


@pytest.mark.parametrize(("seed", "spread"), [(0, 20.0), (1, 6.0), (2, 3.0)])
@pytest.mark.parametrize("level", [1, 2])
def test_against_slow_loops(random_clouds, seed, spread, level):
    truth, found = random_clouds(seed, spread=spread, noise=0.2, classes=("car", "cyclist"))
    measured = scores_of(truth, found, level, overlaps={"car": 0.3})
    for label, threshold in enumerate((0.3, 0.5)):
        expected = slow_scores(truth, found, label, level, threshold)
        assert measured[label, :2].tolist() == pytest.approx(expected, abs=1e-12)
        assert 0 < expected[1] < expected[0] < 1
