"""Which objects neither have to be found nor are background."""

from pathlib import Path

import numpy as np
import pytest

from limbeck.data.cloud_ignore import ignored_objects
from limbeck.data.cloud_records import UNKNOWN_COUNT, CloudRecord

CLASSES = ("car", "post")


def record(places, labels=None, counts=None, marked=()):
    """Objects at (x, y) with z far off the ground."""
    count = len(places)
    boxes = np.zeros((count, 7), np.float32)
    boxes[:, :2], boxes[:, 2] = np.reshape(places, (count, 2)), 500
    ignore = np.zeros(count, bool)
    ignore[list(marked)] = True
    return CloudRecord(
        "a",
        Path("a.bin"),
        boxes,
        np.array(labels or [0] * count, np.int64),
        ignore,
        np.zeros(count, np.int64),
        np.array([UNKNOWN_COUNT] * count if counts is None else counts, np.int64),
    )


def test_nothing_is_ignored_without_a_rule():
    assert not ignored_objects(record([(99, 99), (1, 1)], counts=[0, 9]), CLASSES, None, 0).any()


def test_what_the_labels_mark_stays_ignored():
    assert ignored_objects(record([(1, 1), (2, 2)], marked=[1]), CLASSES, 100.0, 0).tolist() == [False, True]


@pytest.mark.parametrize(("place", "far"), [((3, 4), False), ((3.01, 4), True), ((-3, -4.01), True), ((0, 0), False)])
def test_the_distance_is_along_the_ground_and_the_limit_belongs_to_it(place, far):
    assert ignored_objects(record([place]), CLASSES, 5.0, 0).tolist() == [far]


def test_each_class_may_have_its_own_distance():
    objects = record([(20, 0), (20, 0), (40, 0), (40, 0)], labels=[0, 1, 0, 1])
    assert ignored_objects(objects, CLASSES, {"car": 30.0, "post": 10.0}, 0).tolist() == [False, True, True, True]
    assert ignored_objects(objects, CLASSES, {"post": 30.0}, 0).tolist() == [False, False, False, True]


@pytest.mark.parametrize(("least", "ignored"), [(0, [False] * 4), (1, [1, 0, 0, 0]), (5, [1, 1, 0, 0])])
def test_few_points_and_points_that_were_not_counted(least, ignored):
    objects = record([(1, 1)] * 4, counts=[0, 4, 5, UNKNOWN_COUNT])
    assert ignored_objects(objects, CLASSES, None, least).tolist() == list(map(bool, ignored))
    assert ignored_objects(objects, CLASSES, 50.0, least).tolist() == list(map(bool, ignored))


def test_one_reason_is_enough_and_the_record_is_not_changed():
    objects = record([(1, 1), (99, 0), (1, 1), (1, 1)], counts=[9, 9, 0, 9], marked=[3])
    assert ignored_objects(objects, CLASSES, 50.0, 1).tolist() == [False, True, True, True]
    assert objects.ignore.tolist() == [False, False, False, True]


@pytest.mark.parametrize("max_range", [None, 5.0, {"car": 5.0}])
def test_a_frame_without_objects(max_range):
    found = ignored_objects(record([]), CLASSES, max_range, 3)
    assert (found.shape, found.dtype) == ((0,), np.bool_)
