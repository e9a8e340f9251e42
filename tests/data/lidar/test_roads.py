import math

import numpy as np
import pytest

from limbeck.data.lidar.roads import LANE_M, Junction, Lane, Roads

STREET = Roads(0.3, (Lane(0.0, 1), Lane(LANE_M, -1)), (-2.0, 5.0), (0.0, 0.0), (2.0, 3.0), Junction(20.0, 4.0))


def test_a_place_along_the_street_is_where_it_goes():
    x, y = STREET.to_lidar(10.0, 0.0)
    assert (math.hypot(x, y), math.atan2(y, x)) == pytest.approx((10.0, 0.3))
    left = STREET.to_lidar(0.0, 1.0)
    assert left == pytest.approx((-math.sin(0.3), math.cos(0.3))), "across is to the left"


@pytest.mark.parametrize(
    ("along", "across", "away"),
    [(0, 0, -2), (0, -2, 0), (0, 5, 0), (0, 8, 3), (-30, -7, 5), (20, 30, -4), (26, 30, 2), (26, 6, 1), (26, 4, -1)],
)
def test_beside_counts_from_the_nearest_edge_of_either_road(along, across, away):
    x, y = STREET.to_lidar(along, across)
    assert STREET.beside(np.array(x), np.array(y)) == pytest.approx(away)


def test_the_junction_is_where_the_other_street_is():
    assert STREET.crosses(17.0)
    assert not STREET.crosses(15.0)
    assert STREET.crosses(15.0, margin=2.0)
    assert not Roads(0.0, STREET.lanes, STREET.edges, STREET.strips, STREET.walks, None).crosses(17.0)


def test_the_lidar_drives_ahead_in_a_lane_that_has_room():
    drawn = [Roads.draw(np.random.default_rng(seed)) for seed in range(100)]
    for roads in drawn:
        assert Lane(0.0, 1) in roads.lanes
        directions = [lane.direction for lane in roads.lanes]
        assert directions == sorted(directions, reverse=True), "traffic is on the right"
        for side, lane in ((-1, roads.lanes[0]), (1, roads.lanes[-1])):
            assert side * (roads.edge(side) - lane.across) >= LANE_M / 2 + roads.strip(side)
    assert {len(roads.lanes) for roads in drawn} == {1, 2, 3, 4, 5}
    assert 20 < sum(roads.junction is not None for roads in drawn) < 80
    assert len({width for roads in drawn for width in roads.strips}) == 3
