"""Decoupled distillation per row and per pixel."""

import math

import pytest
import torch
from torch import Tensor

from limbeck.losses import dkd
from limbeck.losses.divergence import class_kl_rows
from limbeck.losses.dkd import dkd_rows

IGNORED = 255


def _maps(images: int = 2, classes: int = 5, size: tuple[int, int] = (3, 4)) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (images, classes, *size)
    student, teacher = torch.randn(2, *shape, generator=generator, dtype=torch.float64) * 3
    labels = torch.randint(0, classes, (images, *size), generator=generator)
    labels[0, 0, 1] = labels[-1, -1, -1] = IGNORED
    return student, teacher, labels


def _slow_parts(
    student: list[float], teacher: list[float], label: int, temperature: float
) -> tuple[float, list[float]]:
    """TCKD of one row and the summands of its NCKD, number by number."""
    p, q = ([math.exp(z / temperature) for z in logits] for logits in (teacher, student))
    p, q = [v / sum(p) for v in p], [v / sum(q) for v in q]
    pt, qt = p[label], q[label]
    tckd = pt * math.log(pt / qt) + (1 - pt) * math.log((1 - pt) / (1 - qt))
    hats = [(a / (1 - pt), b / (1 - qt)) for a, b in zip(p, q, strict=True)]
    return tckd, [0.0 if k == label else a * math.log(a / b) for k, (a, b) in enumerate(hats)]


@pytest.mark.parametrize("weights", ["number", "pixel", "class"])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_rows_against_a_slow_loop(weights: str, temperature: float) -> None:
    student, teacher, labels = _maps()
    alpha, beta = torch.rand(2, *labels.shape, dtype=torch.float64)
    if weights == "class":
        beta = torch.rand_like(student)
    elif weights == "number":
        alpha, beta = 2.0, 0.3
    rows = dkd_rows(student, teacher, labels, alpha, beta, temperature)
    for b, y, x in torch.cartesian_prod(*map(torch.arange, labels.shape)).tolist():
        expected = 0.0
        if labels[b, y, x] != IGNORED:
            tckd, summands = _slow_parts(
                student[b, :, y, x].tolist(), teacher[b, :, y, x].tolist(), int(labels[b, y, x]), temperature
            )
            one = alpha if weights == "number" else alpha[b, y, x].item()
            each = [beta] * 5 if weights == "number" else (beta[b, y, x] if weights == "pixel" else beta[b, :, y, x])
            each = each.expand(5).tolist() if isinstance(each, Tensor) else each
            expected = one * tckd + sum(w * s for w, s in zip(each, summands, strict=True))
        assert rows[b, y, x].item() == pytest.approx(temperature**2 * expected, rel=1e-10, abs=1e-13)


@pytest.mark.parametrize("by_class", [False, True])
def test_written_out_gradients_are_the_numerical_ones(by_class: bool) -> None:
    student, teacher, labels = _maps(size=(2, 3))
    alpha = torch.rand(labels.shape, dtype=torch.float64)
    beta = torch.rand_like(student if by_class else alpha)
    if by_class:
        beta = beta.scatter(1, labels.where(labels != IGNORED, 0)[:, None], 0)
    leaves = tuple(value.requires_grad_() for value in (student, alpha, beta))
    assert torch.autograd.gradcheck(lambda s, a, b: dkd_rows(s, teacher, labels, a, b, 2.0), leaves)


def test_gradients_are_those_of_the_closed_form() -> None:
    student, teacher, labels = _maps()
    labels = labels.clamp(max=4)
    student.requires_grad_()
    own = torch.nn.functional.one_hot(labels, 5).movedim(-1, 1).bool()
    q, p = student.detach().softmax(1), teacher.softmax(1)
    q_label, p_label = (v.masked_fill(~own, 0).sum(1, keepdim=True) for v in (q, p))
    q_hat, p_hat = q / (1 - q_label), p / (1 - p_label)
    (tckd,) = torch.autograd.grad(dkd_rows(student, teacher, labels, 1.0, 0.0).sum(), student)
    torch.testing.assert_close(tckd, torch.where(own, q_label - p_label, q_hat * (p_label - q_label)))
    (nckd,) = torch.autograd.grad(dkd_rows(student, teacher, labels, 0.0, 1.0).sum(), student)
    torch.testing.assert_close(nckd, torch.where(own, 0, q_hat - p_hat))


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_divergence_is_the_sum_of_its_parts(temperature: float) -> None:
    student, teacher, labels = _maps()
    labels = labels.clamp(max=4)
    p_label = (teacher / temperature).softmax(1).gather(1, labels[:, None])[:, 0]
    rows = dkd_rows(student, teacher, labels, 1.0, 1 - p_label, temperature)
    torch.testing.assert_close(rows, class_kl_rows(student, teacher, temperature, dim=1), rtol=1e-12, atol=1e-12)


def test_rows_of_a_table_are_those_of_a_map() -> None:
    student, teacher, labels = _maps()
    table = [logits.movedim(1, -1).reshape(-1, 5) for logits in (student, teacher)]
    rows = dkd_rows(*table, labels.flatten(), 1.0, 2.0)
    torch.testing.assert_close(rows.view(labels.shape), dkd_rows(student, teacher, labels, 1.0, 2.0))


@pytest.mark.parametrize("elements", [1, 30, 10_000])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_slices_and_memory_formats_do_not_change_the_result(
    monkeypatch: pytest.MonkeyPatch, elements: int, memory_format: torch.memory_format
) -> None:
    student, teacher, labels = _maps()
    results = []
    for layout, size in ((torch.contiguous_format, 1 << 17), (memory_format, elements)):
        monkeypatch.setitem(dkd.SLICE_ELEMENTS, "cpu", size)
        leaf = student.clone(memory_format=layout).requires_grad_()
        rows = dkd_rows(leaf, teacher.to(memory_format=layout), labels, 1.0, 0.5)
        rows.sum().backward()
        assert leaf.grad is not None
        results.append((rows.detach(), leaf.grad))
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-14)


def test_equal_logits_give_nothing() -> None:
    student, _, labels = _maps()
    student.requires_grad_()
    rows = dkd_rows(student, student.detach(), labels)
    rows.sum().backward()
    assert student.grad is not None
    assert rows.abs().max() < 1e-14
    assert student.grad.abs().max() < 1e-14


def test_with_two_classes_the_other_classes_have_nothing_to_say() -> None:
    student, teacher, labels = _maps(classes=2)
    student.requires_grad_()
    rows = dkd_rows(student, teacher, labels, 0.0, 1.0)
    rows.sum().backward()
    assert student.grad is not None
    assert rows.abs().max() < 1e-30
    assert student.grad.abs().max() < 1e-30
    kl = class_kl_rows(student, teacher, dim=1).masked_fill(labels == IGNORED, 0)
    torch.testing.assert_close(dkd_rows(student, teacher, labels, 1.0, 7.0), kl)


def test_a_batch_without_a_label_gives_exactly_nothing() -> None:
    student, teacher, labels = _maps()
    student.requires_grad_()
    rows = dkd_rows(student, teacher, torch.full_like(labels, IGNORED))
    rows.sum().backward()
    assert student.grad is not None
    assert not rows.any()
    assert not student.grad.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_extreme_logits_stay_finite(dtype: torch.dtype) -> None:
    values = torch.tensor([-1e4, -200.0, -88.0, 0.0, 17.0, 104.0, 1e4], dtype=dtype)
    triples = torch.cartesian_prod(values, values, values)
    student, teacher = triples.repeat_interleave(len(triples), 0), triples.repeat(len(triples), 1)
    student.requires_grad_()
    rows = dkd_rows(student, teacher, torch.arange(len(student)) % 3)
    rows.sum().backward()
    assert student.grad is not None
    assert torch.isfinite(rows).all()
    assert torch.isfinite(student.grad).all()
    assert rows.min() > -1e-2  # rounding of differences of 20000


def test_16_bit_maps_give_float32_and_autocast_changes_nothing() -> None:
    student, teacher, labels = _maps()
    half = student.bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        rows = dkd_rows(half, teacher.bfloat16(), labels)
    rows.sum().backward()
    wide = half.detach().float().requires_grad_()
    exact = dkd_rows(wide, teacher.bfloat16().float(), labels)
    exact.sum().backward()
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows, exact, rtol=0, atol=0)
    assert half.grad is not None
    assert half.grad.dtype == torch.bfloat16
    torch.testing.assert_close(half.grad.float(), wide.grad, rtol=2**-7, atol=0)


def test_no_gradient_reaches_the_teacher() -> None:
    student, teacher, labels = _maps()
    dkd_rows(student.requires_grad_(), teacher.requires_grad_(), labels).sum().backward()
    assert student.grad is not None
    assert teacher.grad is None


def test_no_rows() -> None:
    empty = torch.zeros(0, 4, requires_grad=True)
    rows = dkd_rows(empty, torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    rows.sum().backward()
    assert rows.shape == (0,)


def test_what_does_not_fit_is_refused() -> None:
    student, teacher, labels = _maps()
    with pytest.raises(ValueError, match=r"student_logits \(2, 5, 3, 4\), teacher_logits \(2, 4, 3, 4\)"):
        dkd_rows(student, teacher[:, :4], labels)
    with pytest.raises(ValueError, match=r"labels \(2, 3\) must hold one class per row of \(2, 5, 3, 4\)"):
        dkd_rows(student, teacher, labels[:, :, 0])
    with pytest.raises(ValueError, match="two classes or more"):
        dkd_rows(student[:, :1], teacher[:, :1], labels)
    with pytest.raises(ValueError, match=r"weights \(2, 4, 3, 4\)"):
        dkd_rows(student, teacher, labels, 1.0, torch.ones(2, 4, 3, 4))
