"""Pairs of detections and objects, and who gets whom."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from limbeck.errors import DataError
from limbeck.metrics.boxes3d import Found3D
from limbeck.metrics.pairs3d import FALSE_ALARM, IGNORED, Pairs, assign, pair_up
from limbeck.ops.boxes3d import bev_iou, iou_3d


def pairs_of(*rows):
    """Rows (detection, object, distance)."""
    detections, objects, distances = (np.array(column) for column in zip(*rows, strict=True))
    zeros = np.zeros(len(rows))
    return Pairs(detections, objects, distances, zeros, zeros)


def owners(*rows, ignore=(), detections=4, objects=4):
    pairs = pairs_of(*rows)
    return assign(pairs, pairs.distances, np.isin(np.arange(objects), ignore), detections).tolist()


def test_the_better_detection_chooses_first_and_takes_the_nearest():
    assert owners((0, 1, 0.4), (0, 0, 0.5), (1, 1, 0.1), (1, 0, 0.9)) == [1, 0, FALSE_ALARM, FALSE_ALARM]


def test_an_object_is_taken_once():
    assert owners((0, 2, 0.9), (1, 2, 0.1), (2, 2, 0.0)) == [2, FALSE_ALARM, FALSE_ALARM, FALSE_ALARM]


def test_of_objects_equally_near_the_first_is_taken():
    assert owners((0, 3, 0.5), (0, 1, 0.5)) == [1, FALSE_ALARM, FALSE_ALARM, FALSE_ALARM]


def test_what_is_nearest_to_an_object_to_ignore_takes_none():
    """However many they are, and whatever is free a little further off."""
    rows = (0, 0, 0.2), (0, 1, 0.3), (1, 0, 0.1), (2, 0, 0.3), (2, 1, 0.2)
    assert owners(*rows, ignore=[0]) == [IGNORED, IGNORED, 1, FALSE_ALARM]


def test_a_second_detection_of_an_object_is_not_saved_by_one_to_ignore_further_off():
    rows = (0, 1, 0.1), (1, 1, 0.1), (1, 0, 0.5)
    assert owners(*rows, ignore=[0]) == [1, FALSE_ALARM, FALSE_ALARM, FALSE_ALARM]


def test_without_pairs_all_are_false_alarms():
    none = np.zeros(0)
    nothing = Pairs(none.astype(np.int64), none.astype(np.int64), none, none, none)
    assert assign(nothing, none, np.zeros(3, np.bool_), 2).tolist() == [FALSE_ALARM, FALSE_ALARM]


def test_the_same_as_turns_frame_by_frame(random_clouds):
    """A slow loop over frames, thresholds and detections of one class."""
    truth, found = random_clouds(5, spread=6.0)
    scenes = pair_up(truth, found)
    near = scenes.pairs.where(scenes.pairs.distances < 2)
    owner = assign(near, near.distances, scenes.objects.ignore, len(scenes.detections.scores))
    expected = []
    for place, (true, boxes) in enumerate(zip(truth.frames, found.frames, strict=True)):
        free = set(np.flatnonzero(~true.ignore).tolist())
        for row in np.argsort(-boxes.scores):
            apart = np.hypot(*(true.boxes[:, :2] - boxes.boxes[row, :2]).T)
            apart[(true.labels != boxes.labels[row]) | (apart >= 2)] = np.inf
            best = min(free, key=lambda column, apart=apart: apart[column], default=None)
            if apart.size and np.isfinite(apart.min()) and true.ignore[apart.argmin()]:
                expected.append((place, boxes.scores[row], IGNORED))
            elif best is None or np.isinf(apart[best]):
                expected.append((place, boxes.scores[row], FALSE_ALARM))
            else:
                free.remove(best)
                expected.append((place, boxes.scores[row], true.boxes[best, 0]))
    centres = [scenes.objects.boxes[own, 0] if own >= 0 else own for own in owner.tolist()]
    found_too = zip(scenes.detections.frame.tolist(), scenes.detections.scores.tolist(), centres, strict=True)
    assert sorted(found_too) == sorted(expected)
    assert {FALSE_ALARM, IGNORED} < set(owner.tolist())


def test_pairs_have_the_distances_and_overlaps_of_their_boxes(random_clouds):
    truth, found = random_clouds(1, spread=15.0)
    scenes = pair_up(truth, found)
    a, b = (torch.from_numpy(side.boxes) for side in (scenes.detections, scenes.objects))
    same = scenes.detections.frame[:, None] == scenes.objects.frame
    same &= scenes.detections.labels[:, None] == scenes.objects.labels
    distances = np.linalg.norm(scenes.detections.boxes[:, None, :2] - scenes.objects.boxes[None, :, :2], axis=2)
    ious = {"ious_bev": bev_iou(a, b).numpy(), "ious_3d": iou_3d(a, b).numpy()}

    pairs = scenes.pairs
    dense = np.zeros(same.shape, np.bool_)
    dense[pairs.detections, pairs.objects] = True
    assert dense.sum() == len(pairs.distances) > 20
    np.testing.assert_allclose(pairs.distances, distances[pairs.detections, pairs.objects], rtol=1e-12)
    for name, expected in ious.items():
        np.testing.assert_allclose(getattr(pairs, name), expected[pairs.detections, pairs.objects], atol=1e-12)
        assert not (expected[same & ~dense] > 0).any()
    assert (distances[same & ~dense] >= 4).all()
    assert not dense[~same].any()


def test_detections_are_sorted_over_all_frames_and_equal_scores_keep_their_order(clouds):
    truth, found = clouds(
        ([{"x": 1}], [{"x": 1, "scores": 0.3}, {"x": 2, "scores": 0.7}]),
        ([], []),
        ([{"x": 5}, {"x": 6}], [{"x": 3, "scores": 0.7}, {"x": 4, "scores": 0.9}]),
    )
    scenes = pair_up(truth, found)
    assert scenes.detections.boxes[:, 0].tolist() == [4, 2, 3, 1]
    assert scenes.detections.frame.tolist() == [2, 0, 2, 0]
    assert scenes.objects.frame.tolist() == [0, 2, 2]
    assert scenes.per_frame(np.array([True, True, False])).tolist() == [[1], [0], [1]]


def test_many_equal_scores_keep_their_order(clouds):
    scores = np.random.default_rng(0).choice([0.1, 0.5, 0.9], 100).tolist()
    truth, found = clouds(([], [{"x": x, "scores": score} for x, score in enumerate(scores)]))
    expected = sorted(range(100), key=lambda x: -scores[x])
    assert pair_up(truth, found).detections.boxes[:, 0].tolist() == expected


def test_long_boxes_are_paired_by_overlap_though_their_centres_are_far_apart(clouds):
    train = {"length": 20.0, "yaw": 0.3}
    truth, found = clouds(([{"x": 10, **train}], [{"x": 16, **train}]))
    assert pair_up(truth, found).pairs.ious_bev.item() > 0


def test_small_boxes_are_paired_by_distance_though_they_are_far_from_overlapping(clouds):
    small = {"length": 0.5, "width": 0.5}
    truth, found = clouds(([{"x": 10, **small}], [{"x": 13.9, **small}, {"x": 14.1, **small}]))
    assert pair_up(truth, found).pairs.distances.tolist() == pytest.approx([3.9])


def test_velocities_that_are_not_known_are_nan(clouds):
    truth, found = clouds(([{"velocities": (1.0, 2.0)}], [{}]))
    plain = Found3D(tuple(type(frame)(frame.boxes, frame.scores, frame.labels) for frame in found.frames))
    scenes = pair_up(truth, plain)
    assert scenes.objects.velocities.tolist() == [[1, 2]]
    assert np.isnan(scenes.detections.velocities).all()


def test_detections_that_do_not_fit_are_refused(clouds):
    truth, _ = clouds(([], []), ([], []))
    with pytest.raises(DataError, match="0 frames"):
        pair_up(truth, Found3D(()))


def test_nothing_at_all(clouds):
    for frames in ((), (([], []),), (([{}], []),), (([], [{}]),)):
        scenes = pair_up(*clouds(*frames))
        assert scenes.num_frames == len(frames)
        assert scenes.pairs.distances.size == 0
