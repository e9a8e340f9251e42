"""All metrics of 3D detection at once: what is to be expected of plain cases, and what undefined means."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from statistics import mean

import numpy as np
import pytest

from limbeck.errors import ConfigError, DataError
from limbeck.metrics.boxes3d import Found3D, FoundBoxes, Truth3D
from limbeck.metrics.detection3d import METRIC_NAMES, evaluate

PERFECT = dict.fromkeys(METRIC_NAMES, 1.0) | dict.fromkeys(("mATE", "mASE", "mAOE", "mAVE"), 0.0)


def spread_out(clouds, classes=("car", "cyclist"), **moved):
    """Objects 10 m from one another in three frames of four, and detections whose columns are ``moved``."""
    frames = []
    for frame in range(3):
        objects = [
            {"x": 10.0 * n, "yaw": 0.5 * n, "length": 4.0, "height": 1.5, "labels": n % len(classes)} for n in range(4)
        ]
        objects = [{**row, "velocities": (1.0, row["x"])} for row in objects]
        detections = [{**row, **{key: row[key] + step for key, step in moved.items()}} for row in objects]
        frames.append((objects, [{**row, "scores": 0.9 - frame / 10} for row in detections]))
    return clouds(*frames, classes=classes)


def test_all_found_just_as_it_is(clouds):
    measured = evaluate(*spread_out(clouds))
    assert measured.metrics == pytest.approx(PERFECT, abs=1e-12)
    assert list(measured.metrics) == list(METRIC_NAMES)
    for row in measured.per_class.values():
        assert row["objects"] == 6
        assert {row[name] for name in ("AP_3D", "AP_BEV", "AP_L1", "APH_L1", "AP_L2", "APH_L2")} == {1}
        assert [row[f"AP@{name}m"] for name in ("0.5", "1", "2", "4")] == pytest.approx([1] * 4)
    assert all(curve == pytest.approx([1] * 101) for curve in measured.pr_curves.values())
    assert measured.by_range["0-30 m"] | {"objects": 0} == {
        **{name: 1 for name in ("AP", "APH", "AP/car", "AP/cyclist", "APH/car", "APH/cyclist")},
        "objects": 0,
    }


def test_all_found_a_metre_and_a_half_off(clouds):
    measured = evaluate(*spread_out(clouds, x=1.5), {"car": 0.5})
    for row in measured.per_class.values():
        assert [row[f"AP@{name}m"] for name in ("0.5", "1", "2", "4")] == pytest.approx([0, 0, 1, 1])
        assert row["ATE"] == pytest.approx(1.5)
    assert measured.metrics["mAP"] == pytest.approx(0.5)
    assert measured.metrics["NDS"] == pytest.approx((5 * 0.5 + 0 + 1 + 1 + 1) / 9)


def test_a_distance_that_is_just_the_threshold_is_no_hit(clouds):
    row = evaluate(*spread_out(clouds, x=1.0)).per_class["car"]
    assert [row[f"AP@{name}m"] for name in ("0.5", "1", "2", "4")] == pytest.approx([0, 0, 1, 1])


def test_all_turned_round(clouds):
    measured = evaluate(*spread_out(clouds, yaw=math.pi, classes=("car", "barrier")))
    assert measured.metrics["mAPH"] == pytest.approx(0, abs=1e-12)
    assert measured.metrics["AP_3D"] == measured.metrics["AP_BEV"] == 1
    car, barrier = measured.per_class["car"], measured.per_class["barrier"]
    assert (car["AP_L2"], car["APH_L2"]) == pytest.approx((1, 0))
    assert (car["AOE"], barrier["AOE"]) == pytest.approx((math.pi, 0))
    assert measured.metrics["NDS"] == pytest.approx((5 + 1 + 1 + 0 + 1) / 9)


def test_twice_as_long(clouds):
    """The scale error is 1 - 1/2; the overlaps are a half as well, which is enough for neither metric."""
    measured = evaluate(*spread_out(clouds, length=4.0))
    assert measured.metrics["mASE"] == pytest.approx(0.5)
    assert measured.metrics["mAP"] == pytest.approx(1)
    assert measured.metrics["AP_3D"] == 0
    assert evaluate(*spread_out(clouds, length=4.0), {"car": 0.45, "cyclist": 0.45}).metrics["AP_3D"] == 1


def test_twice_as_high_counts_in_space_only(clouds):
    measured = evaluate(*spread_out(clouds, height=1.5))
    assert (measured.metrics["AP_3D"], measured.metrics["AP_BEV"]) == (0, 1)


def test_detections_at_random_are_worth_nothing(random_clouds):
    truth, _ = random_clouds(0, frames=10)
    _, other = random_clouds(99, frames=10)
    metrics = evaluate(truth, other).metrics
    assert max(metrics[name] for name in ("mAP", "AP_3D", "AP_BEV", "mAPH")) < 0.02
    assert metrics["NDS"] == pytest.approx(0, abs=0.15)


@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_within_their_bounds(random_clouds, seed):
    measured = evaluate(*random_clouds(seed, spread=8.0))
    for name, value in measured.metrics.items():
        assert 0 <= value <= (math.inf if name.startswith("m") and name.endswith("E") else 1)
    for row in measured.per_class.values():
        assert row["AP"] == pytest.approx(mean(row[f"AP@{name}m"] for name in ("0.5", "1", "2", "4")))
        assert row["AP_3D"] <= row["AP_BEV"] + 1e-12
        assert row["APH_L2"] <= row["AP_L2"]
        assert row["APH_L1"] <= row["AP_L1"]


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_frames_and_of_detections_does_not_matter(random_clouds, seed):
    truth, found = random_clouds(seed)
    order = np.random.default_rng(seed).permutation(len(truth.frames))
    shuffled = [
        FoundBoxes(f.boxes[::-1], f.scores[::-1], f.labels[::-1], f.velocities[::-1])
        for f in (found.frames[place] for place in order)
    ]
    turned = Truth3D(truth.classes, truth.frame_ids, tuple(truth.frames[place] for place in order))
    assert evaluate(turned, Found3D(tuple(shuffled))) == evaluate(truth, found)


def test_what_hits_an_object_to_ignore_changes_nothing(clouds):
    frame = [{"x": 0}, {"x": 20}], [{"x": 0, "scores": 0.4}, {"x": 20.2, "scores": 0.3}]
    plain = evaluate(*clouds(frame))
    ignored = {"x": 40, "ignore": True, "levels": 2, "velocities": (1.0, 1.0)}
    seen = [{"x": 40, "scores": 0.9}]
    assert evaluate(*clouds(([*frame[0], ignored], [*frame[1], *seen]))) == plain
    assert evaluate(*clouds(([*frame[0], ignored], frame[1]))) == plain
    assert evaluate(*clouds((frame[0], [*frame[1], *seen]))).metrics["mAP"] < plain.metrics["mAP"]


def test_equal_scores_keep_the_order_in_which_they_were_given(clouds):
    near, far = {"x": 10.0}, {"x": 11.0}
    assert evaluate(*clouds(([{}], [near, far]))).per_class["car"]["ATE"] == 0
    assert evaluate(*clouds(([{}], [far, near]))).per_class["car"]["ATE"] == 1


def test_velocities_that_are_not_known_are_no_error(clouds):
    truth, found = spread_out(clouds)
    still = Truth3D(truth.classes, truth.frame_ids, tuple(replace(frame, velocities=None) for frame in truth.frames))
    measured = evaluate(still, found)
    assert measured.metrics == pytest.approx({**PERFECT, "mAVE": -1}, abs=1e-12)


def test_a_model_that_says_no_velocity_has_an_error_of_1(clouds):
    truth, found = spread_out(clouds)
    silent = Found3D(tuple(replace(frame, velocities=None) for frame in found.frames))
    assert evaluate(truth, silent).metrics == pytest.approx({**PERFECT, "mAVE": 1, "NDS": 8 / 9}, abs=1e-12)


def test_classes_without_front_or_speed_have_no_such_error(clouds):
    rows = evaluate(*spread_out(clouds, classes=("car", "Barrier", "traffic_cone", "cone"))).per_class
    defined = {name: [error for error in ("ATE", "ASE", "AOE", "AVE") if row[error] >= 0] for name, row in rows.items()}
    assert defined == {
        "car": ["ATE", "ASE", "AOE", "AVE"],
        "Barrier": ["ATE", "ASE", "AOE"],
        "traffic_cone": ["ATE", "ASE"],
        "cone": ["ATE", "ASE"],
    }


def test_levels_of_kitti(clouds):
    """Of four objects the easy one and the hard one are found; beyond hard there is nothing to find."""
    objects = [{"x": 10.0 * n, "levels": n} for n in range(4)]
    measured = evaluate(*clouds((objects, [{"x": 0}, {"x": 20}])))
    row = measured.per_class["car"]
    by_level = [row[f"AP_3D_{name}"] for name in ("easy", "moderate", "hard")]
    assert by_level == pytest.approx([1, 0.5, 26 / 40])
    assert [row[f"AP_BEV_{name}"] for name in ("easy", "moderate", "hard")] == by_level
    assert row["AP_3D"] == measured.metrics["AP_3D"] == by_level[1]
    assert row["objects"] == 4


def test_without_levels_there_is_one_row(clouds):
    row = evaluate(*spread_out(clouds)).per_class["car"]
    assert not [name for name in row if name.endswith(("easy", "moderate", "hard"))]


def test_a_class_without_an_object_is_undefined_and_left_out_of_the_means(clouds):
    objects, found = [{"x": 0}, {"x": 20}], [{"x": 0}]
    false_alarm = {"x": 0, "labels": 1, "scores": 0.9}
    plain = evaluate(*clouds((objects, found)))
    more = evaluate(*clouds((objects, [*found, false_alarm]), classes=("car", "absent")))
    assert more.metrics == plain.metrics
    absent = more.per_class["absent"]
    assert absent == dict.fromkeys(absent, -1) | {"objects": 0}
    assert more.pr_curves["absent"] == [-1] * 101
    assert more.by_range["0-30 m"]["AP/absent"] == -1
    assert more.by_range["0-30 m"]["AP"] == plain.by_range["0-30 m"]["AP"]


def test_ranges(clouds):
    truth, found = clouds(([{"x": 5}, {"x": 35}, {"x": 40}], [{"x": 5}, {"x": 35, "yaw": math.pi}]))
    by_range = evaluate(truth, found).by_range
    assert by_range == {
        "0-30 m": pytest.approx({"objects": 1, "AP": 1, "AP/car": 1, "APH": 1, "APH/car": 1}),
        "30-50 m": pytest.approx({"objects": 2, "AP": 0.5, "AP/car": 0.5, "APH": 0, "APH/car": 0}),
        "50+ m": {"objects": 0, "AP": -1, "AP/car": -1, "APH": -1, "APH/car": -1},
    }


def test_nothing_to_find_is_undefined_and_nothing_found_is_0(clouds):
    for frames in ((), (([], []),), (([], [{}]),), (([{"ignore": True}], [{}]),)):
        assert evaluate(*clouds(*frames)).metrics == dict.fromkeys(METRIC_NAMES, -1)
    nothing = evaluate(*clouds(([{"velocities": (1.0, 0.0)}], []), ([], []))).metrics
    assert nothing == dict.fromkeys(METRIC_NAMES, 0) | dict.fromkeys(("mATE", "mASE", "mAOE", "mAVE"), 1)


def test_single_precision_gives_the_same(random_clouds):
    truth, found = random_clouds(1, spread=20.0)
    small = [replace(frame, boxes=frame.boxes.astype(np.float32)) for frame in found.frames]
    assert evaluate(truth, Found3D(tuple(small))).metrics == pytest.approx(evaluate(truth, found).metrics, abs=1e-5)


def test_the_metrics_are_plain_numbers(random_clouds):
    measured = evaluate(*random_clouds(2))
    content = [measured.metrics, measured.per_class, measured.by_range, measured.pr_curves]
    assert json.loads(json.dumps(content)) == content


def test_what_does_not_fit_is_refused(clouds):
    truth, found = clouds(([{}], [{"labels": 3}]))
    with pytest.raises(DataError, match="frame 'frame 0': there are 1 classes"):
        evaluate(truth, found)
    with pytest.raises(ConfigError, match="no class 'bus'"):
        evaluate(truth, Found3D(()), {"bus": 0.5})
