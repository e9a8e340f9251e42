import pytest
import torch
from torch import nn
from torch.nn import functional

from limbeck.nn.necks import FPN, HKN, MlpFPN, conv3x3


def maps(*channels, side=32):
    return [torch.randn(2, c, side >> level, side >> level) for level, c in enumerate(channels)]


def test_every_level_has_the_width_and_half_the_size_of_the_one_before():
    levels = FPN((8, 12, 20), 16, extra_levels=2)(maps(8, 12, 20))
    assert [tuple(level.shape) for level in levels] == [(2, 16, side, side) for side in (32, 16, 8, 4, 2)]


def test_a_size_that_does_not_halve_evenly_is_met():
    odd = [torch.randn(1, 8, 25, 13), torch.randn(1, 8, 13, 7)]
    assert [tuple(level.shape[2:]) for level in FPN((8, 8), 4)(odd)] == [(25, 13), (13, 7)]


def test_each_level_is_its_own_map_plus_all_coarser_ones():
    neck, (fine, middle, coarse) = FPN((3, 4, 5), 6), maps(3, 4, 5, side=16)
    side = [lateral(m) for lateral, m in zip(neck.laterals, (fine, middle, coarse), strict=True)]
    expected = side[0] + functional.interpolate(side[1] + functional.interpolate(side[2], size=8), size=16)
    levels = neck([fine, middle, coarse])
    assert torch.allclose(levels[0], neck.outputs[0](expected), atol=1e-5)
    assert torch.allclose(levels[2], neck.outputs[2](side[2]), atol=1e-5)


def test_the_wrong_number_of_maps_is_refused():
    with pytest.raises(ValueError, match="zip"):
        FPN((8, 8), 4)(maps(8))


def test_depthwise_convolutions_are_a_ninth_of_the_cost():
    def weights(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    plain, light = conv3x3(64, 64), conv3x3(64, 64, depthwise=True)
    assert weights(light) == 9 * 64 + 64 * 64 + 64
    assert weights(light) < weights(plain) / 7
    images = torch.randn(1, 64, 8, 8)
    assert plain(images).shape == light(images).shape
    assert conv3x3(64, 32, stride=2, depthwise=True)(images).shape == (1, 32, 4, 4)
    assert weights(FPN((8, 8), 16, 1, depthwise=True)) < weights(FPN((8, 8), 16, 1))


def test_the_gradient_is_right_where_the_coarsest_map_is_a_single_cell():
    torch.manual_seed(0)
    fpn, maps = FPN((8,), 32, extra_levels=3), [torch.randn(2, 8, 2, 2)]
    wanted = gradient_of_extras(fpn, maps)
    for _ in range(10):  # the uninitialised memory of the plain convolution is not always wrong
        with torch.autocast("cpu", torch.bfloat16):
            found = gradient_of_extras(fpn, maps)
        assert torch.allclose(found, wanted, rtol=0.1, atol=0.05 * wanted.abs().max().item())


def gradient_of_extras(fpn, maps):
    parameters = [extra.weight for extra in fpn.extras]
    total = sum(level.float().square().sum() for level in fpn(maps))
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(total, parameters)])


def test_the_knowledge_neck_attends_to_its_laterals_and_adds_levels():
    neck, (fine, coarse) = HKN((3, 4), 16, extra_levels=1).eval(), maps(3, 4, side=16)
    top = neck.attentions[1](neck.laterals[1](coarse))
    expected = neck.attentions[0](neck.laterals[0](fine)) + functional.interpolate(top, size=16)
    levels = neck([fine, coarse])
    assert torch.allclose(levels[0], neck.outputs[0](expected), atol=1e-5)
    assert torch.equal(levels[2], neck.extras[0](levels[1]))
    assert [tuple(level.shape[2:]) for level in levels] == [(16, 16), (8, 8), (4, 4)]


def test_the_pointwise_pyramid_mixes_no_cells_and_keeps_every_second_one():
    neck, (fine, coarse) = MlpFPN((3, 4), 6, extra_levels=1), maps(3, 4, side=16)
    levels = neck([fine, coarse])
    assert torch.equal(levels[2], levels[1][:, :, ::2, ::2])
    changed = fine.clone()
    changed[:, :, 5, 5] += 1
    moved = (neck([changed, coarse])[0] != levels[0]).any(dim=1).nonzero()
    assert moved.tolist() == [[0, 5, 5], [1, 5, 5]]


def test_the_released_pyramid_has_a_ring_of_biases():
    neck = MlpFPN((3, 4), 6, padding=1)
    level = neck(maps(3, 4, side=16))[0]
    assert level.shape[2:] == (18, 18)
    assert torch.equal(level[0, :, 0, 3], neck.outputs[0].bias)
