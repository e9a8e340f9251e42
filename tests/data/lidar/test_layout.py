import math

import numpy as np
import pytest
import torch

from limbeck.data.lidar.config import LidarSceneConfig, RoadUser
from limbeck.data.lidar.layout import draw_street
from limbeck.data.lidar.roads import SIDES
from limbeck.data.lidar.solids import NOBODY
from limbeck.ops.boxes3d import bev_overlap, corners_bev, points_in_boxes


def street(seed, **settings):
    return draw_street(np.random.default_rng(seed), LidarSceneConfig(**settings))


def boxes(streets):
    return torch.tensor([one.box for street in streets for one in street.objects], dtype=torch.float64)


@pytest.fixture(scope="module")
def streets():
    return [street(seed) for seed in range(20)]


def test_no_two_objects_are_in_one_place(streets):
    for drawn in streets:
        found = boxes([drawn])
        assert (bev_overlap(found, found).fill_diagonal_(0) == 0).all()
        assert (bev_overlap(found, torch.tensor([[0.0, 0, 0, 5, 2, 2, 0]])) == 0).all(), "the car with the LiDAR"


def test_nothing_that_stands_about_reaches_into_an_object(streets):
    for drawn in streets:
        found = boxes([drawn])
        for solid in drawn.solids:
            if solid.owner == NOBODY and solid.centre[2] - solid.shape.half[2] < found[:, 2].min():
                seat = torch.tensor([[*solid.centre, *(2 * half for half in solid.shape.half), solid.yaw]])
                assert bev_overlap(found, seat.double()).max() == 0


def test_the_parts_of_an_object_fill_its_box_and_no_more(streets):
    for drawn in streets[:5]:
        for number, one in enumerate(drawn.objects):
            box = torch.tensor([one.box], dtype=torch.float64)
            tips = []
            for solid in drawn.solids:
                if solid.owner == number:
                    seat = [*solid.centre[:2], 0, *(2 * half for half in solid.shape.half), solid.yaw]
                    for height in (-1, 1):
                        z = solid.centre[2] + height * solid.shape.half[2]
                        ends = corners_bev(torch.tensor([seat], dtype=torch.float64))[0]
                        tips.append(torch.cat([ends, torch.full((4, 1), z, dtype=torch.float64)], dim=1))
            tips = torch.cat(tips)
            assert points_in_boxes(tips, box, margin=1e-6).all()
            for axis in (3, 4, 5):  # tight: a little shorter it would not hold all
                tighter = box.clone()
                tighter[0, axis] *= 0.999
                assert not points_in_boxes(tips, tighter).all()


def test_there_are_as_many_as_asked_for_where_there_is_room():
    for seed in range(10):
        drawn = street(seed, cars=(3, 4), pedestrians=(0, 0), cyclists=(2, 2))
        counts = [sum(one.label == label for one in drawn.objects) for label in RoadUser]
        assert counts[0] in (3, 4)
        assert counts[1:] == [0, 2]
    crowd = street(0, cars=(100, 100), max_range=20.0)
    assert 5 < sum(one.label == RoadUser.CAR for one in crowd.objects) < 100


def test_cars_go_along_the_lanes_and_some_across(streets):
    yaws = [one.box[6] for drawn in streets for one in drawn.objects if one.label == RoadUser.CAR]
    turns = np.abs(np.sin(yaws))
    assert 0.5 < (turns < 0.3).mean() < 0.95
    assert (turns > 0.9).mean() > 0.05
    ahead = np.cos(yaws)
    assert (ahead > 0.9).mean() > 0.2
    assert (ahead < -0.9).mean() > 0.1
    assert all(-math.pi <= yaw <= math.pi for yaw in yaws)


def test_the_street_that_crosses_is_free():
    def along(x, y):
        return math.cos(roads.yaw) * x + math.sin(roads.yaw) * y

    junctions = 0
    for seed in range(40):
        drawn = street(seed, clutter=1.0, cars=(30, 30))
        roads = drawn.ground.roads
        if roads.junction is None:
            continue
        junctions += 1
        for solid in drawn.solids:
            if solid.owner == NOBODY:
                is_house = solid.shape.half[2] > 2.5 and solid.shape.half[0] > 3
                margin = solid.shape.half[0] if is_house else 1.0
                assert not roads.crosses(along(*solid.centre[:2]), margin)
        for _, box, velocity in drawn.objects:
            across = math.cos(roads.yaw) * box[1] - math.sin(roads.yaw) * box[0]
            is_in_strip = any(side * across > side * roads.edge(side) - roads.strip(side) for side in SIDES)
            if is_in_strip and velocity == (0.0, 0.0) and box[3] > 3:
                assert not roads.crosses(along(*box[:2]), 2.0), "a car is parked there"
    assert junctions > 10


def test_what_moves_moves_where_it_faces(streets):
    speeds = {label: [] for label in RoadUser}
    for drawn in streets:
        for label, box, velocity in drawn.objects:
            speeds[label].append(math.hypot(*velocity))
            along = velocity[0] * math.cos(box[6]) + velocity[1] * math.sin(box[6])
            assert along == pytest.approx(speeds[label][-1])
    assert max(speeds[RoadUser.CAR]) > 10
    assert min(speeds[RoadUser.CAR]) == 0
    assert max(speeds[RoadUser.PEDESTRIAN]) <= 2
    assert min(speeds[RoadUser.CYCLIST]) >= 1


def test_without_clutter_there_are_houses_only_and_with_more_there_is_more():
    counts = []
    for clutter in (0.0, 0.3, 1.0):
        about = [[s for s in street(seed, clutter=clutter).solids if s.owner == NOBODY] for seed in range(5)]
        counts.append(sum(len(solids) for solids in about))
        if clutter == 0:
            assert all(solid.shape.half[2] > 2.5 for solids in about for solid in solids)
    assert counts[0] > 20
    assert counts[1] > 1.5 * counts[0]
    assert counts[2] > 1.5 * counts[1]


def test_a_front_sector_has_all_its_objects_ahead():
    found = boxes([street(seed, field_of_view=90.0, max_range=40.0) for seed in range(10)])
    corners = corners_bev(found)
    assert len(found) > 50
    assert torch.atan2(corners[..., 1], corners[..., 0]).abs().max() <= math.pi / 4 + 1e-9
    assert corners.norm(dim=-1).max() <= 40 + 1e-9
