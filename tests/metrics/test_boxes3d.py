"""Truth and detections in space: taken from a reader, checked, and the overlaps that are asked for."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from limbeck.errors import ConfigError, DataError
from limbeck.metrics.boxes3d import Found3D, FoundBoxes, Truth3D, check_found, overlaps_wanted

CLASSES = ("car", "cyclist")


def found_boxes(count=2, **changed):
    columns = {
        "boxes": np.tile([10.0, 0, 0, 4, 2, 1.5, 0], (count, 1)),
        "scores": np.linspace(0.9, 0.1, count),
        "labels": np.zeros(count, np.int64),
        "velocities": np.zeros((count, 2)),
    }
    return FoundBoxes(**columns | changed)


def truth_of(*frame_ids):
    none = np.zeros(0, np.int64)
    record = {"boxes": np.zeros((0, 7)), "labels": none, "ignore": none > 0, "levels": none, "num_points": none}
    records = [SimpleNamespace(id=frame_id, **record, velocities=None) for frame_id in frame_ids]
    return Truth3D.from_records(records, CLASSES)


def test_truth_from_the_records_of_a_reader():
    record = SimpleNamespace(
        id="000017",
        boxes=np.ones((2, 7), np.float32),
        labels=np.array([1, 0]),
        ignore=np.array([False, True]),
        levels=np.array([0, 2]),
        num_points=np.array([7, -1]),
        velocities=None,
    )
    truth = Truth3D.from_records(iter([record]), list(CLASSES))
    assert (truth.classes, truth.frame_ids) == (CLASSES, ("000017",))
    (frame,) = truth.frames
    for name in ("boxes", "labels", "ignore", "levels", "num_points", "velocities"):
        assert getattr(frame, name) is getattr(record, name)


def test_sound_detections_pass():
    check_found(truth_of("a", "b"), Found3D((found_boxes(), found_boxes(0, velocities=None))))


def test_all_problems_are_told_at_once_with_their_frames():
    broken = found_boxes(3)
    broken.boxes[1, 6] = np.nan
    broken.boxes[2, 4] = -1
    frames = (
        broken,
        found_boxes(scores=np.zeros(3), velocities=np.zeros((2, 3))),
        found_boxes(labels=np.array([2, -1])),
        found_boxes(1, scores=np.array([np.inf])),
        found_boxes(2, velocities=np.array([[np.nan, np.nan], [0, np.inf]])),
    )
    with pytest.raises(DataError, match="do not fit the labels") as caught:
        check_found(truth_of("a", "b", "c", 4, 5), Found3D(frames))
    assert caught.value.problems == (
        "frame 'a': box [10.0, 0.0, 0.0, 4.0, 2.0, 1.5, nan] with score 0.5 is not usable",
        "frame 'a': box [10.0, 0.0, 0.0, 4.0, -1.0, 1.5, 0.0] with score 0.1 is not usable",
        "frame 'b': scores must be of shape (2,), not (3,)",
        "frame 'b': velocities must be of shape (2, 2), not (2, 3)",
        "frame 'c': there are 2 classes, counted from 0, and the detections have [-1, 2]",
        "frame 4: box [10.0, 0.0, 0.0, 4.0, 2.0, 1.5, 0.0] with score inf is not usable",
        "frame 5: velocity [0.0, inf] of box [10.0, 0.0, 0.0, 4.0, 2.0, 1.5, 0.0] is not usable",
    )


def test_a_wrong_number_of_frames():
    with pytest.raises(DataError, match="detections for 1 frames, and labels for 2"):
        check_found(truth_of("a", "b"), Found3D((found_boxes(),)))


def test_many_problems_are_cut_short():
    with pytest.raises(DataError, match="and 10 more"):
        check_found(truth_of("a"), Found3D((found_boxes(30, scores=np.full(30, np.nan)),)))


def test_overlaps_by_class_name():
    names = ["Car", "VEHICLE", "truck", "construction_vehicle", "Pedestrian", "cyclist", "wagon"]
    assert overlaps_wanted(names).tolist() == [0.7, 0.7, 0.7, 0.7, 0.5, 0.5, 0.5]
    assert overlaps_wanted(["car", "wagon"], {"car": 0.5}).tolist() == [0.5, 0.5]
    assert overlaps_wanted([]).shape == (0,)


def test_unusable_overlaps_are_told_at_once():
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        overlaps_wanted(CLASSES, {"cars": 0.5, "car": 0.0, "cyclist": 1.5})
    assert caught.value.problems == (
        "there is no class 'cars' (did you mean 'car'?)",
        "0.0 for 'car' is not above 0 and at most 1",
        "1.5 for 'cyclist' is not above 0 and at most 1",
    )
