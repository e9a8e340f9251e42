import pytest
import torch

from limbeck.ops.axial_shift import COLUMNS, ROWS, _padded, axial_shift

SIZES = [(10, 5, 6, 7), (12, 5, 6, 7), (13, 5, 2, 1), (7, 3, 4, 4), (3, 5, 4, 4), (4, 1, 3, 3), (25, 5, 3, 4)]


def slow(maps, shift, axis):
    size = -(-maps.shape[1] // shift)
    moved = torch.zeros_like(maps)
    for channel in range(maps.shape[1]):
        distance = channel // size - shift // 2
        for cell in range(maps.shape[axis]):
            if 0 <= cell - distance < maps.shape[axis]:
                moved[:, channel].select(axis - 1, cell).copy_(maps[:, channel].select(axis - 1, cell - distance))
    return moved


@pytest.mark.parametrize(("channels", "shift", "rows", "columns"), SIZES)
@pytest.mark.parametrize("axis", [ROWS, COLUMNS])
def test_against_a_loop_and_its_gradient(channels, shift, rows, columns, axis):
    torch.manual_seed(0)
    maps = torch.randn(2, channels, rows, columns, dtype=torch.double, requires_grad=True)
    assert torch.equal(axial_shift(maps, shift, axis), slow(maps.detach(), shift, axis))
    assert torch.equal(_padded(maps, shift, axis), slow(maps.detach(), shift, axis))
    assert torch.autograd.gradcheck(lambda m: axial_shift(m, shift, axis), maps)


def test_any_memory_format_and_bfloat16():
    maps = torch.randn(2, 10, 4, 6).to(torch.bfloat16)
    last = maps.to(memory_format=torch.channels_last)
    assert torch.equal(axial_shift(maps, 5, ROWS), axial_shift(last, 5, ROWS))
    assert axial_shift(last, 5, COLUMNS).is_contiguous()
    some = torch.cat([maps, maps])[1:3]
    assert torch.equal(axial_shift(some, 5, ROWS)[1], axial_shift(maps, 5, ROWS)[0])
