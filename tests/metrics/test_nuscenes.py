"""Average precision by distance and the errors: by hand, against a slow loop, and against the nuScenes devkit.

``nuscenes_devkit.json`` holds boxes and what the devkit says of them. The devkit itself does not install beside numpy
2; where it is there all the same, it is asked about other boxes too.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from limbeck.metrics.boxes3d import Found3D, FoundBoxes, TrueBoxes, Truth3D
from limbeck.metrics.detection3d import evaluate
from limbeck.metrics.nuscenes import (
    ERRORS,
    HALF_TURN,
    NO_HEADING,
    NO_VELOCITY,
    average_precision,
    detection_score,
    hit_errors,
    mean_errors,
    precision_curve,
)

DEVKIT_ERRORS = dict(zip(ERRORS, ("trans_err", "scale_err", "orient_err", "vel_err"), strict=True))


def hits_of(text):
    """``x`` is a hit, ``.`` a false alarm, best first."""
    return np.array([letter == "x" for letter in text], np.bool_)


def ap(text, objects):
    return average_precision(precision_curve(hits_of(text), objects))


def errors_of(scores, text, errors, objects):
    return mean_errors(np.array(scores), hits_of(text), np.array(errors, np.float64).reshape(-1, 1), objects).item()


def test_all_found_is_1_and_nothing_found_is_0():
    assert ap("xxxx", 4) == pytest.approx(1)
    assert ap("", 4) == ap("...", 4) == 0


def test_half_found_without_a_false_alarm():
    """Precision 1 at the recalls 0.11 to 0.5, 40 of 90."""
    assert ap("x", 2) == pytest.approx(40 / 90)


def test_the_curve_is_a_straight_line_between_its_points():
    """Points (recall, precision): (0.5, 1), (0.5, 1/2), (1, 2/3); at 0.75 half of the way from 1/2 to 2/3."""
    curve = precision_curve(hits_of("x.x"), 2)
    assert curve[[0, 49, 50, 75, 100]].tolist() == pytest.approx([1, 1, 1 / 2, 7 / 12, 2 / 3])


def test_what_is_below_a_precision_of_a_tenth_counts_nothing():
    assert ap("." * 9 + "x", 1) == pytest.approx(0, abs=1e-12)
    assert ap("." * 4 + "x", 1) > 0


def test_a_recall_of_a_tenth_is_worth_nothing():
    assert ap("x", 10) == 0
    assert ap("xx", 10) == pytest.approx(10 / 90)


def test_errors_are_the_mean_of_the_running_mean_over_the_recalls_above_a_tenth():
    """The running mean is 0.2 at the first score and 0.3 at the second one; the scores fall with the recall.

    Up to recall 0.5 the score is that of the first hit; from there on the score, and with it the error, is a straight
    line to recall 1: 40 recalls with 0.2, then 50 that rise to 0.3.
    """
    expected = (40 * 0.2 + sum(0.2 + 0.1 * step / 50 for step in range(1, 51))) / 90
    assert errors_of([0.9, 0.5], "xx", [0.2, 0.4], 2) == pytest.approx(expected)


def test_errors_where_too_little_is_found_are_1():
    assert errors_of([0.9, 0.8], "..", [], 3) == 1
    assert errors_of([0.9], "x", [0.2], 10) == 1
    assert errors_of([], "", [], 3) == 1
    assert errors_of([0.9], "x", [0.2], 9) == pytest.approx(0.2)


def test_errors_that_are_not_known_are_left_out():
    assert errors_of([0.9, 0.8, 0.7], "xxx", [0.2, np.nan, 0.2], 3) == pytest.approx(0.2)
    assert errors_of([0.9, 0.8], "xx", [np.nan, np.nan], 2) == 1


def test_the_errors_of_a_hit():
    found = np.array([[3.0, 4, 9, 4, 2, 1, 3.0], [0, 0, 0, 2, 2, 2, 3.2]])
    true = np.array([[0.0, 0, 0, 2, 2, 2, -3.0], [0, 0, 0, 2, 2, 2, 0.0]])
    velocities = np.array([[1.0, 1], [np.nan, np.nan]])
    errors = hit_errors(found, true, velocities, np.array([[1.0, 3], [0, 0]]), np.array([False, True]))
    scale = 1 - 4 / (8 + 8 - 4)  # of the sides the smaller ones: 2, 2, 1
    assert errors[0].tolist() == pytest.approx([5, scale, 2 * math.pi - 6, 2])
    assert errors[1, :3].tolist() == pytest.approx([0, 0, 3.2 - math.pi])
    assert np.isnan(errors[1, 3])


def test_a_box_without_a_volume_has_no_scale_in_common():
    flat = np.zeros((1, 7))
    assert hit_errors(flat, flat, flat[:, :2], flat[:, :2], np.array([False])).tolist() == [[0, 1, 0, 0]]


def test_the_detection_score():
    assert detection_score(1.0, np.zeros(4)) == 1
    assert detection_score(0.4, np.array([0.5, 0.2, 1.7, 0.1])) == pytest.approx((2 + 0.5 + 0.8 + 0 + 0.9) / 9)
    assert detection_score(0.4, np.array([0.5, 0.2, np.nan, np.nan])) == pytest.approx((2 + 0.5 + 0.8) / 7)
    assert math.isnan(detection_score(math.nan, np.full(4, np.nan)))


# A second, slow implementation: one loop over the detections of a class.


def slow_matches(truth, found, label, distance):
    """Rows (score, errors of a hit or None), best first; a detection of an object to ignore has no row."""
    detections = [
        (float(frame.scores[row]), place, row)
        for place, frame in enumerate(found.frames)
        for row in np.flatnonzero(frame.labels == label)
    ]
    taken, rows = set(), []
    for score, place, row in sorted(detections, key=lambda detection: -detection[0]):
        true, mine = truth.frames[place], found.frames[place]
        apart = {
            column: math.dist(true.boxes[column, :2], mine.boxes[row, :2])
            for column in np.flatnonzero(true.labels == label).tolist()
        }
        nearest = min(apart, key=apart.get, default=None)
        if nearest is not None and apart[nearest] < distance and true.ignore[nearest]:
            continue
        free = [column for column in apart if not true.ignore[column] and (place, column) not in taken]
        own = min(free, key=apart.get, default=None)
        if own is None or apart[own] >= distance:
            rows.append((score, None))
            continue
        taken.add((place, own))
        name = truth.classes[label]
        rows.append(
            (score, slow_errors(name, true.boxes[own], mine.boxes[row], true.velocities[own], mine.velocities[row]))
        )
    return rows


def slow_errors(name, true, found, true_velocity, found_velocity):
    smaller = math.prod(min(a, b) for a, b in zip(true[3:6], found[3:6], strict=True))
    period = math.pi if name in HALF_TURN else 2 * math.pi
    turned = (true[6] - found[6]) % period
    return {
        "ATE": math.dist(true[:2], found[:2]),
        "ASE": 1 - smaller / (math.prod(true[3:6]) + math.prod(found[3:6]) - smaller),
        "AOE": min(turned, period - turned),
        "AVE": math.dist(true_velocity, found_velocity),
    }


def on_line(x, points):
    """The value at x on the line through points of rising x; of several points at x that of the last one."""
    before = [point for point in points if point[0] <= x]
    after = [point for point in points if point[0] > x]
    if not before or not after:
        return (before[-1] if before else after[0])[1]
    (x0, y0), (x1, y1) = before[-1], after[0]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def slow_scores(truth, found, label):
    """AP at every distance, and the errors; None where the class has no object to be found."""
    frames = truth.frames
    objects = sum(int(((frame.labels == label) & ~frame.ignore).sum()) for frame in frames)
    if not objects:
        return None
    result = {}
    recalls = [step / 100 for step in range(11, 101)]
    for distance in (0.5, 1.0, 4.0, 2.0):  # 2 m last: the errors are those there
        rows = slow_matches(truth, found, label, distance)
        curve, confidence, hits = [], [], 0
        for number, (score, errors) in enumerate(rows, start=1):
            hits += errors is not None
            curve.append((hits / objects, hits / number))
            confidence.append((hits / objects, score))
        reached = [recall for recall in recalls if hits and recall <= hits / objects]
        precisions = [on_line(recall, curve) for recall in reached]
        result[f"AP@{distance:g}m"] = sum(max(0.0, value - 0.1) for value in precisions) / 90 / 0.9
    known = {"ATE", "ASE"}
    known |= {"AOE"} if truth.classes[label] not in NO_HEADING else set()
    known |= {"AVE"} if truth.classes[label] not in NO_VELOCITY else set()
    for name in known:
        values, points = [], []
        for score, errors in rows:
            if errors is not None:
                values += [] if math.isnan(errors[name]) else [errors[name]]
                points.append((score, sum(values) / len(values) if values else 0.0))
        points = points if values else [(0.0, 1.0)]
        at = [on_line(on_line(recall, confidence), points[::-1]) for recall in reached]
        result[name] = sum(at) / len(at) if at else 1.0
    return result


@pytest.mark.parametrize(("seed", "spread"), [(0, 30.0), (1, 12.0), (2, 6.0), (3, 3.0)])
def test_against_a_slow_loop(random_clouds, seed, spread):
    truth, found = random_clouds(seed, spread=spread, classes=("car", "barrier", "traffic_cone", "bus"))
    measured = evaluate(truth, found).per_class
    for label, name in enumerate(truth.classes):
        expected = slow_scores(truth, found, label)
        assert {key: measured[name][key] for key in expected} == pytest.approx(expected, abs=1e-9)
        for error in set(ERRORS) - set(expected):
            assert measured[name][error] == -1


# The devkit.


def recorded():
    content = json.loads((Path(__file__).parent / "nuscenes_devkit.json").read_text())
    true, found = [], []
    for frame in content["frames"]:
        for side, boxes in frame.items():
            count = len(boxes["labels"])
            arrays = {
                "boxes": np.array(boxes["boxes"], np.float64).reshape(-1, 7),
                "labels": np.array(boxes["labels"], np.int64),
                "velocities": np.array(boxes["velocities"], np.float64).reshape(-1, 2),
            }
            if side == "objects":
                zeros = np.zeros(count, np.int64)
                true.append(TrueBoxes(**arrays, ignore=zeros > 0, levels=zeros, num_points=zeros + 9))
            else:
                found.append(FoundBoxes(**arrays, scores=np.array(boxes["scores"])))
    truth = Truth3D(tuple(content["classes"]), tuple(range(len(true))), tuple(true))
    return truth, Found3D(tuple(found)), content["expected"]


def check_against(expected, measured):
    """The devkit has one error more, that of the attributes, which is 1 here and adds nothing to its score."""
    assert measured.metrics["mAP"] == pytest.approx(expected["mean_ap"], abs=1e-12)
    assert measured.metrics["NDS"] * 9 / 10 == pytest.approx(expected["nd_score"], abs=1e-12)
    for ours, theirs in DEVKIT_ERRORS.items():
        assert measured.metrics[f"m{ours}"] == pytest.approx(expected["tp_errors"][theirs], abs=1e-12)
    for name, row in measured.per_class.items():
        for distance, value in expected["label_aps"][name].items():
            assert row[f"AP@{float(distance):g}m"] == pytest.approx(value, abs=1e-12)
        for ours, theirs in DEVKIT_ERRORS.items():
            value = expected["label_tp_errors"][name][theirs]
            assert row[ours] == (-1 if value is None or math.isnan(value) else pytest.approx(value, abs=1e-12))


def test_against_what_the_devkit_said():
    truth, found, expected = recorded()
    check_against(expected, evaluate(truth, found))


def test_against_the_devkit_where_it_is_installed(random_clouds):
    algo = pytest.importorskip("nuscenes.eval.detection.evaluate", exc_type=ImportError)
    settings = pytest.importorskip("nuscenes.eval.detection.config").config_factory("detection_cvpr_2019")
    for seed, noise in enumerate((0.1, 0.4, 1.0)):
        truth, found = random_clouds(
            seed, frames=10, objects=80, classes=tuple(settings.class_names), noise=noise, ignore=0
        )
        devkit = algo.DetectionEval.__new__(algo.DetectionEval)
        devkit.cfg, devkit.verbose = settings, False
        devkit.gt_boxes, devkit.pred_boxes = (devkit_boxes(truth.classes, side.frames) for side in (truth, found))
        expected, _ = devkit.evaluate()
        check_against(expected.serialize(), evaluate(truth, found))


def devkit_boxes(classes, frames):
    common = pytest.importorskip("nuscenes.eval.common.data_classes")
    detection = pytest.importorskip("nuscenes.eval.detection.data_classes")
    result = common.EvalBoxes()
    for place, frame in enumerate(frames):
        scores = getattr(frame, "scores", np.full(len(frame.boxes), -1.0))
        boxes = [
            detection.DetectionBox(
                sample_token=str(place),
                translation=tuple(box[:3]),
                size=(box[4], box[3], box[5]),
                rotation=(math.cos(box[6] / 2), 0, 0, math.sin(box[6] / 2)),
                velocity=tuple(velocity),
                detection_name=classes[label],
                detection_score=float(score),
            )
            for box, label, velocity, score in zip(frame.boxes, frame.labels, frame.velocities, scores, strict=True)
        ]
        result.add_boxes(str(place), boxes)
    return result
