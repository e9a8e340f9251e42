"""The losses of itKD, against plain loops."""

import pytest
import torch

from limbeck.losses.centre import EPS
from limbeck.losses.interchange import fused_difference, mean_difference, object_difference

SHAPE = (40, 3)


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def some_cells():
    return (drawn(SHAPE[0], seed=5) > 0).double()


def slow_mean(a, b, weights=None):
    total = seen = 0.0
    for cell in range(SHAPE[0]):
        for channel in range(SHAPE[1]):
            weight = 1.0 if weights is None else weights[cell].item()
            total += weight * abs(a[cell, channel] - b[cell, channel]).item()
            seen += weight
    return total / seen


@pytest.mark.parametrize("weights", [None, some_cells(), some_cells() * 0.5 + 0.1])
def test_the_mean_difference_against_a_loop(weights):
    a, b = drawn(*SHAPE), drawn(*SHAPE, seed=1)
    assert mean_difference(a, b, weights).item() == pytest.approx(slow_mean(a, b, weights))


def test_with_all_cells_weighted_alike_it_is_the_plain_mean():
    a, b = drawn(*SHAPE), drawn(*SHAPE, seed=1)
    for weight in (1.0, 0.3):
        torch.testing.assert_close(
            mean_difference(a, b, torch.full(SHAPE[:1], weight, dtype=torch.float64)), mean_difference(a, b)
        )


def test_where_no_cell_counts_the_loss_is_zero_and_sends_no_gradient():
    a = drawn(*SHAPE).requires_grad_()
    loss = mean_difference(a, drawn(*SHAPE, seed=1), torch.zeros(SHAPE[0]))
    loss.backward()
    assert loss.item() == 0
    assert not a.grad.any()


def test_cells_that_do_not_count_have_no_influence():
    a, b, weights = drawn(*SHAPE), drawn(*SHAPE, seed=1), some_cells()
    torch.testing.assert_close(
        mean_difference(a + 9 * (1 - weights)[:, None], b, weights), mean_difference(a, b, weights)
    )


@pytest.mark.parametrize("over", ["slots", "objects"])
def test_the_difference_at_objects_against_a_loop(over):
    a, b, places = drawn(7, 3), drawn(7, 3, seed=1), 20
    total = sum((p - q) ** 2 for p, q in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True))
    expected = total / ((places if over == "slots" else 7) * 3)
    assert object_difference(a, b, places, over).item() == pytest.approx(expected)


@pytest.mark.parametrize("over", ["slots", "objects"])
def test_without_an_object_their_difference_is_zero(over):
    none = torch.zeros(0, 3, requires_grad=True)
    loss = object_difference(none, torch.zeros(0, 3), 20, over)
    loss.backward()
    assert loss.item() == 0


def test_the_fused_difference_against_a_loop():
    a, b, count = drawn(2, 5, 6), drawn(2, 5, 6, seed=1), torch.tensor(4.0)
    total = sum(abs(p - q) for p, q in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True))
    assert fused_difference(a, b, count).item() == pytest.approx(total / (4 + EPS))


def test_without_an_object_the_fused_difference_stays_finite():
    same = drawn(2, 5, 6)
    assert fused_difference(same, same.clone(), torch.tensor(0.0)).item() == 0
    assert fused_difference(same, same + 1e-3, torch.tensor(0.0)).isfinite()


LOSSES = {
    "cells": (SHAPE, mean_difference),
    "weighted cells": (SHAPE, lambda a, b: mean_difference(a, b, some_cells())),
    "objects": ((7, 3), lambda a, b: object_difference(a, b, 20)),
    "fused": ((2, 5, 6), lambda a, b: fused_difference(a, b, torch.tensor(3.0))),
}


@pytest.mark.parametrize("name", LOSSES)
def test_equal_inputs_give_zero_and_others_the_same_from_both_sides(name):
    shape, loss = LOSSES[name]
    a, b = drawn(*shape), drawn(*shape, seed=1)
    assert loss(a, a.clone()).item() == 0
    assert loss(a, b).item() > 0
    torch.testing.assert_close(loss(a, b), loss(b, a))


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_the_numerical_ones(name):
    shape, loss = LOSSES[name]
    assert torch.autograd.gradcheck(loss, (drawn(*shape).requires_grad_(), drawn(*shape, seed=1).requires_grad_()))


@pytest.mark.parametrize("name", LOSSES)
def test_16_bits_are_compared_in_32(name):
    shape, loss = LOSSES[name]
    a, b = drawn(*shape, dtype=torch.bfloat16), drawn(*shape, seed=1, dtype=torch.bfloat16)
    found = loss(a, b)
    assert found.dtype in (torch.float32, torch.float64)
    torch.testing.assert_close(found, loss(a.float(), b.float()))


@pytest.mark.parametrize("name", LOSSES)
def test_shapes_that_differ_are_told(name):
    shape, loss = LOSSES[name]
    with pytest.raises(ValueError, match="must have the same shape"):
        loss(drawn(*shape), drawn(shape[0], 1, *shape[2:]))
