import math

import pytest
import torch

from limbeck.losses.similarity import map_cka_rows
from limbeck.nn.recalibration import Recalibration

KERNELS = ["laplace", "rbf", "linear", "polynomial", "sigmoid"]


def maps(channels, seed=0, size=(8, 16), images=2):
    return torch.randn(images, channels, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(kernel="laplace", axis="channel", gamma=0.05, grid_hw=(8, 16)):
    return Recalibration(kernel, axis, gamma, grid_hw).double()


def slow_weights(student, teacher, kernel, gamma):
    """W of one image, channel by channel."""
    sides = []
    for image in (teacher, student):
        rows = [row - row.mean() for row in image.flatten(1)]
        sides.append([row / row.norm() for row in rows])
    if kernel in ("laplace", "rbf"):
        order = 1 if kernel == "laplace" else 2
        distances = torch.stack([torch.stack([(a - b).norm(order) for b in sides[1]]) for a in sides[0]])
        scaled = distances / (gamma * distances.flatten().sort().values[(distances.numel() - 1) // 2])
        values = (-scaled).exp() if kernel == "laplace" else (-scaled.square() / 2).exp()
    else:
        cosines = torch.stack([torch.stack([a @ b for b in sides[1]]) for a in sides[0]])
        values = {"linear": 1 + cosines, "polynomial": (1 + cosines) ** 3, "sigmoid": 1 + cosines.tanh()}[kernel]
    return values / values.sum(1, keepdim=True)


@pytest.mark.parametrize("kernel", KERNELS)
def test_weights_against_a_slow_loop_and_rows_add_up_to_1(kernel):
    student, teacher = maps(5), maps(7, seed=1)
    mine, its, weights = build(kernel, gamma=0.5)(student, teacher)
    assert mine is student
    assert its is teacher or torch.equal(its, teacher)
    for image in range(2):
        torch.testing.assert_close(weights[image], slow_weights(student[image], teacher[image], kernel, 0.5))
    torch.testing.assert_close(weights.sum(2), torch.ones(2, 7, dtype=torch.float64))


@pytest.mark.parametrize("kernel", ["laplace", "rbf"])
def test_a_narrow_kernel_finds_permuted_channels_again(kernel):
    teacher = maps(12, size=(16, 32))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(3))
    student, its, weights = build(kernel, gamma=1e-3)(teacher[:, order], teacher)
    torch.testing.assert_close((weights @ student.flatten(2)).view_as(its), its)


def test_a_wide_bandwidth_makes_the_weights_uniform_and_a_narrow_one_does_not():
    """Distances of many numbers lie close together, so that the median itself would be no bandwidth at all."""
    student, teacher = maps(16), maps(16, seed=1)
    entropies = [torch.special.entr(build(gamma=gamma)(student, teacher)[2]).sum(2).mean() for gamma in (1.0, 0.05)]
    shares = [entropy.item() / math.log(16) for entropy in entropies]
    assert shares[0] > 0.99
    assert shares[1] < 0.9


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("axis", ["channel", "spatial", "gain"])
def test_gradients_reach_student_and_bandwidth_and_not_the_teacher(kernel, axis):
    student, teacher = maps(6, size=(4, 5)).requires_grad_(), maps(6, seed=1, size=(4, 5)).requires_grad_()
    recalibration = build(kernel, axis)
    mine, its, weights = recalibration(student, teacher)
    map_cka_rows(mine, its, mixing=weights).sum().backward()
    assert student.grad.any()
    assert torch.isfinite(student.grad).all()
    assert teacher.grad is None
    assert [bool(p.grad != 0) for p in recalibration.parameters()] == [True] * (kernel in ("laplace", "rbf"))


@pytest.mark.parametrize("kernel", KERNELS)
def test_gradient_of_the_weights_is_the_numerical_one(kernel):
    student, teacher = maps(3, size=(2, 3), images=1).requires_grad_(), maps(4, seed=1, size=(2, 3), images=1)
    recalibration = build(kernel, gamma=0.5)
    if recalibration.log_factor is None:
        assert torch.autograd.gradcheck(lambda s: recalibration(s, teacher)[2], student)
        return
    # The median gets no gradient, so that of the bandwidth is looked at alone.
    queries, keys = torch.rand(1, 4, 5).double(), torch.rand(1, 3, 5).double()
    recalibration._log_kernel(queries, keys).sum().backward()
    slope = recalibration.log_factor.grad.item()
    with torch.no_grad():
        value = recalibration._log_kernel(queries, keys).sum()
        recalibration.log_factor += 1e-6
        assert slope == pytest.approx(
            ((recalibration._log_kernel(queries, keys).sum() - value) / 1e-6).item(), rel=1e-4
        )


def test_positions_are_regressed_on_the_grid():
    student, teacher = maps(6, size=(16, 32)), maps(6, seed=1, size=(16, 32))
    mine, its, weights = build(axis="spatial", grid_hw=(4, 5))(student, teacher)
    assert weights is None
    assert mine.shape == its.shape == (2, 6, 4, 5)
    torch.testing.assert_close(its, torch.nn.functional.adaptive_avg_pool2d(teacher, (4, 5)))
    moved = teacher.flatten(2)[:, :, torch.randperm(512)].view_as(teacher)
    mine, its, _ = build(axis="spatial", gamma=1e-3, grid_hw=(16, 32))(moved, teacher)
    torch.testing.assert_close(mine, its)


def test_gains_are_the_kernel_of_each_channel_with_mean_1():
    student, teacher = maps(6), maps(6, seed=1)
    teacher[:, 2] = 3 * student[:, 2] + 1
    _, _, weights = build(axis="gain", gamma=0.5)(student, teacher)
    gains = weights.diagonal(dim1=1, dim2=2)
    assert (gains.argmax(1) == 2).all()
    torch.testing.assert_close(gains.mean(1), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(weights, torch.diag_embed(gains))


def test_without_an_axis_nothing_is_done_or_trained():
    student, teacher = maps(6), maps(4, seed=1)
    recalibration = build(axis="none")
    mine, its, weights = recalibration(student, teacher)
    assert mine is student
    assert torch.equal(its, teacher)
    assert weights is None
    assert list(recalibration.parameters()) == []


@pytest.mark.parametrize("kernel", KERNELS)
def test_dead_channels_give_finite_weights_and_gradients(kernel):
    student, teacher = maps(4).float(), maps(5, seed=1).float()
    student[:, 1], student[0], teacher[:, 2] = 0, 0, 0.3
    student.requires_grad_()
    mine, its, weights = Recalibration(kernel, "channel", 0.05, (8, 16))(student, teacher)
    map_cka_rows(mine, its, mixing=weights).sum().backward()
    assert torch.isfinite(weights).all()
    assert torch.isfinite(student.grad).all()
    assert student.grad.abs().max() < 1e4


def test_bfloat16_maps_under_autocast_give_float32_weights():
    student, teacher = maps(4).bfloat16(), maps(5, seed=1).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        weights = Recalibration("linear", "channel", 0.05, (8, 16))(student, teacher)[2]
    assert weights.dtype == torch.float32
    torch.testing.assert_close(
        weights, Recalibration("linear", "channel", 0.05, (8, 16))(student.float(), teacher.float())[2]
    )
