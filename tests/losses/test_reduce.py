"""Weighted averages."""

import pytest
import torch

from limbeck.losses.reduce import EPS32, weighted_mean


def test_value_by_hand() -> None:
    loss = weighted_mean(torch.tensor([1.0, 2, 4]), torch.tensor([1.0, 0, 0.5]), 2.0)
    assert loss.item() == pytest.approx(3 / (2 + EPS32))


def test_rows_of_weight_zero_get_no_gradient() -> None:
    rows = torch.ones(3, requires_grad=True)
    weighted_mean(rows, torch.tensor([1.0, 0, 1]), torch.tensor(2.0)).backward()
    assert rows.grad is not None
    assert rows.grad[1] == 0
    assert (rows.grad[[0, 2]] > 0).all()


def test_nothing_gives_zero_not_nan() -> None:
    rows = torch.zeros(0, requires_grad=True)
    loss = weighted_mean(rows, torch.zeros(0), 0.0)
    loss.backward()
    assert loss.item() == 0


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rows \(3,\), weights \(3, 1\)"):
        weighted_mean(torch.ones(3), torch.ones(3, 1), 1.0)
