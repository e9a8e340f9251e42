import numpy as np
import pytest

from limbeck.deploy.runtime.pillars import Grid, group_points
from limbeck.deploy.runtime.typical_cloud import typical_cloud

RANGES = [(-40.96, -40.96, -3.0, 40.96, 40.96, 3.0), (0.0, -39.68, -3.0, 69.12, 39.68, 1.0)]


@pytest.mark.parametrize("range_xyz", RANGES)
@pytest.mark.parametrize("count", [0, 1, 31, 20_000])
def test_all_points_are_in_the_range(range_xyz, count):
    points = typical_cloud(count, 5, range_xyz)
    assert points.shape == (count, 5)
    assert points.dtype == np.float32
    low, high = np.reshape(np.array(range_xyz), (2, 3))
    assert ((points[:, :3] >= low) & (points[:, :3] < high)).all()


def test_pillars_are_filled_as_those_of_a_lidar_are():
    found = group_points(typical_cloud(20_000, 4, RANGES[0]), Grid(RANGES[0], (0.32, 0.32), 20))
    assert 2_500 < len(found.counts) < 5_000, "simulated scenes have 3,300 to 4,600"
    assert 15_000 < len(found.points) < 20_000
    assert found.counts.max() == 20


def test_it_is_the_same_every_time():
    np.testing.assert_array_equal(typical_cloud(100, 4, RANGES[0]), typical_cloud(100, 4, RANGES[0]))
