"""Peaks on maps and codes of boxes, against plain loops and numbers worked out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.ops.centre import decode_boxes, draw_peaks, encode_boxes, gather_cells, gaussian_radius

EPS = torch.finfo(torch.float64).eps


def slow_radius(height, width, overlap):
    """The least of the three roots as the released code of CornerNet writes them, all divided by 2."""
    roots = []
    for a, b, c in (
        (1, height + width, width * height * (1 - overlap) / (1 + overlap)),
        (4, 2 * (height + width), (1 - overlap) * width * height),
        (4 * overlap, -2 * overlap * (height + width), (overlap - 1) * width * height),
    ):
        roots.append((b + math.sqrt(b * b - 4 * a * c)) / 2)
    return min(roots)


@given(st.floats(0.1, 100), st.floats(0.1, 100), st.floats(0.05, 0.95))
def test_the_radius_is_the_least_of_the_three_roots(height, width, overlap):
    sides = torch.tensor([height, width], dtype=torch.float64)
    assert gaussian_radius(*sides, overlap).item() == pytest.approx(slow_radius(height, width, overlap), rel=1e-9)


def test_the_radius_grows_with_the_box_and_does_not_ask_which_side_is_which():
    long, wide = torch.tensor([1.0, 4, 10, 20]), torch.tensor([1.0, 2, 5, 8])
    radii = gaussian_radius(long, wide)
    assert (radii.diff() > 0).all()
    torch.testing.assert_close(gaussian_radius(wide, long), radii)
    assert gaussian_radius(torch.zeros(0), torch.zeros(0)).shape == (0,)


def slow_peaks(shape, maps, cells_xy, radii):
    drawn = torch.zeros(shape, dtype=torch.float64).view(-1, *shape[-2:])
    height, width = shape[-2:]
    for number, (column, row), radius in zip(maps.tolist(), cells_xy.tolist(), radii.tolist(), strict=True):
        spread = (2 * radius + 1) / 6
        for y in range(max(row - radius, 0), min(row + radius + 1, height)):
            for x in range(max(column - radius, 0), min(column + radius + 1, width)):
                value = math.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * spread**2))
                if value >= EPS:
                    drawn[number, y, x] = max(drawn[number, y, x].item(), value)
    return drawn.view(shape)


@pytest.mark.parametrize("shape", [(9, 14), (3, 9, 14), (2, 3, 9, 14)])
def test_peaks_are_those_of_the_loop(shape):
    generator = torch.Generator().manual_seed(len(shape))
    count, height, width = 25, *shape[-2:]
    maps = torch.randint(0, math.prod(shape[:-2]), (count,), generator=generator)
    cells = torch.stack([torch.randint(0, side, (count,), generator=generator) for side in (width, height)], dim=1)
    radii = torch.randint(0, 6, (count,), generator=generator)
    found = draw_peaks(shape, maps, cells, radii)
    torch.testing.assert_close(found, slow_peaks(shape, maps, cells, radii), rtol=1e-12, atol=0)
    assert (found.view(-1, height, width)[maps, cells[:, 1], cells[:, 0]] == 1).all(), "a peak is exactly 1"


def test_a_peak_by_hand():
    found = draw_peaks((5, 7), torch.tensor([0]), torch.tensor([[3, 2]]), torch.tensor([1]))
    assert (found > 0).sum() == 9
    side, corner = math.exp(-2), math.exp(-4)  # the spread is half a cell
    expected = torch.tensor([[corner, side, corner], [side, 1, side], [corner, side, corner]], dtype=torch.float64)
    torch.testing.assert_close(found[1:4, 2:5], expected)


def test_a_peak_of_radius_0_is_one_cell_and_a_wide_one_is_cut_at_the_border():
    assert draw_peaks((4, 4), torch.tensor([0]), torch.tensor([[1, 2]]), torch.tensor([0])).nonzero().tolist() == [
        [2, 1]
    ]
    wide = draw_peaks((4, 5), torch.tensor([0]), torch.tensor([[0, 3]]), torch.tensor([40]))
    assert (wide > 0).all()
    assert (wide == 1).nonzero().tolist() == [[3, 0]]


def test_without_objects_nothing_is_drawn():
    none = torch.zeros(0, dtype=torch.int64)
    found = draw_peaks((2, 3, 4), none, torch.zeros(0, 2, dtype=torch.int64), none)
    assert found.shape == (2, 3, 4)
    assert not found.any()


def test_gathered_cells_are_counted_row_by_row():
    maps = torch.arange(2 * 3 * 4 * 5.0).view(2, 3, 4, 5)
    index = torch.tensor([[0, 7, 19], [5, 5, 0]])
    found = gather_cells(maps, index)
    assert found.shape == (2, 3, 3)
    for sample, place in ((0, 1), (0, 2), (1, 0), (1, 1)):
        row, column = divmod(index[sample, place].item(), 5)
        assert found[sample, place].tolist() == maps[sample, :, row, column].tolist()


CELL, CORNER, SIZE = (0.4, 0.8), (-3.0, -2.0), (20, 10)


def boxes_and_cells(count=200):
    """Boxes within the map and their centres in cells."""
    generator = torch.Generator().manual_seed(0)
    unit = torch.rand(count, 7, generator=generator, dtype=torch.float64)
    centres = unit[:, :2] * torch.tensor(SIZE)
    metres = centres * torch.tensor(CELL, dtype=torch.float64) + torch.tensor(CORNER, dtype=torch.float64)
    return torch.cat([metres, unit[:, 2:3] * 4 - 2, unit[:, 3:6] * 5 + 0.1, unit[:, 6:] * 20 - 10], dim=1), centres


def test_decoding_undoes_encoding():
    boxes, centres = boxes_and_cells()
    cells = centres.long()
    codes = encode_boxes(boxes, centres)
    assert codes.shape == (200, 8)
    assert codes[:, :2].min() >= 0
    assert codes[:, :2].max() < 1
    found = decode_boxes(codes, cells[:, 1] * SIZE[0] + cells[:, 0], SIZE[0], CELL, CORNER)
    torch.testing.assert_close(found[:, :6], boxes[:, :6])
    torch.testing.assert_close(found[:, 6].sin(), boxes[:, 6].sin())
    torch.testing.assert_close(found[:, 6].cos(), boxes[:, 6].cos())
    assert found[:, 6].abs().max() <= math.pi


def test_a_code_by_hand():
    box, centre = torch.tensor([[0.0, 0, 1.5, math.e, 1, math.e**2, math.pi / 6]]), torch.tensor([[3.25, 7.75]])
    expected = torch.tensor([[0.25, 0.75, 1.5, 1, 0, 2, 0.5, math.sqrt(3) / 2]])
    torch.testing.assert_close(encode_boxes(box, centre), expected)


def test_a_centre_just_before_the_map_belongs_to_the_first_cell():
    """Cells are cut towards zero, so its offset is negative, and decoding still gives the box."""
    box, centre = torch.tensor([[-3.1, -1.2, 0, 2, 2, 2, 0]]), torch.tensor([[-0.25, 1.0]])
    codes = encode_boxes(box, centre)
    assert codes[0, 0].item() == -0.25
    torch.testing.assert_close(decode_boxes(codes, torch.tensor([SIZE[0]]), SIZE[0], CELL, CORNER), box)


def test_codes_of_16_bits_are_decoded_in_32():
    boxes, centres = boxes_and_cells(10)
    codes, cells = encode_boxes(boxes, centres), centres.long()
    index = cells[:, 1] * SIZE[0] + cells[:, 0]
    found = decode_boxes(codes.bfloat16(), index, SIZE[0], CELL, CORNER)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, decode_boxes(codes.bfloat16().float(), index, SIZE[0], CELL, CORNER))


def test_decoding_keeps_leading_axes_and_works_on_none():
    boxes, centres = boxes_and_cells(12)
    codes, cells = encode_boxes(boxes, centres).view(3, 4, 8), (centres[:, 1].long() * 20 + centres[:, 0].long())
    found = decode_boxes(codes, cells.view(3, 4), SIZE[0], CELL, CORNER)
    assert found.shape == (3, 4, 7)
    assert decode_boxes(torch.zeros(0, 8), cells[:0], SIZE[0], CELL, CORNER).shape == (0, 7)
    assert encode_boxes(torch.zeros(0, 7), torch.zeros(0, 2)).shape == (0, 8)
