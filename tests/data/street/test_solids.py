"""Rays against shapes: in closed form, and by walking along the ray in small steps."""

import numpy as np
import pytest

from limbeck.data.shapes import CURVED, Shape
from limbeck.data.street.config import Label
from limbeck.data.street.materials import Material
from limbeck.data.street.solids import Solid, turned

GREY = Material((0.5, 0.5, 0.5))
SHAPES = {
    "box": Shape((1.0, 0.5, 2.0)),
    "upright cylinder": Shape((0.7, 1.2, 0.4), curved=(0, 2)),
    "wheel": Shape((0.2, 0.8, 0.8), curved=(1, 2)),
    "disc": Shape((0.8, 0.6, 0.1), curved=(0, 1)),
    "ellipsoid": Shape((1.0, 0.6, 1.5), curved=(0, 1, 2)),
}


def is_inside(shape, points):
    """Whether points (3,...) lie in a shape, from what it is."""
    parts = [np.abs(points[axis] / shape.half[axis]) for axis in range(3)]
    inside = np.ones(points.shape[1:], bool)
    for axis in range(3):
        if axis not in shape.curved:
            inside &= parts[axis] <= 1
    return inside & (sum(parts[axis] ** 2 for axis in shape.curved) <= 1)


def solid_of(shape, centre=(0.3, -1.0, 6.0), yaw=0.7, **more):
    return Solid(shape, centre, Label.CAR, GREY, yaw, **more)


def rays(count, seed=0):
    """Directions (3,N) that pass near the solid, from the origin."""
    generator = np.random.default_rng(seed)
    return np.stack([generator.uniform(-0.5, 0.6, count), generator.uniform(-0.5, 0.2, count), np.ones(count)])


@pytest.mark.parametrize("name", SHAPES)
def test_a_ray_meets_a_shape_where_walking_along_it_does(name):
    shape, origin = SHAPES[name], np.array([0.4, -0.3, -5.0])
    directions, step = rays(300) * np.array([[1], [1], [1.5]]), 0.002
    enter, leave = shape.interval(origin, directions)
    steps = np.arange(0, 8, step)
    inside = is_inside(shape, origin[:, None, None] + directions[..., None] * steps)
    meets = inside.any(axis=1)
    assert 20 < meets.sum() < 280
    assert np.array_equal(enter + step < leave, meets) or np.abs((leave - enter)[(enter < leave) != meets]).max() < step
    first, last = steps[inside.argmax(axis=1)], steps[-1 - inside[:, ::-1].argmax(axis=1)]
    assert np.abs(first - enter)[meets].max() <= step
    assert np.abs(last - leave)[meets].max() <= step


@pytest.mark.parametrize("name", SHAPES)
def test_a_hit_lies_on_the_surface_and_its_normal_points_out(name):
    solid, directions = solid_of(SHAPES[name]), rays(2000)
    depth = solid.hit(np.zeros(3), directions)
    met = np.isfinite(depth)
    points = directions[:, met] * depth[met]
    normals, uv, face = solid.surface(points)
    assert met.sum() > 50
    assert np.abs(np.linalg.norm(normals, axis=0) - 1).max() < 1e-6
    assert (normals * directions[:, met]).sum(axis=0).max() < 1e-5, "what is seen looks at the camera"
    for distance, inside in ((1e-5, False), (-1e-5, True)):
        local = turned(points + distance * normals - np.array(solid.centre)[:, None], -solid.yaw)
        assert (is_inside(solid.shape, local) == inside).mean() > 0.999
    assert uv.shape == (2, met.sum())
    assert set(np.unique(face)) <= set(range(CURVED + 1))


def test_what_lies_behind_is_not_met():
    solid = solid_of(SHAPES["ellipsoid"], centre=(0.0, 0.0, -4.0))
    assert np.isinf(solid.hit(np.zeros(3), rays(200))).all()
    assert np.isfinite(solid.hit(np.zeros(3), -rays(200))).any()


def test_up_on_a_wall_counts_from_the_bottom_and_along_it_from_the_middle():
    wall = Solid(Shape((0.5, 2.0, 3.0)), (4.0, -2.0, 10.0), Label.BUILDING, GREY)
    points = np.array([[3.5, 3.5], [0.0, -4.0], [10.0, 12.0]])
    normals, uv, face = wall.surface(points)
    assert uv.tolist() == [[0.0, 2.0], [0.0, 4.0]]
    assert face.tolist() == [0, 0]
    assert normals[0].tolist() == [-1.0, -1.0]


def test_the_corners_lie_around_all_that_is_seen():
    solid = solid_of(SHAPES["box"], yaw=1.1)
    corners = solid.corners()
    assert corners.shape == (8, 3)
    directions = rays(2000)
    depth = solid.hit(np.zeros(3), directions)
    points = (directions * depth)[:, np.isfinite(depth)]
    assert (points.min(axis=1) >= corners.min(axis=0) - 1e-9).all()
    assert (points.max(axis=1) <= corners.max(axis=0) + 1e-9).all()
    diagonals = np.linalg.norm(corners - np.array(solid.centre), axis=1)
    assert np.abs(diagonals - np.linalg.norm(solid.shape.half)).max() < 1e-9


def test_a_dent_shows_its_far_side_from_within():
    dent = Solid(Shape((0.5, 0.1, 0.5), curved=(0, 1, 2)), (0.0, 0.0, 5.0), Label.POTHOLE, GREY, is_dent=True)
    origin = np.array([0.0, -1.5, 0.0])
    directions = np.array([[0.0], [1.5], [5.0]])
    depth = dent.far_side(origin, directions)
    points = origin[:, None] + depth * directions
    assert points[1, 0] == pytest.approx(0.1, abs=0.02), "nearly as deep as it is, just behind its middle"
    normals, _, _ = dent.surface(points)
    assert normals[1, 0] < -0.9, "its floor looks up"
