import math

import numpy as np
import pytest

from limbeck.data.lidar.solids import CROSSWISE, ROUND, UPRIGHT, Solid, around, extent, part, placed, turned
from limbeck.data.shapes import Shape

AHEAD = np.array([[1.0], [0.0], [0.0]])


def rays(count, spread=0.4, seed=0):
    """Directions (3,N) that pass near what is ahead."""
    generator = np.random.default_rng(seed)
    vectors = np.stack([np.ones(count), *generator.uniform(-spread, spread, (2, count))])
    return vectors / np.linalg.norm(vectors, axis=0)


def test_turning_is_counter_clockwise_seen_from_above():
    assert turned(AHEAD, math.pi / 2)[:, 0] == pytest.approx([0, 1, 0])
    up = np.array([[0.0], [0.0], [1.0]])
    assert turned(up, 1.0)[:, 0] == pytest.approx([0, 0, 1])


@pytest.mark.parametrize("curved", [(), UPRIGHT, CROSSWISE, ROUND])
def test_a_hit_lies_on_the_surface_and_its_incidence_is_that_of_the_normal(curved):
    solid = Solid(Shape((1.5, 0.7, 1.0), curved), (8.0, 0.5, -0.2), yaw=0.6, reflectance=0.5)
    directions = rays(3000)
    ranges = solid.hit(directions)
    met = np.isfinite(ranges)
    assert 200 < met.sum() < 2900
    points = directions[:, met] * ranges[met]
    local = turned(points - np.array(solid.centre)[:, None], -solid.yaw) / np.array(solid.shape.half)[:, None]
    flat = [np.abs(local[axis]) for axis in range(3) if axis not in curved]
    around_curve = np.sqrt(sum(local[axis] ** 2 for axis in curved)) if curved else np.zeros(met.sum())
    assert np.abs(np.max([*flat, around_curve], axis=0) - 1).max() < 1e-9
    step = 1e-4  # beside each ray is another one; the surface between their hits is square to the normal
    beside = np.cross(directions[:, met].T, [0, 0, 1.0]).T
    higher = np.cross(beside.T, directions[:, met].T).T
    tangents = []
    for way in (beside, higher):
        moved = directions[:, met] + step * way
        moved /= np.linalg.norm(moved, axis=0)
        tangents.append(moved * solid.hit(moved) - points)
    normals = np.cross(*tangents, axis=0)
    cosines = np.abs((normals * directions[:, met]).sum(axis=0)) / np.linalg.norm(normals, axis=0)
    assert np.nanquantile(np.abs(cosines - solid.incidence(directions[:, met], ranges[met])), 0.97) < 1e-2


def test_what_lies_behind_is_not_met():
    solid = Solid(Shape((1.0, 1.0, 1.0)), (-6.0, 0.0, 0.0), 0.0, 0.5)
    assert np.isinf(solid.hit(rays(100))).all()
    assert solid.hit(-AHEAD)[0] == pytest.approx(5)


def test_a_thing_is_turned_and_moved_as_a_whole():
    parts = [part((1.0, 3.0), around(0.5, 0.5), (0.0, 1.0), 0.4), part((-2.0, 0.0), (0.0, 1.0), (1.0, 2.0), 0.6, ROUND)]
    assert extent(parts) == ((-2.0, 3.0), (0.0, 1.0), (0.0, 2.0))
    box, ball = placed(parts, (10.0, 5.0, -1.8), math.pi / 2, owner=7)
    assert box.centre == pytest.approx((9.5, 7.0, -1.3))
    assert ball.centre == pytest.approx((9.5, 4.0, -0.3))
    assert (box.shape.half, ball.shape.curved) == ((1.0, 0.5, 0.5), ROUND)
    assert {(solid.yaw, solid.owner) for solid in (box, ball)} == {(math.pi / 2, 7)}
