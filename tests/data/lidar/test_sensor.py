import numpy as np
import pytest

from limbeck.data.lidar.casting import GROUND, Hits, Rays, cast
from limbeck.data.lidar.config import LidarSceneConfig
from limbeck.data.lidar.ground import Ground
from limbeck.data.lidar.layout import Street, draw_street
from limbeck.data.lidar.roads import Lane, Roads
from limbeck.data.lidar.sensor import GRAZING, measure
from limbeck.data.lidar.solids import Solid
from limbeck.data.shapes import Shape

ROADS = Roads(0.0, (Lane(0.0, 1),), (-3.0, 3.0), (0.0, 0.0), (2.0, 2.0), None)
FLAT = Ground(ROADS, 1.8, (0.0, 0.0), (), 0.0, (0.1, 0.3, 0.5))
WALL = Solid(Shape((1.0, 1.0, 1.0)), (10.0, 0.0, 0.0), 0.0, 0.6)


def all_at(distance, cosine, **settings):
    """The returns of rays that all meet a wall at one distance and angle, and how many rays there are."""
    config = LidarSceneConfig(**settings)
    rays = Rays.of(config)
    shape = (len(rays.azimuths), len(rays.elevations))
    hits = Hits(np.full(shape, distance), np.full(shape, cosine), np.zeros(shape, np.intp))
    return measure(np.random.default_rng(0), Street(FLAT, (WALL,), ()), rays, hits, config), shape[0] * shape[1]


def test_without_noise_and_dropout_every_hit_in_range_is_a_point():
    config = LidarSceneConfig(rings=16, azimuth_step=1.0, range_noise=0.0, dropout=0.0, max_range=40.0)
    street, rays = draw_street(np.random.default_rng(0), config), Rays.of(config)
    hits = cast(street, rays, 60.0)
    points, solid = measure(np.random.default_rng(0), street, rays, hits, config)
    met = hits.ranges <= 40.0
    assert np.abs(points[:, :3] - (rays.directions() * hits.ranges)[:, met].T).max() < 1e-5
    assert np.array_equal(solid, hits.solid[met])
    assert (hits.ranges[np.isfinite(hits.ranges)] > 40.0).any()
    azimuths = np.unwrap(np.arctan2(points[:, 1], points[:, 0]))
    assert (np.diff(azimuths) > -1e-4).all(), "in the order in which it turns"


def test_the_noise_is_along_the_ray_and_grows_to_twice_with_the_range():
    for distance, expected in ((15.0, 0.025), (60.0, 0.04)):
        (points, _), _ = all_at(distance, 1.0, range_noise=0.02, dropout=0.0)
        ranges = np.linalg.norm(points[:, :3], axis=1)
        assert ranges.mean() == pytest.approx(distance, abs=0.002)
        assert ranges.std() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("distance", "cosine", "lost"),
    [(60.0, 1.0, 0.1), (30.0, 1.0, 0.05), (30.0, 0.5, 0.1), (60.0, 0.0, 0.5), (1.0, 1.0, 0)],
)
def test_points_get_lost_with_the_range_and_the_angle(distance, cosine, lost):
    (points, _), count = all_at(distance, cosine, dropout=0.1)
    assert 1 - len(points) / count == pytest.approx(lost, abs=0.01)
    assert GRAZING == 4


def test_the_intensity_tells_of_the_material_and_the_angle():
    (facing, _), _ = all_at(20.0, 1.0)
    (grazing, _), _ = all_at(20.0, 0.0)
    assert facing[:, 3].mean() == pytest.approx(0.6, abs=0.01)
    assert grazing[:, 3].mean() == pytest.approx(0.18, abs=0.01)
    assert facing[:, 3].std() > 0.03
    assert min(facing[:, 3].min(), grazing[:, 3].min()) >= 0
    assert max(facing[:, 3].max(), grazing[:, 3].max()) <= 1


def test_the_road_is_darker_than_the_sidewalk():
    config = LidarSceneConfig(range_noise=0.0)
    street, rays = Street(FLAT, (), ()), Rays.of(config)
    points, solid = measure(np.random.default_rng(0), street, rays, cast(street, rays, 60.0), config)
    assert (solid == GROUND).all()
    near = np.hypot(points[:, 0], points[:, 1]) < 15
    across = np.abs(points[:, 1])
    assert 2 * points[near & (across < 3), 3].mean() < points[near & (across > 3.1), 3].mean()
