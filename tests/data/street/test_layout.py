import numpy as np
import pytest

from limbeck.data.street.config import Label, StreetConfig
from limbeck.data.street.layout import Plan, draw_street, draw_viewpoint


def street(seed, **settings):
    return draw_street(np.random.default_rng(seed), StreetConfig(**settings))


@pytest.mark.parametrize("seed", range(5))
def test_the_road_comes_first_then_its_dents_then_all_else(seed):
    solids = street(seed)
    assert solids[0].label == Label.ROAD
    dents = [solid.is_dent for solid in solids[1:]]
    assert dents == sorted(dents, reverse=True)
    assert {solid.label for solid in solids if solid.is_dent} <= {Label.POTHOLE}
    assert Label.SKY not in {solid.label for solid in solids}


def test_the_car_with_the_camera_has_its_place():
    for seed in range(20):
        for solid in street(seed)[1:]:
            low, high = solid.corners().min(axis=0), solid.corners().max(axis=0)
            overlaps = low[0] < 0.9 and high[0] > -0.9 and low[2] < 2 and high[2] > -2 and low[1] < -0.3
            assert not overlaps or low[1] < -2, f"seed {seed}: {solid.label.name} stands in the camera's car"


def test_a_place_is_taken_once():
    plan = Plan.draw(np.random.default_rng(0), ambiguity=0.5)
    assert not plan.take(0.0, 0.0, 0.1, 0.1), "the camera is there"
    assert plan.take(0.0, 20.0, 1.0, 2.0)
    assert not plan.take(1.5, 21.0, 1.0, 2.0)
    assert plan.take(2.5, 20.0, 1.0, 2.0)


def test_without_ambiguity_the_sidewalk_is_lighter_and_nothing_is_painted_flat():
    def brightness(solid):
        return sum(solid.material.colour)

    def difference(seed, ambiguity):
        solids = street(seed, ambiguity=ambiguity)
        walks = [solid for solid in solids if solid.label == Label.SIDEWALK and solid.shape.half[2] > 100]
        assert len(walks) == 2
        return brightness(walks[0]) - brightness(solids[0])

    assert min(difference(seed, 0.0) for seed in range(20)) > 0.5
    assert min(difference(seed, 1.0) for seed in range(20)) < 0
    houses = [solid for seed in range(5) for solid in street(seed, ambiguity=0.0) if solid.label == Label.BUILDING]
    assert {len(house.decals) for house in houses} == {2}, "windows, and lit ones"
    houses = [solid for seed in range(5) for solid in street(seed, ambiguity=1.0) if solid.label == Label.BUILDING]
    assert max(len(house.decals) for house in houses) > 10


def test_the_camera_is_held_nearly_level_at_the_height_of_eyes_in_a_car():
    config = StreetConfig()
    views = [draw_viewpoint(np.random.default_rng(seed), config) for seed in range(50)]
    assert all(1.39 < -view.position[1] < 1.61 for view in views)
    assert all(abs(view.pitch) < 0.1 and abs(view.roll) < 0.1 and abs(view.yaw) < 0.3 for view in views)
    assert len({view.yaw for view in views}) == 50
