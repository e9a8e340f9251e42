import math

import numpy as np
import pytest

from limbeck.data.lidar.ground import SENSOR_HEIGHT_M, Ground, Wave
from limbeck.data.lidar.roads import Lane, Roads

ROADS = Roads(0.0, (Lane(0.0, 1),), (-3.0, 3.0), (0.0, 0.0), (2.0, 2.0), None)
FLAT = Ground(ROADS, 1.8, (0.0, 0.0), (), 0.0, (0.1, 0.3, 0.5))


def drawn(seed):
    rng = np.random.default_rng(seed)
    return Ground.draw(rng, Roads.draw(rng))


def test_a_flat_ground_is_met_where_the_angle_says():
    elevations = np.radians([-25.0, -10.0, -2.0, -1.0, 0.0, 3.0])
    ranges, cosines = FLAT.met(np.radians([-170.0, 0.0, 30.0]), elevations, reach=60.0)
    assert np.isinf(ranges[:, 3:]).all(), "beyond the reach, and above the horizon"
    assert ranges[:, :3] == pytest.approx(np.tile(1.8 / np.sin(-elevations[:3]), (3, 1)))
    assert cosines[:, :3] == pytest.approx(np.tile(np.sin(-elevations[:3]), (3, 1)))


@pytest.mark.parametrize("seed", range(4))
def test_a_ray_meets_the_ground_where_walking_along_it_does(seed):
    ground = drawn(seed)
    azimuths, elevations = np.linspace(-3, 3, 60), np.radians(np.linspace(-25, 0, 14))
    ranges, _ = ground.met(azimuths, elevations, reach=60.0)
    away = np.arange(1, 60, 0.02)
    heights = ground.height(np.cos(azimuths)[:, None] * away, np.sin(azimuths)[:, None] * away)
    for ring, elevation in enumerate(elevations):
        is_under = heights >= away * math.tan(elevation)
        met = is_under.any(axis=1)
        assert (np.isfinite(ranges[:, ring]) == met).mean() > 0.95
        both = met & np.isfinite(ranges[:, ring])
        first = away[is_under.argmax(axis=1)] / math.cos(elevation)
        tolerance = 0.02 + 0.02 / max(math.sin(-elevation), 0.01)  # what 2 cm of height are along the ray
        assert both.sum() * 0.9 <= (np.abs(ranges[:, ring] - first) < tolerance)[both].sum()


def test_what_is_behind_a_crest_is_hidden():
    hill = Ground(ROADS, 1.8, (0.0, 0.0), (Wave(0.5, 2 * math.pi / 40, 0.0, -math.pi / 2),), 0.0, (0.1, 0.3, 0.5))
    assert hill.height(np.array(20.0), np.array(0.0)) == pytest.approx(-0.8)
    assert hill.height(np.array(40.0), np.array(0.0)) == pytest.approx(-1.8)
    ranges, _ = hill.met(np.zeros(1), np.radians(np.linspace(-25, 0, 400)), reach=60.0)
    met = ranges[np.isfinite(ranges)]
    assert not ((met > 26) & (met < 42)).any(), "the hollow behind it"
    assert (met > 42).any()


def test_the_ground_under_the_lidar_is_about_as_far_below_as_said_and_nearly_level():
    for seed in range(30):
        ground = drawn(seed)
        assert ground.height(np.array(0.0), np.array(0.0)) == pytest.approx(-ground.depth)
        assert abs(ground.depth - SENSOR_HEIGHT_M) < 0.11
        x, y = np.random.default_rng(seed).uniform(-60, 60, (2, 500))
        assert np.abs(ground.height(x, y) + ground.depth).max() < 4.5
        assert ground.foot(x[0], y[0]) == pytest.approx((x[0], y[0], ground.height(x, y)[0]))


def test_sidewalks_are_higher_and_of_another_surface():
    ground = Ground(ROADS, 1.8, (0.0, 0.0), (), 0.15, (0.1, 0.3, 0.5))
    across = np.array([0.0, 2.9, 4.0, 7.0])
    assert ground.height(np.zeros(4), across) == pytest.approx([-1.8, -1.8, -1.65, -1.65])
    assert ground.reflectance(np.zeros(4), across).tolist() == [0.1, 0.1, 0.3, 0.5]
