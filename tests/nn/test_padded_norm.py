"""Batch norm of rows that stand for many is that of the many."""

import copy

import pytest
import torch
from torch import nn

from limbeck.nn.padded_norm import padded_norm_relu

ROWS, PADDING, CHANNELS = 11, 4, 3
TIMES = torch.tensor([3, 0, 1, 7])


@pytest.fixture
def norm():
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(CHANNELS, eps=1e-3, momentum=0.3).double()
    nn.init.normal_(norm.weight, 1, 0.5)
    nn.init.normal_(norm.bias, 0, 0.5)
    return norm


def drawn():
    generator = torch.Generator().manual_seed(1)
    sides = (torch.randn(count, CHANNELS, generator=generator, dtype=torch.float64) for count in (ROWS, PADDING))
    return [side.requires_grad_() for side in sides]


def the_long_way(norm, rows, padding):
    """Every copy of the padding is there; of each padding the first copy's result, where there is one."""
    whole = norm(torch.cat([rows, padding.repeat_interleave(TIMES, dim=0)])).relu()
    first = ROWS + TIMES.cumsum(0) - TIMES
    return whole[:ROWS], whole[first[TIMES > 0]]


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
def test_it_is_the_batch_norm_of_all_copies(train, norm):
    found = []
    for net, short in ((norm, True), (copy.deepcopy(norm), False)):
        sides = drawn()
        net.train(train)
        rows, padding = padded_norm_relu(net, *sides, TIMES) if short else the_long_way(net, *sides)
        padding = padding[TIMES > 0] if short else padding
        loss = sum((side * torch.linspace(-1, 2, side.numel()).view_as(side)).sum() for side in (rows, padding))
        loss.backward()
        parameters = [parameter.grad for parameter in net.parameters()]
        found.append([rows, padding, *(side.grad for side in sides), *parameters, *net.buffers()])
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected)


def test_gradients_are_the_numerical_ones(norm):
    assert torch.autograd.gradcheck(lambda rows, padding: padded_norm_relu(norm, rows, padding, TIMES), drawn())


def test_nothing_at_all_stays_finite(norm):
    none = torch.zeros(0, CHANNELS, dtype=torch.float64, requires_grad=True)
    rows, padding = padded_norm_relu(norm, none, none, torch.zeros(0, dtype=torch.int64))
    (rows.sum() + padding.sum()).backward()
    assert rows.shape == padding.shape == none.shape
    assert all(torch.isfinite(parameter.grad).all() for parameter in norm.parameters())
    assert all(torch.isfinite(buffer).all() for buffer in norm.buffers())
