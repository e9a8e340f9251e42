"""Priors and the flat order of locations."""

import pytest
import torch

from limbeck.ops.boxes2d import area, centres
from limbeck.ops.pyramid import PriorGrid, flatten_levels, spread_levels, sum_by_level


def test_priors_of_two_levels_by_hand() -> None:
    boxes = PriorGrid((8, 16), scales=(2.0,)).boxes_xyxy([(1, 2), (1, 1)])
    assert boxes.tolist() == [[-8, -8, 8, 8], [0, -8, 16, 8], [-16, -16, 16, 16]]


def test_offset_moves_the_priors_within_their_cell() -> None:
    boxes = PriorGrid((8, 16), scales=(2.0,), offset=0.5).boxes_xyxy([(1, 2), (1, 1)])
    assert boxes.tolist() == [[-4, -4, 12, 12], [4, -4, 20, 12], [-8, -8, 24, 24]]
    assert PriorGrid((8,), offset=0.5) != PriorGrid((8,))


def test_ratio_is_height_over_width_at_equal_area() -> None:
    boxes = PriorGrid((8,), scales=(4.0,), ratios=(0.25, 1.0, 4.0)).boxes_xyxy([(1, 1)], dtype=torch.float64)
    size = boxes[:, 2:] - boxes[:, :2]
    torch.testing.assert_close(size[:, 1] / size[:, 0], torch.tensor([0.25, 1.0, 4.0], dtype=torch.float64))
    torch.testing.assert_close(area(boxes), torch.full((3,), 1024.0, dtype=torch.float64))


def test_flat_order_is_level_row_column_anchor() -> None:
    grid = PriorGrid((8, 16), scales=(1.0, 2.0), ratios=(0.5, 1.0))
    assert grid.per_cell == 4
    points = centres(grid.boxes_xyxy([(2, 3), (1, 2)]))
    cells = [(x * 8, y * 8) for y in range(2) for x in range(3)] + [(x * 16, 0) for x in range(2)]
    expected = torch.tensor([cell for cell in cells for _ in range(4)], dtype=torch.float32)
    torch.testing.assert_close(points, expected)


def test_flattened_maps_follow_the_priors() -> None:
    """A map that holds the number of each location flattens to 0, 1, 2, ... in the order of the priors."""
    per_cell, sizes, start, maps = 3, [(2, 3), (1, 2)], 0, []
    for height, width in sizes:
        number = torch.arange(height * width * per_cell).reshape(height, width, per_cell) + start
        channels = torch.stack([number, number + 1000], dim=-1).flatten(2)
        maps.append(channels.permute(2, 0, 1)[None])
        start += height * width * per_cell
    flat = flatten_levels(maps, per_cell)
    assert flat[0, :, 0].tolist() == list(range(start))
    assert flat[0, :, 1].tolist() == list(range(1000, 1000 + start))


def test_sum_by_level_adds_images_and_locations() -> None:
    rows = torch.tensor([[1.0, 2, 3], [10, 20, 30]])
    assert sum_by_level(rows, (2, 1)).tolist() == [33.0, 33.0]


def test_spread_levels() -> None:
    assert spread_levels(torch.tensor([8.0, 16.0]), (3, 1)).tolist() == [8, 8, 8, 16]


def test_levels_and_strides_must_match() -> None:
    with pytest.raises(ValueError, match="zip"):
        PriorGrid((8, 16)).boxes_xyxy([(1, 1)])
