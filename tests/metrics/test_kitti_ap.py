"""Average precision at 40 recalls: by hand, and against the rules of KITTI's development kit in slow loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from limbeck.metrics.boxes3d import overlaps_wanted
from limbeck.metrics.kitti_ap import chosen_hits, kitti_scores, num_levels
from limbeck.metrics.pairs3d import pair_up
from limbeck.ops.boxes3d import bev_iou, iou_3d


def scores_of(truth, found, level=0, bev=False, overlaps=None):
    scenes = pair_up(truth, found)
    ious = scenes.pairs.ious_bev if bev else scenes.pairs.ious_3d
    return kitti_scores(scenes, ious, overlaps_wanted(truth.classes, overlaps), level)


def score_of(clouds, objects, detections, **settings):
    return scores_of(*clouds((objects, detections)), **settings).item()


def row(*places, **more):
    """Boxes so far apart that they cannot overlap."""
    return [{"x": 10.0 * place, **more} for place in places]


@pytest.mark.parametrize("count", [1, 3, 39, 40, 41, 100])
def test_all_found_is_1_however_few_there_are(clouds, count):
    places = [{"x": 10.0 * n, "scores": 1 - n / 200} for n in range(count)]
    assert score_of(clouds, row(*range(count)), places) == pytest.approx(1)


def test_half_found(clouds):
    assert score_of(clouds, row(0, 1), row(0)) == pytest.approx(20 / 40)


def test_the_precision_of_a_position_is_the_highest_further_on(clouds):
    """x . x: precision 1 up to recall 1/2, then 2/3."""
    detections = [{"x": 0, "scores": 0.9}, {"x": 50, "scores": 0.8}, {"x": 10, "scores": 0.7}]
    assert score_of(clouds, row(0, 1), detections) == pytest.approx((20 + 20 * 2 / 3) / 40)
    detections[0]["scores"] = 0.75  # . x x: 2/3 everywhere
    assert score_of(clouds, row(0, 1), detections) == pytest.approx(2 / 3)


def test_the_overlap_must_be_above_the_threshold(clouds):
    """A box of 4 m that is 1 m off overlaps by 3 / 5."""
    for threshold, expected in ((0.59, 1.0), (0.61, 0.0)):
        assert score_of(clouds, [{"x": 10}], [{"x": 11}], overlaps={"car": threshold}) == expected


def test_seen_from_above_the_height_does_not_count(clouds):
    assert score_of(clouds, [{}], [{"z": 5.0}]) == 0
    assert score_of(clouds, [{}], [{"z": 5.0}], bev=True) == 1


def test_a_second_detection_of_an_object_is_a_false_alarm(clouds):
    twice = [{"x": 0, "scores": 0.9}, {"x": 0, "scores": 0.8}, {"x": 10, "scores": 0.7}]
    assert score_of(clouds, row(0, 1), twice) == pytest.approx((20 + 20 * 2 / 3) / 40)


def test_a_detection_of_an_ignored_object_counts_neither_as_hit_nor_as_false_alarm(clouds):
    objects = [*row(0), *row(1, ignore=True), *row(2, levels=1)]
    detections = [{"x": 10.0 * place, "scores": 0.9 - place / 10} for place in (2, 1, 0)]
    assert score_of(clouds, objects, detections) == 1
    assert score_of(clouds, objects, [*detections, {"x": 30, "scores": 0.95}]) == 0.5
    assert score_of(clouds, objects, detections, level=1) == 1
    assert score_of(clouds, objects, detections[1:], level=1) == pytest.approx(20 / 40)


def test_an_ignored_object_takes_one_detection_only(clouds):
    objects = [*row(0), *row(1, ignore=True)]
    assert score_of(clouds, objects, [{"x": 0, "scores": 0.1}, *row(1, 1, scores=0.9)]) == 0.5


def test_scores_are_chosen_by_the_best_score_and_matches_by_the_best_overlap(clouds):
    """Two detections of one object: alone the better scored one reaches its score; of both the nearer one is the hit.

    It is a hit and a false alarm at the second score, but the one position that counts is at the first score.
    """
    detections = [{"x": 10.5, "scores": 0.9}, {"x": 10.0, "scores": 0.4}]
    assert score_of(clouds, [{}], detections, overlaps={"car": 0.5}) == 1


def test_an_overlap_that_is_just_the_threshold_is_no_hit(clouds):
    assert score_of(clouds, [{}], [{"length": 2.0}], overlaps={"car": 0.5}) == 0
    assert score_of(clouds, [{}], [{"length": 2.1}], overlaps={"car": 0.5}) == 1


def test_objects_to_ignore_may_take_all_detections(clouds):
    """Chosen by score, the last object gets its detection; matched by overlap, the first one takes it away."""
    objects = [{"x": 10.0, "ignore": True}, {"x": 7.0, "ignore": True}, {"x": 12.5}]
    detections = [{"x": 8.5, "scores": 0.9}, {"x": 11.0, "scores": 0.8}]
    assert score_of(clouds, objects, detections, overlaps={"car": 0.3}) == 0
    assert score_of(clouds, objects[1:], detections, overlaps={"car": 0.3}) == 1


def test_classes_do_not_mix_and_one_without_an_object_is_undefined(clouds):
    objects = [{"x": 0, "labels": 0}, {"x": 10, "labels": 1}]
    detections = [{"x": 0, "labels": 1}, {"x": 10, "labels": 1}, {"x": 0, "labels": 2}]
    truth, found = clouds((objects, detections), classes=("car", "van", "bus"))
    assert scores_of(truth, found).tolist() == pytest.approx([0, 0.5, math.nan], nan_ok=True)


def test_frames_do_not_mix(clouds):
    assert scores_of(*clouds(([{}], []), ([], [{}]))).item() == 0


def test_nothing_at_all(clouds):
    assert np.isnan(scores_of(*clouds(([], [])))).all()
    assert np.isnan(score_of(clouds, [], [{}]))
    assert np.isnan(score_of(clouds, [{"ignore": True}], [{}]))
    assert score_of(clouds, [{}], []) == 0


def test_levels_are_those_of_the_objects_to_be_found(clouds):
    for levels, expected in (([], 1), ([0, 0], 1), ([0, 1], 2), ([2, 0], 3), ([3], 3)):
        assert num_levels(pair_up(*clouds(([{"levels": level} for level in levels], [])))) == expected
    assert num_levels(pair_up(*clouds(([{"levels": 2, "ignore": True}, {}], [])))) == 1


# The rules of the development kit in slow loops: every frame is matched anew at every score.


def slow_turns(objects, detections, overlap, threshold, least=None):
    """Yield (counts, score) of every object that gets a detection; by score, or from ``least`` on by overlap."""
    taken = set()
    for row_of, counts in enumerate(objects):
        best, best_value = None, -math.inf
        for column, score in enumerate(detections):
            if column in taken or overlap[column][row_of] <= threshold or (least is not None and score < least):
                continue
            value = score if least is None else overlap[column][row_of]
            if value > best_value:
                best, best_value = column, value
        if best is not None:
            taken.add(best)
            yield counts, detections[best]


def slow_thresholds(scores, wanted):
    """The kit's choice of scores: that of the hit whose recall is nearest to the next position; a new one for each."""
    chosen, position = [], 0
    ranked = sorted(scores, reverse=True)
    for number, score in enumerate(ranked, start=1):
        last = number == len(ranked)
        here, following = number / wanted, (number if last else number + 1) / wanted
        if not last and following - position / 40 < position / 40 - here - 1e-12:
            continue
        chosen.append(score)
        position += 1
    return chosen


def slow_kitti(truth, found, label, level, function, threshold):
    frames, wanted = [], 0
    for true, mine in zip(truth.frames, found.frames, strict=True):
        columns, rows = np.flatnonzero(true.labels == label), np.flatnonzero(mine.labels == label)
        boxes = torch.from_numpy(mine.boxes[rows]), torch.from_numpy(true.boxes[columns])
        objects = [not true.ignore[place] and true.levels[place] <= level for place in columns]
        detections, overlap = mine.scores[rows].tolist(), function(*boxes).tolist()
        frames.append((objects, detections, overlap))
        wanted += sum(objects)
    hits = [score for frame in frames for counts, score in slow_turns(*frame, threshold) if counts]
    precision = []
    for least in slow_thresholds(hits, wanted):
        matched = [counts for frame in frames for counts, _ in slow_turns(*frame, threshold, least)]
        reaching = sum(score >= least for _, detections, _ in frames for score in detections)
        precision.append(sum(matched) / (reaching - matched.count(False)))
    highest = [max(precision[place:]) for place in range(len(precision))]
    return sum(highest[1:]) / 40


@pytest.mark.parametrize(("seed", "spread", "noise"), [(0, 20.0, 0.1), (1, 6.0, 0.15), (2, 3.0, 0.2)])
def test_against_the_rules_of_the_development_kit(random_clouds, seed, spread, noise):
    """With more than 40 objects; the nearer they stand, the more detections overlap with several of them."""
    truth, found = random_clouds(seed, frames=14, objects=18, spread=spread, noise=noise, classes=("car", "cyclist"))
    checked = 0
    for level in (0, 2):
        counted = [frame.labels[~frame.ignore & (frame.levels <= level)] for frame in truth.frames]
        objects = np.bincount(np.concatenate(counted), minlength=2)
        for bev, function in ((False, iou_3d), (True, bev_iou)):
            measured = scores_of(truth, found, level, bev, {"car": 0.3, "cyclist": 0.5})
            for label, threshold in enumerate((0.3, 0.5)):
                if objects[label] > 40:
                    expected = slow_kitti(truth, found, label, level, function, threshold)
                    assert measured[label] == pytest.approx(expected, abs=1e-12)
                    assert 0 < expected < 1
                    checked += 1
    assert checked >= 4


@pytest.mark.parametrize("wanted", [41, 57, 100, 333, 1001])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.77, 1.0])
def test_the_positions_are_those_of_the_kit_above_40_objects(wanted, share):
    hits = max(1, int(share * wanted))
    scores = [1 - number / 2000 for number in range(hits)]
    assert [scores[hit] for hit in chosen_hits(hits, wanted)] == slow_thresholds(scores, wanted)


@pytest.mark.parametrize("wanted", range(1, 41))
def test_up_to_40_objects_a_hit_stands_for_all_positions_up_to_its_recall(wanted):
    """So that it is the definition of the paper: at each recall that is reached, the first hit that reaches it."""
    for hits in range(1, wanted + 1):
        reached = range(40 * hits // wanted + 1)
        assert chosen_hits(hits, wanted) == [max(math.ceil(step * wanted / 40), 1) - 1 for step in reached]
