"""The two ways to pillars give the same to the last bit; `test_pillars` holds one of them against a slow loop."""

import pytest
import torch

from limbeck.ops.pillars import PillarGrid, group_points

GRID = PillarGrid((-4.0, -3.0, -1.0, 4.0, 3.0, 2.0), (0.5, 0.25))


def sorted_in_torch(points, counts, max_points):
    """What a graphics card does: float64 points take that way, too, and float32 numbers are exact in float64."""
    return group_points(points.double(), counts, GRID, max_points)


@pytest.mark.parametrize("max_points", [None, 1, 3, 20])
@pytest.mark.parametrize("counts", [(500,), (200, 0, 300), (0,), (1, 1)])
def test_both_ways_give_the_same(max_points, counts):
    generator = torch.Generator().manual_seed(len(counts))
    points = torch.randn(sum(counts), 5, generator=generator) * 2
    points = (points * 8).round() / 8  # many points lie on a border, where the arithmetic of both is exact
    fast, slow = (way(points, torch.tensor(counts), max_points) for way in (_fast, sorted_in_torch))
    for name in ("pillar", "counts", "cells"):
        assert torch.equal(getattr(fast, name), getattr(slow, name))
    assert torch.equal(fast.points, slow.points.float())


def _fast(points, counts, max_points):
    return group_points(points, counts, GRID, max_points)


def test_points_that_are_not_finite_are_left_out():
    points = torch.tensor(
        [[0.1, 0.1, 0.0], [torch.nan, 0, 0], [0, torch.inf, 0], [0, 0, torch.nan], [-torch.inf, 0, 0]]
    )
    assert len(group_points(points, torch.tensor([5]), GRID).points) == 1
