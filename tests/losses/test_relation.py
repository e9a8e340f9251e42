"""Correlation losses."""

import pytest
import torch

from limbeck.losses.relation import pearson_distance


def _pair(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    student, teacher = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return student, teacher


@pytest.mark.parametrize("dim", [1, (0, 2)])
def test_distance_is_one_minus_the_correlation(dim: int | tuple[int, ...]) -> None:
    student, teacher = _pair(3, 5, 4)
    rows = pearson_distance(student, teacher, dim)
    sides = (
        maps.movedim(1, 2).reshape(-1, 5) if dim == 1 else maps.movedim(1, 0).flatten(1) for maps in (student, teacher)
    )
    expected = [1 - torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(*sides, strict=True)]
    torch.testing.assert_close(rows.flatten(), torch.stack(expected), rtol=1e-6, atol=0)


def test_samples_of_weight_0_do_not_count_and_those_of_weight_2_count_twice() -> None:
    student, teacher = _pair(7, 2)
    weights = torch.tensor([0.0, 1, 2, 1, 0, 1, 1], dtype=torch.float64)[:, None]
    chosen = torch.tensor([1, 2, 2, 3, 5, 6])
    expected = pearson_distance(student[chosen], teacher[chosen], 0)
    torch.testing.assert_close(pearson_distance(student, teacher, 0, weights), expected)


def test_scale_and_shift_do_not_matter() -> None:
    student, _ = _pair(4, 6)
    assert pearson_distance(3 * student - 2, student, 1).abs().max() < 1e-6


def test_gradient_and_none_for_the_teacher() -> None:
    student, teacher = (side.requires_grad_() for side in _pair(3, 4))
    assert torch.autograd.gradcheck(lambda side: pearson_distance(side, teacher.detach(), 1), student)
    pearson_distance(student, teacher, 1).sum().backward()
    assert teacher.grad is None


def test_sides_that_do_not_vary_and_weights_of_0_give_1_and_finite_gradients() -> None:
    student = torch.zeros(2, 4, requires_grad=True)
    rows = pearson_distance(student, torch.rand(2, 4), 1)
    rows = torch.cat([rows, pearson_distance(student, torch.rand(2, 4), 1, torch.zeros(1, 1))])
    rows.sum().backward()
    assert rows.tolist() == [1.0] * 4
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_bfloat16_is_widened_and_shapes_are_checked() -> None:
    student, teacher = (side.bfloat16() for side in _pair(3, 4))
    assert pearson_distance(student, teacher, 1).dtype == torch.float32
    with pytest.raises(ValueError, match=r"student \(3, 4\), teacher \(3, 3\)"):
        pearson_distance(student, teacher[:, :3], 1)
