import math

import numpy as np
import pytest
from shapely.geometry import Polygon

from limbeck.data.lidar import clutter, road_users
from limbeck.data.lidar.config import LidarSceneConfig, RoadUser
from limbeck.data.lidar.ground import Ground
from limbeck.data.lidar.plan import GAP_M, Plan, Rectangle, overlap
from limbeck.data.lidar.roads import Roads
from limbeck.data.lidar.solids import NOBODY, around, part

CRATE = [part(around(0.5, 1.0), around(0.0, 0.5), (0.0, 2.0), 0.5)]


def empty(**settings):
    rng = np.random.default_rng(0)
    roads = Roads.draw(rng)
    return Plan(rng, LidarSceneConfig(**settings), roads, Ground.draw(rng, roads))


def test_two_rectangles_overlap_as_polygons_do():
    generator = np.random.default_rng(0)
    found = []
    for _ in range(500):
        pair = [
            Rectangle(*generator.uniform(-2, 2, 2), *generator.uniform(0.1, 2, 2), generator.uniform(-4, 4))
            for _ in "ab"
        ]
        polygons = [Polygon(rectangle.corners()).convex_hull for rectangle in pair]
        found.append(overlap(*pair))
        assert found[-1] == polygons[0].intersects(polygons[1])
        assert found[-1] == overlap(*pair[::-1])
    assert 100 < sum(found) < 400


def test_a_place_is_taken_once():
    plan = empty()
    assert not plan.stand(CRATE, (0.0, 0.0), 0.0), "the car with the LiDAR is there"
    assert plan.stand(CRATE, (10.0, 0.0), 0.0)
    assert not plan.add(RoadUser.CAR, CRATE, (10.0, 0.9), 0.0, 0.0)
    assert not plan.add(RoadUser.CAR, CRATE, (10.0, 1.0 + 0.5 * GAP_M), 0.0, 0.0), "too near"
    assert plan.add(RoadUser.CAR, CRATE, (10.0, 1.0 + 1.5 * GAP_M), 0.0, 0.0)
    assert (len(plan.solids), len(plan.objects)) == (2, 1)
    assert [solid.owner for solid in plan.solids] == [NOBODY, 0]


def test_the_box_of_an_object_is_around_its_parts_wherever_their_origin_is():
    plan = empty()
    assert plan.add(RoadUser.CAR, CRATE, (10.0, 5.0), math.pi / 2 - math.tau, 3.0)
    label, box, velocity = plan.objects[0]
    assert label == RoadUser.CAR
    assert box == pytest.approx((10.0, 5.5, plan.ground.foot(10.0, 5.0)[2] + 1.0, 2.0, 1.0, 2.0, math.pi / 2))
    assert velocity == pytest.approx((0.0, 3.0))


def test_a_crown_may_be_over_a_car():
    plan = empty()
    tree = clutter.tree(plan.rng)
    assert plan.stand(tree, (10.0, 0.0), 0.0)
    beside = 1.0 + 0.25 + 2 * GAP_M
    assert plan.add(RoadUser.CAR, road_users.car(plan.rng), (10.0, beside), 0.0, 0.0)


def test_an_object_is_all_in_the_range_and_in_the_field_of_view():
    plan = empty(max_range=30.0, field_of_view=90.0)
    for place in ((31.0, 0.0), (29.0, 0.0), (-10.0, 0.0), (10.0, 10.0), (10.0, -9.8), (0.0, 20.0)):
        assert not plan.add(RoadUser.CAR, CRATE, place, 0.0, 0.0)
    assert plan.add(RoadUser.CAR, CRATE, (10.0, 8.0), 0.0, 0.0)
    assert empty(max_range=30.0).add(RoadUser.CAR, CRATE, (-28.0, 0.0), 0.0, 0.0), "of a full circle"
