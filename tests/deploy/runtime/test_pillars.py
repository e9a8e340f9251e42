"""Sorting without torch gives the points, order, counts and cells of PyTorch's sorting, to the last bit."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.deploy.runtime.pillars import Grid, group_points
from limbeck.ops.pillars import PillarGrid
from limbeck.ops.pillars import group_points as group_in_torch

KITTI = ((0.0, -39.68, -3.0, 69.12, 39.68, 1.0), (0.16, 0.16))
NUSCENES = ((-51.2, -51.2, -5.0, 51.2, 51.2, 3.0), (0.2, 0.2))
COARSE = ((-4.0, -3.0, -1.0, 4.0, 3.3, 1.3), (0.8, 0.9))


def check_same(points, range_xyz, pillar_xy, max_points):
    found = group_points(points, Grid(range_xyz, pillar_xy, max_points))
    grid = PillarGrid(range_xyz, pillar_xy)
    expected = group_in_torch(torch.from_numpy(points), torch.tensor([len(points)]), grid, max_points)
    for name in ("points", "pillar", "counts", "cells"):
        ours, theirs = getattr(found, name), getattr(expected, name).numpy()
        assert ours.dtype == theirs.dtype, name
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    return found


def cloud(range_xyz, count, seed=0):
    """Points in and around a range, every other one on a border of pillars or next to it."""
    random = np.random.default_rng(seed)
    low, high = np.reshape(np.array(range_xyz), (2, 3))
    points = random.uniform(low - 0.1 * (high - low), high + 0.1 * (high - low), (count, 3))
    return np.concatenate([points, random.random((count, 2))], axis=1).astype(np.float32)


def onto_borders(points, range_xyz, pillar_xy):
    """Move points to the nearest border of pillars as float32 holds it, or one number above or below it."""
    moved = points.copy()
    for axis in (0, 1):
        corner, size = range_xyz[axis], pillar_xy[axis]
        border = (corner + np.round((points[:, axis] - corner) / size) * size).astype(np.float32)
        ways = np.arange(len(points)) % 3
        for way, towards in enumerate((border, np.float32(np.inf), np.float32(-np.inf))):
            moved[ways == way, axis] = np.nextafter(border, towards)[ways == way]
    moved[::7, 2] = np.float32(range_xyz[2])
    moved[3::7, 2] = np.float32(range_xyz[5])
    return moved


@pytest.mark.parametrize("grid", [KITTI, NUSCENES, COARSE])
@pytest.mark.parametrize("max_points", [1, 5, 1000])
@pytest.mark.parametrize("count", [0, 1, 3000])
def test_random_points(grid, max_points, count):
    points = cloud(grid[0], count)
    found = check_same(points, *grid, max_points)
    if count > 1:
        assert 0 < len(found.points) < count
        assert found.counts.max() <= max_points


@pytest.mark.parametrize("grid", [KITTI, NUSCENES, COARSE])
def test_points_on_the_borders_of_pillars_and_of_the_range(grid):
    check_same(onto_borders(cloud(grid[0], 3000), *grid), *grid, 20)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(0.05, 3.0), st.floats(-100, 100))
def test_any_grid(seed, cells, size, corner):
    range_xyz = (corner, -corner, -1.0, corner + cells * size, -corner + cells * size, 1.0)
    points = cloud(range_xyz, 200, seed)
    check_same(points, range_xyz, (size, size), 4)
    check_same(onto_borders(points, range_xyz, (size, size)), range_xyz, (size, size), 4)


def test_the_first_points_of_a_full_pillar_are_kept_in_their_order():
    points = np.zeros((6, 4), np.float32)
    points[:, 3] = range(6)
    points[2, 0] = 1.0  # in another pillar
    found = group_points(points, Grid(*COARSE, max_points=3))
    assert found.points[:, 3].tolist() == [0, 1, 3, 2]
    assert found.counts.tolist() == [3, 1]
    assert found.pillar.tolist() == [0, 0, 0, 1]


def test_the_settings_of_a_bundle():
    settings = {"range": list(COARSE[0]), "pillar": list(COARSE[1]), "max_points": 20, "nms": "circle"}
    assert Grid.of(settings) == Grid(*COARSE, 20)
    assert Grid.of(settings).size_xy == (10, 7)
    for name, wrong, error in (("range", [1.0, 2.0], ValueError), ("pillar", 0.2, TypeError)):
        with pytest.raises(error):
            Grid.of(settings | {name: wrong})
