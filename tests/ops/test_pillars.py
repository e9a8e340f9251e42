"""Pillars against a slow loop with a dictionary, and what makes a grid impossible."""

import math
from collections import defaultdict

import pytest
import torch

from limbeck.errors import ConfigError
from limbeck.ops import pillars as module
from limbeck.ops.pillars import PillarGrid, group_points, scatter

GRID = PillarGrid((-4.0, -2.0, -1.0, 4.0, 6.0, 3.0), (0.5, 1.0))
NX, NY = 16, 8


def cloud(counts, seed=0, reach=7.0):
    """Points of some samples, some of them outside, and their numbers."""
    generator = torch.Generator().manual_seed(seed)
    points = (torch.rand(sum(counts), 5, generator=generator) * 2 - 1) * reach
    points[:, 2] /= 2
    return points, torch.tensor(counts)


def slow_groups(points, counts, grid, max_points):
    """Points by cell, in the order of the cells."""
    x0, y0, z0, _, _, z1 = grid.range_xyz
    nx, ny = grid.size_xy
    found, place = defaultdict(list), 0
    for sample, count in enumerate(counts.tolist()):
        for point in points[place : place + count].tolist():
            column = math.floor((point[0] - x0) / grid.pillar_xy[0])
            row = math.floor((point[1] - y0) / grid.pillar_xy[1])
            if 0 <= column < nx and 0 <= row < ny and z0 <= point[2] < z1:
                of_cell = found[(sample * ny + row) * nx + column]
                if max_points is None or len(of_cell) < max_points:
                    of_cell.append(point)
        place += count
    return dict(sorted(found.items()))


@pytest.mark.parametrize("max_points", [None, 1, 3, 100])
@pytest.mark.parametrize("counts", [[600], [200, 350, 50], [100, 0, 80], [0, 5], [5, 0]])
def test_groups_are_those_of_the_loop(counts, max_points):
    points, numbers = cloud(counts)
    found = group_points(points, numbers, GRID, max_points)
    expected = slow_groups(points, numbers, GRID, max_points)
    assert found.cells.tolist() == list(expected)
    assert found.counts.tolist() == [len(of_cell) for of_cell in expected.values()]
    assert found.points.tolist() == [point for of_cell in expected.values() for point in of_cell]
    assert found.pillar.tolist() == [place for place, of_cell in enumerate(expected.values()) for _ in of_cell]
    assert len(found.points) < len(points), "some points are outside"
    assert {side.dtype for side in (found.pillar, found.counts, found.cells)} == {torch.int64}


def test_the_first_points_of_a_pillar_are_kept_in_their_order():
    points = torch.tensor([[0.1, 0.1, 0, 1], [3, 3, 0, 2], [0.2, 0.2, 0, 3], [0.3, 0.3, 0, 4], [0.1, 0.2, 0, 5]])
    found = group_points(points, torch.tensor([5]), GRID, 2)
    assert found.points[:, 3].tolist() == [1, 3, 2]
    assert found.counts.tolist() == [2, 1]
    assert found.pillar.tolist() == [0, 0, 1]


@pytest.mark.parametrize(("axis", "low", "high"), [(0, -4.0, 4.0), (1, -2.0, 6.0), (2, -1.0, 3.0)])
def test_the_lower_border_belongs_to_the_grid_and_the_upper_one_does_not(axis, low, high):
    points = torch.zeros(4, 3)
    points[:, axis] = torch.tensor([low, low - 1e-3, high, high - 1e-3])
    found = group_points(points, torch.tensor([4]), GRID)
    assert sorted(found.points[:, axis].tolist()) == pytest.approx([low, high - 1e-3])


def test_a_point_on_the_line_between_two_pillars_is_in_the_further_one():
    points = torch.tensor([[-3.5, -1.0, 0], [-3.5001, -1.0001, 0]])
    assert group_points(points, torch.tensor([2]), GRID).cells.tolist() == [0, NX + 1]


def test_every_point_lies_in_the_cell_it_is_put_into():
    points, counts = cloud([2000, 1000], seed=1)
    found = group_points(points, counts, GRID)
    cells = found.cells[found.pillar] % (NX * NY)
    corner = torch.stack([cells % NX * 0.5 - 4, cells // NX - 2.0], dim=1)
    within = (found.points[:, :2] - corner) / torch.tensor([0.5, 1.0])
    assert within.min() > -1e-5
    assert within.max() < 1 + 1e-5


@pytest.mark.parametrize("counts", [[0], [0, 0], [3], [2, 3]])
def test_without_a_point_inside_there_is_no_pillar(counts):
    points, numbers = torch.full((sum(counts), 4), 99.0), torch.tensor(counts)
    found = group_points(points, numbers, GRID, 20)
    assert (found.points.shape, found.pillar.shape) == ((0, 4), (0,))
    assert (found.counts.tolist(), found.cells.tolist()) == ([], [])
    assert scatter(torch.zeros(0, 3), found.cells, len(counts), GRID.size_xy).shape == (len(counts), 3, NY, NX)


def test_infinite_and_undefined_points_are_left_out():
    points = torch.tensor([[math.nan, 0, 0], [0, math.inf, 0], [0, 0, math.nan], [1e30, 0, 0], [0.1, 0.1, 0]])
    found = group_points(points, torch.tensor([5]), GRID)
    assert found.points.tolist() == points[4:].tolist()


def test_samples_do_not_mix_and_are_grouped_as_if_alone():
    points, counts = cloud([300, 400])
    both = group_points(points, counts, GRID, 4)
    alone = [group_points(part, torch.tensor([len(part)]), GRID, 4) for part in points.split(counts.tolist())]
    torch.testing.assert_close(both.points, torch.cat([part.points for part in alone]))
    cells = torch.cat([part.cells + number * NX * NY for number, part in enumerate(alone)])
    assert both.cells.tolist() == cells.tolist()


def test_scatter_puts_each_pillar_into_its_cell():
    features, cells = torch.tensor([[1.0, 10], [2, 20], [3, 30]]), torch.tensor([0, NX + 2, NX * NY + 5])
    canvas = scatter(features, cells, 2, (NX, NY))
    assert canvas.shape == (2, 2, NY, NX)
    assert canvas[0, :, 0, 0].tolist() == [1, 10]
    assert canvas[0, :, 1, 2].tolist() == [2, 20]
    assert canvas[1, :, 0, 5].tolist() == [3, 30]
    assert canvas.sum() == features.sum()


def test_gradients_go_back_to_the_points():
    points, counts = cloud([30, 20])
    points = points.double().requires_grad_()
    found = group_points(points, counts, GRID)
    scatter(found.points, torch.arange(len(found.points)), 2, GRID.size_xy).sum().backward()
    inside = (points[:, None].detach() == found.points[None].detach()).all(dim=2).any(dim=1)
    assert points.grad[:, 0].tolist() == inside.double().tolist()


def test_a_grid_is_a_whole_number_of_pillars_up_to_rounding():
    assert PillarGrid((-51.2, -51.2, -5, 51.2, 51.2, 3), (0.2, 0.2)).size_xy == (512, 512)
    assert PillarGrid((0, -39.68, -3, 69.12, 39.68, 1), (0.16, 0.16)).size_xy == (432, 496)
    assert PillarGrid((-74.88, -74.88, -2, 74.88, 74.88, 4), (0.32, 0.32)).size_xy == (468, 468)


@pytest.mark.parametrize(
    ("area", "pillar", "words"),
    [
        ((4, 0, 0, -4, 8, 1), (1, 1), ["range: x goes from 4 to -4"]),
        ((0, 0, 0, 0, 8, 0), (1, 1), ["range: x goes from 0 to 0", "range: z goes from 0 to 0"]),
        ((0, 0, 0, 8, 8, 1), (0.3, 1), ["range: x from 0 to 8 is no whole number of pillars of 0.3 m"]),
        ((0, 0, 0, 8, 8, 1), (1, 0), ["range: y from 0 to 8 is no whole number of pillars of 0 m"]),
        ((0, 0, 0, 8, 8, 1), (-1, 1), ["range: x from 0 to 8 is no whole number of pillars of -1 m"]),
        ((0, 0, 0, 8, 8, 1), (20, 1), ["range: x from 0 to 8 is no whole number of pillars of 20 m"]),
        ((0, 0, 0, 8192, 4096, 1), (1, 1), ["range: 8192 x 4096 pillars are more than 16777216"]),
        ((math.nan, 0, 0, 8, 8, 1), (1, 1), ["range: x goes from nan to 8"]),
    ],
)
def test_a_grid_that_cannot_be(area, pillar, words):
    with pytest.raises(ConfigError) as error:
        PillarGrid(area, pillar)
    assert list(error.value.problems) == words


def test_a_batch_with_more_cells_than_numbers(monkeypatch):
    monkeypatch.setattr(module, "MAX_BATCH_CELLS", 3 * NX * NY)
    points, counts = cloud([10, 10, 10])
    assert len(group_points(points, counts, GRID).points) > 0
    points, counts = cloud([10, 10, 10, 10])
    with pytest.raises(ConfigError, match="4 grids of 16 x 8 pillars are more than 384 cells"):
        group_points(points, counts, GRID)
