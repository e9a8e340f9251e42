"""Losses on feature maps."""

import pytest
import torch
from torch import Tensor

from limbeck.losses import feature
from limbeck.losses.feature import (
    attention_rows,
    channel_kl_rows,
    squared_difference_rows,
    standardise_cells,
    standardise_channels,
    to_common_size,
)


def _pair(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, *shape, generator=generator, dtype=torch.float64) * 2
    return student, teacher


def test_squared_difference_equals_slow_loop() -> None:
    student, teacher = _pair(3, 2, 4, 5)
    rows = []
    for mine, its in zip(student, teacher, strict=True):
        pairs = zip(mine.flatten().tolist(), its.flatten().tolist(), strict=True)
        rows.append(sum((s - t) ** 2 for s, t in pairs) / (2 * 4 * 5))
    torch.testing.assert_close(squared_difference_rows(student, teacher), torch.tensor(rows, dtype=torch.float64))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_written_out_gradient_is_the_numerical_one(memory_format: torch.memory_format) -> None:
    student, teacher = (maps.to(memory_format=memory_format) for maps in _pair(3, 2, 4, 5))
    assert torch.autograd.gradcheck(squared_difference_rows, (student.requires_grad_(), teacher))


@pytest.mark.parametrize("elements", [1, 80, 10_000])
def test_slices_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch, elements: int) -> None:
    student, teacher = _pair(5, 2, 4, 5)
    monkeypatch.setitem(feature.SLICE_ELEMENTS, "cpu", elements)
    student.requires_grad_()
    rows = squared_difference_rows(student, teacher)
    rows.sum().backward()
    torch.testing.assert_close(rows, (student - teacher).square().mean(dim=(1, 2, 3)))
    torch.testing.assert_close(student.grad, 2 * (student.detach() - teacher) / 40)


def test_equal_maps_give_exactly_nothing() -> None:
    student = _pair(2, 3, 4, 4)[0].requires_grad_()
    rows = squared_difference_rows(student, student.detach())
    rows.sum().backward()
    assert student.grad is not None
    assert not rows.any()
    assert not student.grad.any()


def test_the_teacher_gets_no_gradient() -> None:
    student, teacher = (maps.requires_grad_() for maps in _pair(2, 3, 4, 4))
    squared_difference_rows(student, teacher).sum().backward()
    assert student.grad is not None
    assert teacher.grad is None


def test_bfloat16_is_summed_in_float32_and_keeps_no_wide_map() -> None:
    student, teacher = (maps.bfloat16() for maps in _pair(2, 8, 16, 16))
    student.requires_grad_()
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        rows = squared_difference_rows(student, teacher)
    rows.sum().backward()
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows, squared_difference_rows(student.detach().float(), teacher.float()))
    exact = 2 * (student.detach().float() - teacher.float()) / student[0].numel()
    torch.testing.assert_close(student.grad, exact.bfloat16(), rtol=2**-6, atol=0)
    assert [(tensor.dtype, tensor.shape) for tensor in kept] == [(torch.bfloat16, student.shape)]


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 3, 0, 4)])
def test_no_values_give_no_difference(shape: tuple[int, ...]) -> None:
    student = torch.zeros(shape, requires_grad=True)
    rows = squared_difference_rows(student, torch.zeros(shape))
    rows.sum().backward()
    assert rows.tolist() == [0.0] * shape[0]


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"student \(2, 3, 4, 4\), teacher \(2, 1, 4, 4\)"):
        squared_difference_rows(torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 4, 4))


def test_standardised_channels_against_a_slow_loop() -> None:
    maps = _pair(3, 2, 4, 5)[0] + 7
    result = standardise_channels(maps)
    for channel in range(2):
        values = [value for image in maps for value in image[channel].flatten().tolist()]
        mean = sum(values) / 60
        std = (sum((value - mean) ** 2 for value in values) / 59) ** 0.5
        expected = [(value - mean) / (std + 1e-6) for value in values]
        assert result[:, channel].flatten().tolist() == pytest.approx(expected, rel=1e-9)


def test_gradient_of_standardised_channels() -> None:
    assert torch.autograd.gradcheck(standardise_channels, _pair(2, 3, 2, 2)[0].requires_grad_())


def test_scale_and_shift_of_a_channel_do_not_matter() -> None:
    maps = _pair(2, 3, 4, 4)[0]
    factor = torch.tensor([0.1, 1.0, 30.0], dtype=torch.float64).view(3, 1, 1)
    torch.testing.assert_close(standardise_channels(factor * maps + 5), standardise_channels(maps), rtol=1e-4, atol=0)


@pytest.mark.parametrize("maps", [torch.full((2, 3, 4, 4), 0.3), torch.ones(1, 3, 1, 1)], ids=["constant", "one value"])
def test_a_channel_without_deviation_is_zero_with_a_finite_gradient(maps: Tensor) -> None:
    maps = maps.clone().requires_grad_()
    result = standardise_channels(maps)
    (result * torch.arange(result.numel()).view_as(result)).sum().backward()
    assert result.abs().max() < 0.2  # rounding of the mean, divided by 1e-6
    assert maps.grad is not None
    assert torch.isfinite(maps.grad).all()


def test_standardised_bfloat16_is_float32() -> None:
    maps = _pair(2, 3, 4, 4)[0].bfloat16()
    assert standardise_channels(maps).dtype == torch.float32
    torch.testing.assert_close(standardise_channels(maps), standardise_channels(maps.float()))


@pytest.mark.parametrize(
    ("student_hw", "teacher_hw", "common_hw"),
    [((2, 2), (4, 4), (2, 2)), ((6, 4), (3, 2), (3, 2)), ((8, 2), (4, 6), (4, 2)), ((3, 3), (5, 7), (3, 3))],
)
def test_maps_are_averaged_down_to_the_smaller_size(student_hw, teacher_hw, common_hw) -> None:
    student, teacher = torch.rand(2, 3, *student_hw), torch.rand(2, 5, *teacher_hw)
    results = to_common_size(student, teacher)
    assert [tuple(result.shape) for result in results] == [(2, 3, *common_hw), (2, 5, *common_hw)]


def test_an_average_is_that_of_the_cells_below() -> None:
    teacher = torch.arange(16.0).view(1, 1, 4, 4)
    student = torch.zeros(1, 1, 2, 2)
    same, small = to_common_size(student, teacher)
    assert same is student
    assert small.flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_a_1x1_convolution_may_come_before_or_after() -> None:
    layer = torch.nn.Conv2d(3, 4, 1).double()
    student, teacher = torch.rand(2, 3, 6, 9).double(), torch.rand(2, 4, 3, 3).double()
    before = layer(to_common_size(student, teacher)[0])
    after = to_common_size(layer(student), teacher)[0]
    torch.testing.assert_close(before, after)


def test_standardised_cells_against_a_slow_loop() -> None:
    maps = torch.randn(2, 3, 4, 5, dtype=torch.double)
    wanted = torch.stack(
        [torch.stack([(c - c.mean()) / (c.var(correction=0) + 1e-5).sqrt() for c in image]) for image in maps]
    )
    torch.testing.assert_close(standardise_cells(maps), wanted)
    assert torch.autograd.gradcheck(standardise_cells, maps.requires_grad_())
    assert standardise_cells(torch.randn(2, 3, 1, 1)).tolist() == torch.zeros(2, 3, 1, 1).tolist()


def test_channel_divergence_against_a_slow_loop() -> None:
    student, teacher = _pair(2, 3, 4, 5)
    rows = channel_kl_rows(student, teacher, 4.0)
    for image in range(2):
        wanted = torch.zeros((), dtype=student.dtype)
        for channel in range(3):
            p = (teacher[image, channel] / 4).flatten().softmax(0)
            q = (student[image, channel] / 4).flatten().softmax(0)
            wanted = wanted + 16 * (p * (p / q).log()).sum() / 3
        torch.testing.assert_close(rows[image], wanted)
    assert channel_kl_rows(student, student).abs().max() < 1e-6


def test_attention_transfer_against_a_slow_loop() -> None:
    student, teacher = _pair(2, 3, 4, 5)
    teacher = torch.cat([teacher, teacher[:, :1] + 1], dim=1)
    for image, row in enumerate(attention_rows(student, teacher).tolist()):
        sides = []
        for maps in (student, teacher):
            values = [sum(v * v for v in cell) / len(cell) for cell in maps[image].flatten(1).T.tolist()]
            length = sum(value * value for value in values) ** 0.5
            sides.append([value / length for value in values])
        assert row == pytest.approx(sum((a - b) ** 2 for a, b in zip(*sides, strict=True)))


def test_gradient_of_attention_transfer_and_none_for_the_teacher() -> None:
    student, teacher = (maps.requires_grad_() for maps in _pair(2, 3, 2, 3))
    assert torch.autograd.gradcheck(lambda maps: attention_rows(maps, teacher.detach()), student)
    attention_rows(student, teacher).sum().backward()
    assert teacher.grad is None


def test_attention_does_not_see_scale_nor_permuted_channels_and_bfloat16_is_widened() -> None:
    student, _ = _pair(2, 3, 4, 5)
    assert attention_rows(7 * student.flip(1), student).abs().max() < 1e-12
    assert attention_rows(student.bfloat16(), student.bfloat16()).dtype == torch.float32


def test_attention_of_nothing_is_finite() -> None:
    student = torch.zeros(2, 3, 4, 5, requires_grad=True)
    rows = attention_rows(student, torch.ones(2, 2, 4, 5))
    rows.sum().backward()
    assert rows.tolist() == pytest.approx([1.0, 1.0])
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_attention_of_maps_of_different_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"student \(2, 4, 4\), teacher \(2, 4, 5\)"):
        attention_rows(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 5))
