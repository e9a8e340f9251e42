"""Supervised detection losses against plain loops over rows and classes."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from limbeck.losses.detection import centerness, distribution_focal_rows, focal_rows, quality_focal_rows

K = 4


def _logits(*shape: int, scale: float = 2.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * scale


LOGITS = _logits(6, K)
LABELS = torch.tensor([0, 3, K, 1, K, 2])
QUALITY = torch.tensor([0.9, 0.2, 0.7, 0.0, 0.0, 1.0], dtype=torch.float64)


def _sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def _slow_focal(alpha: float, gamma: float) -> list[float]:
    rows = []
    for row, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True):
        total = 0.0
        for j, z in enumerate(row):
            p = _sigmoid(z) if j == label else 1 - _sigmoid(z)
            total -= (alpha if j == label else 1 - alpha) * (1 - p) ** gamma * math.log(p)
        rows.append(total)
    return rows


def _slow_quality_focal(beta: float) -> list[float]:
    rows = []
    for row, label, quality in zip(LOGITS.tolist(), LABELS.tolist(), QUALITY.tolist(), strict=True):
        total = 0.0
        for j, z in enumerate(row):
            p, y = _sigmoid(z), quality if j == label else 0.0
            total -= abs(y - p) ** beta * (y * math.log(p) + (1 - y) * math.log(1 - p))
        rows.append(total)
    return rows


def _focal(logits: Tensor) -> Tensor:
    return focal_rows(logits, LABELS)


def _quality_focal(logits: Tensor) -> Tensor:
    return quality_focal_rows(logits, LABELS, QUALITY)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.6, 1.0), (0.5, 1.5)])
def test_focal_equals_slow_loop(alpha: float, gamma: float) -> None:
    expected = torch.tensor(_slow_focal(alpha, gamma), dtype=torch.float64)
    torch.testing.assert_close(focal_rows(LOGITS, LABELS, alpha, gamma), expected)


@pytest.mark.parametrize("beta", [1.0, 1.5, 2.0])
def test_quality_focal_equals_slow_loop(beta: float) -> None:
    expected = torch.tensor(_slow_quality_focal(beta), dtype=torch.float64)
    torch.testing.assert_close(quality_focal_rows(LOGITS, LABELS, QUALITY, beta), expected)


def test_distribution_focal_equals_slow_loop() -> None:
    logits, targets, rows = _logits(5, 9), [0.0, 0.25, 3.5, 6.999, 7.9], []
    for row, target in zip(logits.log_softmax(1).tolist(), targets, strict=True):
        left = int(target)
        rows.append(-(left + 1 - target) * row[left] - (target - left) * row[left + 1])
    value = distribution_focal_rows(logits, torch.tensor(targets, dtype=torch.float64))
    torch.testing.assert_close(value, torch.tensor(rows, dtype=torch.float64))


def test_centerness_by_hand() -> None:
    box = torch.tensor([[0.0, 0, 8, 4]])
    points = torch.tensor([[4.0, 2], [2, 2], [2, 1], [0, 2], [4, 4], [-1, 2], [9, 9]])
    expected = [1, math.sqrt(2 / 6), math.sqrt(2 / 6 * 1 / 3), 0, 0, 0, 0]  # middle, inside, on two sides, outside
    torch.testing.assert_close(centerness(points, box.expand(7, 4)), torch.tensor(expected))


def test_centerness_equals_slow_loop() -> None:
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(50, 2, generator=generator, dtype=torch.float64) * 4
    boxes = torch.tensor([[0.5, 1, 3, 3.5]], dtype=torch.float64).expand(50, 4)
    rows = []
    for x, y in points.tolist():
        left, top, right, bottom = x - 0.5, y - 1, 3 - x, 3.5 - y
        inside = min(left, top, right, bottom) > 0
        share = min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom)
        rows.append(math.sqrt(share) if inside else 0.0)
    assert 0 < sum(row > 0 for row in rows) < 50
    torch.testing.assert_close(centerness(points, boxes), torch.tensor(rows, dtype=torch.float64))


def test_centerness_of_an_empty_box_and_of_none_and_in_16_bit() -> None:
    point = torch.tensor([[1.0, 1]])
    assert centerness(point, torch.tensor([[1.0, 1, 1, 1]])).tolist() == [0]
    assert centerness(point[:0], torch.zeros(0, 4)).shape == (0,)
    assert centerness(point.bfloat16(), torch.tensor([[0.0, 0, 2, 2]]).bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("loss", [_focal, _quality_focal])
def test_gradient(loss: Callable[[Tensor], Tensor]) -> None:
    assert torch.autograd.gradcheck(loss, (LOGITS.clone().requires_grad_(),))


def test_gradient_of_distribution_focal() -> None:
    target = torch.tensor([0.25, 3.5, 7.9], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: distribution_focal_rows(z, target), (_logits(3, 9).requires_grad_(),))


def test_negative_labels_are_background() -> None:
    background, negative = torch.full((6,), K), torch.full((6,), -1)
    torch.testing.assert_close(focal_rows(LOGITS, negative), focal_rows(LOGITS, background))


def test_quality_gets_no_gradient() -> None:
    quality = QUALITY.clone().requires_grad_()
    quality_focal_rows(LOGITS.clone().requires_grad_(), LABELS, quality).sum().backward()
    assert quality.grad is None


def test_batch_dimensions_are_kept() -> None:
    batched = focal_rows(LOGITS.view(2, 3, K), LABELS.view(2, 3))
    torch.testing.assert_close(batched, focal_rows(LOGITS, LABELS).view(2, 3))


@pytest.mark.parametrize("loss", [_focal, _quality_focal])
def test_16_bit_logits_give_finite_float32(loss: Callable[[Tensor], Tensor]) -> None:
    logits = (LOGITS * 50).bfloat16().requires_grad_()
    rows = loss(logits)
    rows.sum().backward()
    assert rows.dtype == torch.float32
    assert logits.grad is not None
    assert logits.grad.dtype == torch.bfloat16
    assert torch.isfinite(rows).all()
    assert torch.isfinite(logits.grad).all()


def test_no_rows() -> None:
    labels = torch.zeros(0, dtype=torch.int64)
    assert focal_rows(torch.zeros(0, K), labels).shape == (0,)
    assert quality_focal_rows(torch.zeros(0, K), labels, torch.zeros(0)).shape == (0,)
    assert distribution_focal_rows(torch.zeros(0, 4, 9), torch.zeros(0, 4)).shape == (0, 4)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"labels \(5,\) .* \(6, 4\)"):
        focal_rows(LOGITS, LABELS[:5])
    with pytest.raises(ValueError, match=r"quality \(1,\) .* \(6, 4\)"):
        quality_focal_rows(LOGITS, LABELS, QUALITY[:1])
    with pytest.raises(ValueError, match=r"target \(6, 4\) .* \(6, 4\)"):
        distribution_focal_rows(LOGITS, LOGITS)
    with pytest.raises(ValueError, match=r"points \(2,\) .* \(3, 4\)"):
        centerness(torch.zeros(2, 2), torch.zeros(3, 4))
    with pytest.raises(ValueError, match="must be positive, not 0"):
        focal_rows(LOGITS, LABELS, gamma=0)
