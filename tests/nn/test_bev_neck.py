"""The network over the map seen from above: sizes, order of the ways, and what the layers are."""

import pytest
import torch
from torch import nn

from limbeck.nn.bev_neck import BevNeck


def neck(strides=(1, 2, 2), up_strides=(1, 2, 4), depths=(1, 2, 0), channels=4, **settings):
    torch.manual_seed(0)
    return BevNeck(channels, depths, strides, (3, 5, 6), up_strides, (2, 3, 4), **settings)


@pytest.mark.parametrize(
    ("strides", "up_strides", "size"),
    [((1, 2, 2), (1, 2, 4), (16, 24)), ((2, 2, 2), (1, 2, 4), (8, 12)), ((2, 2, 2), (0.5, 1, 2), (4, 6))],
    ids=["as fine as the input", "half", "a quarter"],
)
def test_all_ways_end_at_one_size(strides, up_strides, size):
    found = neck(strides, up_strides)(torch.rand(2, 4, 16, 24))
    assert found.shape == (2, 2 + 3 + 4, *size)


def test_the_ways_stand_in_the_order_of_the_blocks():
    net, x = neck().eval(), torch.rand(1, 4, 16, 16)
    first = net.blocks[0](x)
    second = net.blocks[1](first)
    expected = torch.cat([net.ways[0](first), net.ways[1](second), net.ways[2](net.blocks[2](second))], dim=1)
    torch.testing.assert_close(net(x), expected)


def test_a_block_is_a_strided_convolution_and_as_many_more_as_it_is_deep():
    net = neck()
    assert [len(block) for block in net.blocks] == [2, 3, 1]
    convolutions = [module for module in net.blocks.modules() if isinstance(module, nn.Conv2d)]
    assert [convolution.stride[0] for convolution in convolutions] == [1, 1, 2, 1, 1, 2]
    assert {convolution.kernel_size for convolution in convolutions} == {(3, 3)}
    assert not any(convolution.bias is not None for convolution in convolutions)


def test_parameter_count():
    blocks = 9 * (4 * 3 + 3 * 3) + 9 * (3 * 5 + 2 * 5 * 5) + 9 * 5 * 6
    ways = 3 * 2 * 1 + 5 * 3 * 4 + 6 * 4 * 16
    norms = 2 * (2 * 3 + 3 * 5 + 6 + 2 + 3 + 4)
    assert sum(parameter.numel() for parameter in neck().parameters()) == blocks + ways + norms


def test_the_norms_are_those_of_the_released_code_unless_another_momentum_is_asked_for():
    for settings, momentum in (({}, 0.01), ({"momentum": 0.1}, 0.1)):
        norms = [module for module in neck(**settings).modules() if isinstance(module, nn.BatchNorm2d)]
        assert len(norms) == 9
        assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, momentum)}


def test_gradients_reach_all_parameters():
    net = neck()
    net(torch.rand(2, 4, 16, 16)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.parameters())


def test_lists_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="zip"):
        BevNeck(4, (1, 1), (1, 2, 2), (3, 5, 6), (1, 2, 4), (2, 3, 4))
