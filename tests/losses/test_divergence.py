"""Distillation losses on dense outputs."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from limbeck.losses import modulated
from limbeck.losses.divergence import (
    binary_class_distillation,
    class_kl_rows,
    localisation_kl_rows,
)

RowLoss = Callable[..., Tensor]


def binary_class_distillation_rows(student: Tensor, teacher: Tensor, beta: float = 1.0) -> Tensor:
    return binary_class_distillation(student, teacher, beta)[0]


ROW_LOSSES: list[RowLoss] = [binary_class_distillation_rows, class_kl_rows, localisation_kl_rows]


def _pair(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, *shape, generator=generator, dtype=torch.float64) * 2
    return student, teacher


def _autograd_formula(student: Tensor, teacher: Tensor, beta: float) -> Tensor:
    score = teacher.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(student, score, reduction="none")
    return ((score - student.sigmoid()).abs().pow(beta) * entropy).sum(dim=-1)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_binary_class_distillation_equals_slow_loop(beta: float) -> None:
    student, teacher = _pair(5, 3)
    rows = []
    for s_row, t_row in zip(student.tolist(), teacher.tolist(), strict=True):
        total = 0.0
        for s, t in zip(s_row, t_row, strict=True):
            p, y = 1 / (1 + math.exp(-s)), 1 / (1 + math.exp(-t))
            total -= abs(y - p) ** beta * (y * math.log(p) + (1 - y) * math.log(1 - p))
        rows.append(total)
    value = binary_class_distillation_rows(student, teacher, beta)
    torch.testing.assert_close(value, torch.tensor(rows, dtype=torch.float64))


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_closed_form_gradient_equals_autograd(beta: float) -> None:
    student, teacher = _pair(50, 7)
    cotangent = torch.randn(50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients = []
    for loss in (binary_class_distillation_rows, _autograd_formula):
        leaf = student.clone().requires_grad_()
        (loss(leaf, teacher, beta) * cotangent).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("elements", [1, 20, 10_000])
def test_slices_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch, elements: int) -> None:
    student, teacher = _pair(2, 11, 7)
    monkeypatch.setitem(modulated.SLICE_ELEMENTS, "cpu", elements)
    leaf = student.clone().requires_grad_()
    rows, difference = binary_class_distillation(leaf, teacher)
    rows.sum().backward()
    reference = student.clone().requires_grad_()
    expected = _autograd_formula(reference, teacher, 1.0)
    expected.sum().backward()
    torch.testing.assert_close(rows, expected)
    torch.testing.assert_close(leaf.grad, reference.grad)
    torch.testing.assert_close(difference, (teacher.sigmoid() - student.sigmoid()).abs().amax(dim=-1))
    assert not difference.requires_grad


@pytest.mark.parametrize("beta", [0.05, 0.5, 1.0, 2.0])
def test_equal_scores_give_exactly_nothing(beta: float) -> None:
    student = _pair(6, 4)[0].float().requires_grad_()
    rows = binary_class_distillation_rows(student, student.detach(), beta)
    rows.sum().backward()
    assert student.grad is not None
    assert not rows.any()
    assert not student.grad.any()


@pytest.mark.parametrize("beta", [0.05, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_extreme_logits_stay_finite(beta: float, dtype: torch.dtype) -> None:
    values = torch.tensor([-1e4, -104.0, -100.0, -88.0, -1e-30, 0.0, 17.0, 100.0, 1e4], dtype=dtype)
    student, teacher = (t.reshape(-1, 1).clone() for t in torch.meshgrid(values, values, indexing="ij"))
    student.requires_grad_()
    rows = binary_class_distillation_rows(student, teacher, beta)
    rows.sum().backward()
    assert student.grad is not None
    assert torch.isfinite(rows).all()
    assert torch.isfinite(student.grad).all()


def test_common_shift_is_seen_by_bckd_and_not_by_softmax() -> None:
    teacher, _ = _pair(6, 4)
    student = teacher + 3
    assert class_kl_rows(student, teacher).abs().max() < 1e-12
    assert binary_class_distillation_rows(student, teacher).min() > 0.1


def test_single_class_is_seen_by_bckd_and_not_by_softmax() -> None:
    student, teacher = _pair(6, 1)
    assert not class_kl_rows(student, teacher).any()
    assert (binary_class_distillation_rows(student, teacher) > 0).all()


@pytest.mark.parametrize("loss", [class_kl_rows, localisation_kl_rows])
@pytest.mark.parametrize("temperature", [1.0, 10.0])
def test_kl_equals_slow_loop(loss: RowLoss, temperature: float) -> None:
    student, teacher = _pair(4, 9)
    rows = []
    for s, t in zip(
        (student / temperature).softmax(1).tolist(), (teacher / temperature).softmax(1).tolist(), strict=True
    ):
        total = sum(p * math.log(p / q) for p, q in zip(t, s, strict=True)) * temperature**2
        rows.append(total / 9 if loss is localisation_kl_rows else total)
    torch.testing.assert_close(loss(student, teacher, temperature), torch.tensor(rows, dtype=torch.float64))


def test_kl_of_saturated_logits_stays_finite() -> None:
    student = torch.tensor([[200.0, -200, 0]], requires_grad=True)
    rows = class_kl_rows(student, torch.tensor([[-200.0, 200, 0]]))
    rows.sum().backward()
    assert rows.item() == pytest.approx(400)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("loss", ROW_LOSSES)
def test_gradient(loss: RowLoss) -> None:
    student, teacher = _pair(4, 5)
    assert torch.autograd.gradcheck(lambda z: loss(z, teacher), (student.requires_grad_(),))


@pytest.mark.parametrize("loss", ROW_LOSSES)
def test_no_gradient_reaches_the_teacher(loss: RowLoss) -> None:
    student, teacher = (t.requires_grad_() for t in _pair(4, 5))
    loss(student, teacher).sum().backward()
    assert student.grad is not None
    assert teacher.grad is None


@pytest.mark.parametrize("loss", ROW_LOSSES)
def test_16_bit_logits_give_finite_float32(loss: RowLoss) -> None:
    student, teacher = (t.bfloat16() for t in _pair(4, 5))
    student.requires_grad_()
    rows = loss(student, teacher)
    rows.sum().backward()
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows, loss(student.detach().float(), teacher.float()))
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("loss", ROW_LOSSES)
def test_16_bit_autocast_changes_nothing(loss: RowLoss) -> None:
    student, teacher = (t.float() for t in _pair(4, 5))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss(student, teacher)
    torch.testing.assert_close(inside, loss(student, teacher), rtol=0, atol=0)


@pytest.mark.parametrize("loss", ROW_LOSSES)
def test_no_rows(loss: RowLoss) -> None:
    student = torch.zeros(2, 0, 5, requires_grad=True)
    rows = loss(student, torch.zeros(2, 0, 5))
    rows.sum().backward()
    assert rows.shape == (2, 0)


@pytest.mark.parametrize("loss", ROW_LOSSES)
def test_different_shapes_are_refused(loss: RowLoss) -> None:
    with pytest.raises(ValueError, match=r"student_logits \(4, 5\), teacher_logits \(4, 1\)"):
        loss(torch.zeros(4, 5), torch.zeros(4, 1))


@pytest.mark.parametrize("beta", [0.0, -1.0])
def test_beta_must_be_positive(beta: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        binary_class_distillation_rows(torch.zeros(2, 2), torch.zeros(2, 2), beta)


def test_kl_of_maps_is_that_of_their_pixels() -> None:
    student, teacher = _pair(2, 5, 3, 4)
    rows = class_kl_rows(student.movedim(1, -1), teacher.movedim(1, -1), 2.0)
    torch.testing.assert_close(class_kl_rows(student, teacher, 2.0, dim=1), rows)
