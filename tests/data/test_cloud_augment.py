"""Augmented point clouds: what belongs together stays together, and pasted objects have room."""

import math

import numpy as np
import pytest

from limbeck.data.cloud_augment import CLEARED, PASTE_POINTS, PASTE_SOURCES, Scene, augmented
from limbeck.data.cloud_config import CloudAugment
from limbeck.data.cloud_points import count_points, inside

OFF = {"flip_left_right": 0.0, "flip_front_back": 0.0, "rotation": 0.0, "scale": (1.0, 1.0)}
FLIPS = {"flip_left_right": 1.0, "flip_front_back": 1.0}
MOTIONS = {
    "nothing": {},
    "left and right": {"flip_left_right": 1.0},
    "front and back": {"flip_front_back": 1.0},
    "both": FLIPS,
    "turn": {"rotation": 3.0},
    "scale": {"scale": (0.7, 0.7)},
    "all": FLIPS | {"rotation": 3.0, "scale": (1.5, 1.5)},
}


def scene(count=6, seed=0, label=0, velocities=False, apart=9.0, start=0.0, points=20):
    """A scene of boxes along x that do not touch, each with points inside; value 4 of a point is its number."""
    generator = np.random.default_rng(seed)
    boxes = np.column_stack(
        [
            start + apart * np.arange(count) + generator.uniform(-1, 1, count),
            generator.uniform(-3, 3, (count, 2)),
            generator.uniform(1, 5, count),
            generator.uniform(0.8, 2, (count, 2)),
            generator.uniform(-4, 4, count),
        ]
    ).astype(np.float32)
    clouds = [generator.uniform(-60, 60, (300, 3)) * [1, 1, 0.05] + [0, 0, 90]]  # far above all boxes
    for x, y, z, length, width, height, yaw in boxes.astype(np.float64):
        u, v, w = generator.uniform(-0.48, 0.48, (points, 3)).T * np.array([[length], [width], [height]])
        cos, sin = math.cos(yaw), math.sin(yaw)
        clouds.append(np.column_stack([x + cos * u - sin * v, y + sin * u + cos * v, z + w]))
    xyz = np.concatenate(clouds)
    cloud = np.column_stack([xyz, np.arange(len(xyz))]).astype(np.float32)
    speeds = generator.uniform(-5, 5, (count, 2)).astype(np.float32) if velocities else None
    return Scene(cloud, boxes, np.full(count, label), np.zeros(count, bool), speeds)


def change(given, wanted=None, other=None, seed=0, **settings):
    config = CloudAugment(**OFF | settings)
    return augmented(given, config, wanted or {}, other or (lambda: given), np.random.default_rng(seed))


def sorted_points(given):
    return given.points[np.argsort(given.points[:, 3])]


def in_the_box(points, box):
    """Where points lie in the frame of a box, (P,3)."""
    x, y, z = (points[:, :3] - box[:3]).astype(np.float64).T
    cos, sin = math.cos(box[6]), math.sin(box[6])
    return np.column_stack([cos * x + sin * y, cos * y - sin * x, z])


@pytest.mark.parametrize("name", MOTIONS)
def test_points_stay_where_they_are_in_their_boxes(name):
    before = scene()
    after = change(before, **MOTIONS[name])
    factor = 0.7 if name == "scale" else 1.5 if name == "all" else 1.0
    mirrored = sum(flag in MOTIONS[name] for flag in FLIPS) % 2 == 1
    old, new = sorted_points(before), sorted_points(after)
    assert new[:, 3].tolist() == old[:, 3].tolist()
    for box, moved in zip(before.boxes, after.boxes, strict=True):
        expected = in_the_box(old, box) * factor * [1, -1 if mirrored else 1, 1]
        np.testing.assert_allclose(in_the_box(new, moved), expected, atol=1e-3)
    np.testing.assert_allclose(after.boxes[:, 3:6], before.boxes[:, 3:6] * factor, rtol=1e-6)
    assert count_points(after.points, after.boxes).tolist() == [20] * 6


def test_a_flip_by_hand():
    before = scene()
    left_right, front_back = change(before, flip_left_right=1.0), change(before, flip_front_back=1.0)
    np.testing.assert_allclose(sorted_points(left_right)[:, :3], before.points[:, :3] * [1, -1, 1])
    np.testing.assert_allclose(left_right.boxes[:, :3], before.boxes[:, :3] * [1, -1, 1])
    np.testing.assert_allclose(np.cos(left_right.boxes[:, 6]), np.cos(before.boxes[:, 6]), atol=1e-5)
    np.testing.assert_allclose(np.sin(left_right.boxes[:, 6]), -np.sin(before.boxes[:, 6]), atol=1e-5)
    np.testing.assert_allclose(sorted_points(front_back)[:, :3], before.points[:, :3] * [-1, 1, 1])
    np.testing.assert_allclose(np.cos(front_back.boxes[:, 6]), -np.cos(before.boxes[:, 6]), atol=1e-5)
    np.testing.assert_allclose(np.sin(front_back.boxes[:, 6]), np.sin(before.boxes[:, 6]), atol=1e-5)


@pytest.mark.parametrize("name", MOTIONS)
def test_velocities_turn_along(name):
    """An object that moves for a second and is then augmented stands where the augmented one would move to."""
    before = scene(velocities=True)
    after = change(before, **MOTIONS[name])
    arrived = Scene(before.points, before.boxes.copy(), before.labels, before.ignore, None)
    arrived.boxes[:, :2] += before.velocities
    np.testing.assert_allclose(
        after.boxes[:, :2] + after.velocities, change(arrived, **MOTIONS[name]).boxes[:, :2], atol=1e-3
    )
    np.testing.assert_array_equal(change(scene(), **MOTIONS[name]).velocities, None)


def test_unknown_velocities_stay_unknown():
    before = scene(velocities=True)
    before.velocities[2] = np.nan
    after = change(before, **MOTIONS["all"])
    assert np.isnan(after.velocities).any(axis=1).tolist() == [False, False, True, False, False, False]


def test_angles_stay_within_half_a_turn_either_way():
    for seed in range(20):
        yaws = change(scene(seed=seed), seed=seed, flip_left_right=0.5, flip_front_back=0.5, rotation=math.pi).boxes[
            :, 6
        ]
        assert (np.abs(yaws) <= math.pi + 1e-5).all()


def test_turns_and_scales_are_drawn_from_their_ranges():
    before, turns, factors = scene(), [], []
    for seed in range(200):
        after = change(before, seed=seed, rotation=0.4, scale=(0.9, 1.2))
        turn = after.boxes[0, 6] - before.boxes[0, 6]
        turns.append((turn + math.pi) % (2 * math.pi) - math.pi)
        factors.append(after.boxes[0, 3] / before.boxes[0, 3])
    assert -0.4 <= min(turns) < -0.35 < 0.35 < max(turns) <= 0.4
    assert 0.9 <= min(factors) < 0.91 < 1.19 < max(factors) <= 1.2


def test_flips_come_as_often_as_asked_for():
    before = scene()
    flipped = [change(before, seed=seed, flip_left_right=0.25).boxes[0, 1] != before.boxes[0, 1] for seed in range(400)]
    assert 0.18 < np.mean(flipped) < 0.32


def test_other_values_of_a_point_stay_and_the_order_is_drawn_anew():
    before = scene()
    after = change(before, **MOTIONS["all"])
    assert sorted(after.points[:, 3].tolist()) == before.points[:, 3].tolist()
    assert after.points[:, 3].tolist() != before.points[:, 3].tolist()


def test_nothing_of_the_scene_itself_is_changed():
    before = scene(velocities=True)
    kept = [getattr(before, name).copy() for name in ("points", "boxes", "labels", "ignore", "velocities")]
    change(before, {0: 3}, lambda: scene(seed=5, start=4.0), dropout=0.5, **MOTIONS["all"])
    for name, copy in zip(("points", "boxes", "labels", "ignore", "velocities"), kept, strict=True):
        np.testing.assert_array_equal(getattr(before, name), copy)


def test_types_stay():
    after = change(scene(velocities=True), {0: 1}, lambda: scene(seed=5, start=4.0), **MOTIONS["all"])
    assert (after.points.dtype, after.boxes.dtype, after.velocities.dtype) == (np.float32,) * 3
    assert (after.labels.dtype, after.ignore.dtype) == (np.int64, np.bool_)


def test_a_share_of_the_points_is_left_out():
    before = scene()
    shares = [len(change(before, seed=seed, dropout=0.4).points) / len(before.points) for seed in range(100)]
    assert 0.6 <= min(shares) < 0.65
    assert 0.95 < max(shares) <= 1
    assert len(change(before).points) == len(before.points)


def test_the_same_seed_gives_the_same_scene_and_another_one_another():
    before, other = scene(velocities=True), scene(seed=5, start=4.0)
    settings = MOTIONS["all"] | {"dropout": 0.3, "flip_left_right": 0.5}
    first, second, third = (change(before, {0: 2}, lambda: other, seed=seed, **settings) for seed in (1, 1, 2))
    for name in ("points", "boxes", "labels", "ignore", "velocities"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert not np.array_equal(first.boxes, third.boxes)


def test_pasted_objects_stand_where_they_stood_and_bring_their_points():
    before, other = scene(label=0), scene(seed=5, label=1, start=4.5)
    after = change(before, {1: 2}, lambda: other)
    assert after.labels.tolist() == [0] * 6 + [1] * 2
    assert after.ignore.tolist() == [False] * 8
    for box in after.boxes[6:]:
        assert any(np.array_equal(box[:6], given[:6]) for given in other.boxes)
        theirs = other.points[inside(other.points, box)]
        ours = after.points[inside(after.points, box)]
        assert len(theirs) == 20
        np.testing.assert_array_equal(ours[np.argsort(ours[:, 3])], theirs)
    np.testing.assert_array_equal(after.boxes[:6, :6], before.boxes[:, :6])


def test_the_room_of_a_pasted_object_is_cleared_of_the_points_that_were_there():
    other = scene(seed=5, label=1, start=4.5)
    box = other.boxes[0]
    cos, sin = math.cos(box[6]), math.sin(box[6])
    beside = [box[4] / 2 + CLEARED / 2, box[4] / 2 + CLEARED * 2]  # within the margin, and beyond it
    ground = np.array([[*box[:3], 1000], *([box[0] - sin * d, box[1] + cos * d, box[2], 2000 + d] for d in beside)])
    before = scene(label=0)
    before = Scene(
        np.concatenate([before.points, ground.astype(np.float32)]), before.boxes, before.labels, before.ignore, None
    )
    one = Scene(other.points, other.boxes[:1], other.labels[:1], other.ignore[:1], None)
    after = change(before, {1: 1}, lambda: one)
    assert len(after.boxes) == 7
    assert set(after.points[after.points[:, 3] >= 1000, 3].tolist()) == {np.float32(2000 + beside[1])}


def test_an_object_is_not_pasted_onto_another_one():
    before, other = scene(label=0), scene(label=1)
    assert len(change(before, {1: 6}, lambda: other).boxes) == 6, "all of its places are taken"
    shifted = scene(label=1, start=4.5)
    after = change(before, {1: 6}, lambda: shifted)
    assert len(after.boxes) > 6
    twice = change(before, {1: 60}, lambda: shifted)
    assert len(twice.boxes) == len(after.boxes), "nor onto itself from the next source"


@pytest.mark.parametrize("reason", ["ignored", "few points", "another class"])
def test_objects_that_are_not_worth_pasting(reason):
    points = PASTE_POINTS - 1 if reason == "few points" else 20
    other = scene(seed=5, label=2 if reason == "another class" else 1, start=4.5, points=points)
    if reason == "ignored":
        other.ignore[:] = True
    assert len(change(scene(), {1: 3}, lambda: other).boxes) == 6


def test_no_more_sources_are_read_than_needed_or_allowed():
    reads = []

    def source():
        reads.append(1)
        return scene(seed=5, label=1, start=4.5)

    change(scene(), {1: 1}, source)
    assert len(reads) == 1
    reads.clear()
    change(scene(), {7: 1}, source)
    assert len(reads) == PASTE_SOURCES
    reads.clear()
    change(scene(), {}, source)
    assert reads == []


@pytest.mark.parametrize(("here", "there"), [(True, True), (True, False), (False, True), (False, False)])
def test_velocities_of_pasted_objects(here, there):
    other = scene(seed=5, label=1, start=4.5, velocities=there)
    after = change(scene(velocities=here), {1: 1}, lambda: other)
    assert len(after.boxes) == 7
    if not here:
        assert after.velocities is None
    elif there:
        assert after.velocities[6].tolist() in other.velocities.tolist()
    else:
        assert np.isnan(after.velocities[6]).all()


def test_an_empty_scene():
    nothing = scene(count=0)
    empty = Scene(nothing.points[:0], nothing.boxes, nothing.labels, nothing.ignore, None)
    after = change(empty, dropout=0.5, **MOTIONS["all"])
    assert (after.points.shape, after.boxes.shape) == ((0, 4), (0, 7))
    pasted = change(empty, {1: 2}, lambda: scene(seed=5, label=1))
    assert len(pasted.boxes) == 2
    assert len(pasted.points) == 40
