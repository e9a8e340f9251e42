"""itKD's attention between the channels of a head."""

import math

import pytest
import torch
from torch import nn

from limbeck.losses.interchange import fused_difference
from limbeck.nn.head_attention import HeadAttention, attend

SIZES = (2, 2, 1, 3, 2)
B, M, C = 2, 6, sum(SIZES)


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.fixture
def attention():
    torch.manual_seed(0)
    return HeadAttention(SIZES).double()


def slow_attend(rows):
    """One sample, (M,C): each new channel is a mixture of all channels, weighted by their likeness."""
    places, channels = rows.shape
    mixed = torch.zeros_like(rows)
    for query in range(channels):
        likeness = [(rows[:, key] * rows[:, query]).sum().item() / math.sqrt(places) for key in range(channels)]
        weights = [math.exp(value) for value in likeness]
        for key in range(channels):
            mixed[:, query] += rows[:, key] * weights[key] / sum(weights)
    return mixed


def test_attention_against_a_loop():
    values = drawn(B, M, C)
    torch.testing.assert_close(attend(values), torch.stack([slow_attend(rows) for rows in values]))


def test_the_weights_of_the_channels_add_up_to_one():
    """A place where all channels hold 1 holds 1 afterwards, whatever the others say."""
    values = drawn(B, M, C)
    values[:, 2] = 1
    torch.testing.assert_close(attend(values)[:, 2], torch.ones(B, C, dtype=torch.float64))


def test_a_branch_of_one_channel_returns_itself():
    values = drawn(B, M, 1)
    assert attend(values) is values
    torch.testing.assert_close(slow_attend(values[0]), values[0])


def test_the_fusion_is_over_all_channels_and_over_those_of_each_branch(attention):
    values = drawn(B, M, C)
    parts = [attend(values), *(attend(branch) for branch in values.split(SIZES, dim=2))]
    stacked = torch.cat(parts, dim=2)
    expected = stacked @ attention.fusion.weight[..., 0].T + attention.fusion.bias
    found = attention(values)
    assert found.shape == (B, C, M)
    torch.testing.assert_close(found, expected.transpose(1, 2))


def test_the_fusion_is_all_that_is_trained(attention):
    assert [type(module) for module in attention.children()] == [nn.Conv1d]
    assert sum(parameter.numel() for parameter in attention.parameters()) == 2 * C * C + C


def loss(attention, mine, its, count=4.0):
    return fused_difference(attention(mine), attention(its), torch.tensor(count))


def test_equal_heads_give_zero(attention):
    values = drawn(B, M, C)
    assert loss(attention, values, values.clone()).item() == 0
    assert loss(attention, values, drawn(B, M, C, seed=1)).item() > 0


def test_the_order_of_the_objects_does_not_matter(attention):
    mine, its = drawn(B, M, C), drawn(B, M, C, seed=1)
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    torch.testing.assert_close(loss(attention, mine[:, order], its[:, order]), loss(attention, mine, its))
    torch.testing.assert_close(attention(mine[:, order]), attention(mine)[..., order])


def test_places_without_an_object_have_no_influence_on_the_others(attention):
    """Beyond their number, which scales the likeness: they hold 0 in both and cancel."""
    mine, its = drawn(B, M, C), drawn(B, M, C, seed=1)
    for side in (mine, its):
        side[:, 4:] = 0
    difference = attention(mine) - attention(its)
    assert not difference[..., 4:].any()
    for side in (mine, its):
        shuffled = side[:, [4, 0, 1, 5, 2, 3]]
        torch.testing.assert_close(attention(shuffled)[..., [1, 2, 4, 5]], attention(side)[..., :4])


def test_the_number_of_places_scales_the_likeness():
    values = drawn(B, M, C)
    more = torch.cat([values, torch.zeros(B, 3 * M, C, dtype=torch.float64)], dim=1)
    likeness = values.transpose(1, 2) @ values / math.sqrt(4 * M)
    torch.testing.assert_close(attend(more)[:, :M], values @ likeness.softmax(dim=1))


def test_without_an_object_the_loss_is_zero(attention):
    nothing = torch.zeros(B, M, C, dtype=torch.float64)
    assert loss(attention, nothing, nothing, count=0.0).item() == 0


def test_gradients_are_the_numerical_ones(attention):
    its = attention(drawn(B, M, C, seed=1)).detach()
    mine = drawn(B, M, C).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: fused_difference(attention(x), its, torch.tensor(3.0)), (mine,))


def test_gradients_reach_the_student_and_the_fusion_and_never_the_teacher(attention):
    mine, its = drawn(B, M, C).requires_grad_(), drawn(B, M, C, seed=1)
    loss(attention, mine, its).backward()
    assert mine.grad.abs().sum() > 0
    assert attention.fusion.weight.grad.abs().sum() > 0
    assert its.grad is None


def test_large_values_stay_finite(attention):
    values = (1e3 * drawn(B, M, C)).requires_grad_()
    attention(values).sum().backward()
    assert values.grad.isfinite().all()
