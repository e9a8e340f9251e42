"""HSIC and CKA."""

import pytest
import torch
from torch import Tensor

from limbeck.losses.similarity import cka, hsic, laplace_gram, linear_cka_rows, map_cka_rows, rbf_gram

KERNELS = ["linear", "rbf", "laplace"]


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _orthogonal(size: int) -> Tensor:
    return torch.linalg.qr(_normal(size, size, seed=9)).Q


def test_hsic_against_a_slow_loop() -> None:
    x, y = _normal(7, 3), _normal(7, 4, seed=1)
    first, second = x @ x.T, y @ y.T
    centring = torch.eye(7, dtype=torch.float64) - 1 / 7
    expected = torch.trace(first @ centring @ second @ centring) / 36
    torch.testing.assert_close(hsic(first, second), expected)


def test_unbiased_hsic_against_sums_over_distinct_rows() -> None:
    """Its definition: averages of products over pairs, quadruples and triples of different rows."""
    x, y = _normal(5, 3), _normal(5, 4, seed=1)
    first, second = x @ x.T, y @ y.T
    pairs, quadruples, triples = [], [], []
    for i, j, q, r in torch.cartesian_prod(*[torch.arange(5)] * 4).tolist():
        if len({i, j, q, r}) == 4:
            pairs.append(first[i, j] * second[i, j])
            quadruples.append(first[i, j] * second[q, r])
            triples.append(first[i, j] * second[i, q])
    means = [torch.stack(values).mean() for values in (pairs, quadruples, triples)]
    torch.testing.assert_close(hsic(first, second, unbiased=True), means[0] + means[1] - 2 * means[2])


@pytest.mark.parametrize("shape", [(12, 5, 7), (5, 12, 30), (4, 6, 6)])
def test_channel_form_sample_form_and_gram_form_agree(shape: tuple[int, int, int]) -> None:
    samples, mine, its = shape
    student, teacher = _normal(3, mine, samples) + 2, _normal(3, its, samples, seed=1) - 1
    grams = (maps.mT @ maps for maps in (student, teacher))
    torch.testing.assert_close(linear_cka_rows(student, teacher), cka(*grams))


@pytest.mark.parametrize("shape", [(40, 5, 7), (5, 12, 30)])
def test_mixing_is_never_formed_and_gives_what_it_would(shape: tuple[int, int, int]) -> None:
    samples, mine, its = shape
    student, teacher, mixing = _normal(3, mine, samples) + 2, _normal(3, its, samples, seed=1), _normal(3, its, mine)
    torch.testing.assert_close(linear_cka_rows(student, teacher, mixing), linear_cka_rows(mixing @ student, teacher))


@pytest.mark.parametrize("shape", [(9, 3, 4), (3, 5, 4)])
@pytest.mark.parametrize("mixed", [False, True])
def test_gradients_are_the_numerical_ones(shape: tuple[int, int, int], mixed: bool) -> None:
    samples, mine, its = shape
    student, teacher = _normal(2, mine, samples).requires_grad_(), _normal(2, its, samples, seed=1)
    mixing = (_normal(2, its, mine, seed=2).requires_grad_(),) if mixed else ()
    assert torch.autograd.gradcheck(lambda s, *w: linear_cka_rows(s, teacher, *w), (student, *mixing))


@pytest.mark.parametrize("kernel", KERNELS)
def test_cka_of_maps_lies_between_0_and_1_and_is_1_with_itself(kernel: str) -> None:
    student, teacher = _normal(3, 4, 5, 6), _normal(3, 7, 5, 6, seed=1)
    rows = map_cka_rows(student, teacher, kernel)
    assert rows.shape == (3,)
    assert rows.min() > 0
    assert rows.max() < 1
    torch.testing.assert_close(map_cka_rows(student, student, kernel), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_rotation_shift_and_scale_of_the_channels_do_not_matter(kernel: str) -> None:
    teacher = _normal(2, 6, 5, 7)
    student = torch.einsum("ck,bkyx->bcyx", 3 * _orthogonal(6), teacher) + 5
    torch.testing.assert_close(map_cka_rows(student, teacher, kernel), torch.ones(2, dtype=torch.float64))


def test_channels_that_hold_nothing_of_the_teacher_give_little() -> None:
    teacher = _normal(1, 6, 40, 50)
    assert map_cka_rows(_normal(1, 6, 40, 50, seed=1), teacher).item() < 0.02


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_gradient_step_makes_maps_more_similar(kernel: str) -> None:
    student, teacher = _normal(2, 4, 5, 6).requires_grad_(), _normal(2, 7, 5, 6, seed=1)
    before = map_cka_rows(student, teacher, kernel)
    (slope,) = torch.autograd.grad(before.sum(), student)
    after = map_cka_rows(student.detach() + 0.1 * slope / slope.norm(), teacher, kernel)
    assert (after > before).all()


def test_kernels_against_a_slow_loop() -> None:
    x = _normal(6, 3)
    squares = [[sum((a - b) ** 2 for a, b in zip(p, q, strict=True)) for q in x.tolist()] for p in x.tolist()]
    sums = [[sum(abs(a - b) for a, b in zip(p, q, strict=True)) for q in x.tolist()] for p in x.tolist()]
    for gram, distances, sigma in ((rbf_gram, squares, 2.0), (laplace_gram, sums, 3.0)):
        wanted = torch.tensor(distances, dtype=torch.float64)
        scale = 2 * sigma**2 if gram is rbf_gram else sigma
        torch.testing.assert_close(gram(x, sigma), (-wanted / scale).exp())
        middle = wanted[wanted > 0].quantile(0.5)
        torch.testing.assert_close(gram(x), (-wanted / (2 * middle if gram is rbf_gram else middle)).exp())


@pytest.mark.parametrize("kernel", KERNELS)
def test_maps_that_do_not_vary_give_0_and_finite_gradients(kernel: str) -> None:
    student = torch.full((2, 3, 4, 5), 0.7, requires_grad=True)
    teacher = _normal(2, 4, 4, 5).float()
    rows = map_cka_rows(student, teacher, kernel)
    rows.sum().backward()
    assert rows.tolist() == pytest.approx([0, 0], abs=1e-6)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()
    assert map_cka_rows(teacher, student.detach(), kernel).tolist() == pytest.approx([0, 0], abs=1e-6)


def test_a_large_mean_does_not_drown_the_variance() -> None:
    student, teacher = _normal(2, 4, 16, 16), _normal(2, 6, 16, 16, seed=1)
    exact = map_cka_rows(student, teacher)
    torch.testing.assert_close(
        map_cka_rows((student + 100).float(), (teacher - 100).float()).double(), exact, rtol=1e-3, atol=0
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_no_gradient_reaches_the_teacher(kernel: str) -> None:
    student, teacher = _normal(2, 4, 3, 4).requires_grad_(), _normal(2, 5, 3, 4, seed=1).requires_grad_()
    map_cka_rows(student, teacher, kernel).sum().backward()
    assert student.grad is not None
    assert student.grad.any()
    assert teacher.grad is None


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", [(3, 4), (8, 9)])
def test_bfloat16_maps_give_float32_and_autocast_changes_nothing(kernel: str, size: tuple[int, int]) -> None:
    student, teacher = _normal(2, 16, *size).bfloat16(), _normal(2, 20, *size, seed=1).bfloat16()
    mixing = _normal(2, 20, 16, seed=2).float()
    exact = map_cka_rows(student.float(), teacher.float(), kernel, mixing)
    student.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        rows = map_cka_rows(student, teacher, kernel, mixing)
    rows.sum().backward()
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows, exact, rtol=1e-6, atol=0)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("kernel", ["rbf", "laplace"])
def test_large_maps_are_averaged_before_a_gram_matrix_is_made(kernel: str) -> None:
    maps = _normal(1, 3, 40, 60), _normal(1, 4, 40, 60, seed=1)
    small = (torch.nn.functional.adaptive_avg_pool2d(side, (14, 20)) for side in maps)  # by 2 there would be 600 cells
    torch.testing.assert_close(map_cka_rows(*maps, kernel), map_cka_rows(*small, kernel))


def test_maps_of_different_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one size are compared, not \(2, 3, 4, 4\) and \(2, 3, 4, 5\)"):
        map_cka_rows(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 5))
