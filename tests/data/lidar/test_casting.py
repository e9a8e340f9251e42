"""What is nearest is met: every ray against every solid, without the short cuts."""

import math

import numpy as np
import pytest

from limbeck.data.lidar.casting import GROUND, Rays, cast
from limbeck.data.lidar.config import LidarSceneConfig
from limbeck.data.lidar.ground import Ground
from limbeck.data.lidar.layout import Street, draw_street
from limbeck.data.lidar.roads import Lane, Roads
from limbeck.data.lidar.solids import Solid
from limbeck.data.shapes import Shape

COARSE = LidarSceneConfig(rings=12, azimuth_step=1.5)
ROADS = Roads(0.0, (Lane(0.0, 1),), (-3.0, 3.0), (0.0, 0.0), (2.0, 2.0), None)
FLAT = Ground(ROADS, 1.8, (0.0, 0.0), (), 0.0, (0.1, 0.3, 0.5))


def all_against_all(street, rays, reach):
    directions = rays.directions()
    ranges, _ = street.ground.met(rays.azimuths, rays.elevations, reach)
    number = np.full(ranges.shape, GROUND)
    for index, solid in enumerate(street.solids):
        found = solid.hit(directions)
        number = np.where(found < ranges, index, number)
        ranges = np.minimum(found, ranges)
    return ranges, number


@pytest.mark.parametrize("seed", range(4))
def test_the_nearest_of_all_solids_is_met(seed):
    street = draw_street(np.random.default_rng(seed), COARSE)
    rays = Rays.of(COARSE, phase=0.3)
    hits = cast(street, rays, 60.0)
    ranges, number = all_against_all(street, rays, 60.0)
    assert np.array_equal(hits.solid, number)
    assert np.array_equal(hits.ranges, ranges)
    assert len(np.unique(number)) > 15


def test_the_cosine_is_that_of_what_is_met():
    street = draw_street(np.random.default_rng(1), COARSE)
    rays = Rays.of(COARSE)
    hits = cast(street, rays, 60.0)
    directions = rays.directions()
    for index in np.unique(hits.solid[hits.solid != GROUND]):
        where = hits.solid == index
        expected = street.solids[index].incidence(directions[:, where], hits.ranges[where])
        assert hits.cosines[where] == pytest.approx(expected)
    assert hits.cosines.min() >= 0
    assert hits.cosines.max() <= 1


@pytest.mark.parametrize(
    "centre",
    [(-10.0, 0.0, 0.0), (-10.0, 2.0, 0.0), (-10.0, -1.9, 0.0), (0.0, 0.0, 3.0), (0.4, 0.3, -1.0), (3.0, 0.0, -3.0)],
    ids=["right behind", "behind, left", "behind, right", "above", "beneath", "deep"],
)
def test_a_box_is_met_wherever_it_is(centre):
    street = Street(FLAT, (Solid(Shape((1.0, 2.0, 0.5)), centre, 0.2, 0.5),), ())
    config = LidarSceneConfig(rings=40, azimuth_step=1.0)
    rays = Rays(Rays.of(config).azimuths, np.radians(np.linspace(-80, 80, 60)))
    hits = cast(street, rays, 60.0)
    ranges, number = all_against_all(street, rays, 60.0)
    assert np.array_equal(hits.ranges, ranges)
    assert np.array_equal(hits.solid, number)
    assert ((number == 0).sum() > 20) == (centre[2] > -2)


def test_rays_are_of_length_1_and_go_once_around():
    rays = Rays.of(LidarSceneConfig(rings=8, azimuth_step=0.7), phase=0.25)
    directions = rays.directions()
    assert directions.shape == (3, 514, 8), "rounded so that it goes in"
    assert np.linalg.norm(directions, axis=0) == pytest.approx(np.ones((514, 8)))
    steps = np.diff([*rays.azimuths, rays.azimuths[0] + 2 * math.pi])
    assert steps == pytest.approx(np.full(514, 2 * math.pi / 514))
    assert np.degrees(rays.elevations[[0, -1]]) == pytest.approx([-25, 3])
    assert np.degrees(rays.azimuths[0]) == pytest.approx(-180 + 0.25 * 360 / 514)


def test_a_front_sector_is_half_to_the_left_and_half_to_the_right():
    azimuths = np.degrees(Rays.of(LidarSceneConfig(field_of_view=90.0, azimuth_step=0.5)).azimuths)
    assert len(azimuths) == 180
    assert azimuths == pytest.approx(-azimuths[::-1])
    assert azimuths[-1] == pytest.approx(44.75)


def test_a_street_of_nothing_but_ground():
    hits = cast(Street(FLAT, (), ()), Rays.of(COARSE), 60.0)
    assert (hits.solid == GROUND).all()
    assert np.isfinite(hits.ranges).any()
