"""Recalibration of a student's channels by kernel regression: the feature side of LIX (reconstruction)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from limbeck.ops.precision import at_least_float32, without_autocast

RecalibrationKernel = Literal["laplace", "rbf", "linear", "polynomial", "sigmoid"]
Axis = Literal["channel", "spatial", "gain", "none"]

POLYNOMIAL_DEGREE = 3
SMALLEST_NORM = 1e-3
"""A descriptor shorter than this share of the mean length of its image's descriptors is not blown up to length 1."""
SMALLEST_KERNEL = 1e-6
"""Where 1 + cosine would be 0."""


class Recalibration(nn.Module):
    """Nadaraya-Watson regression of the teacher's channels by the student's, one set of weights per image.

    A channel is described by its map, averaged to a small grid, without its mean and scaled to length 1. With a^T and
    a^S the descriptors of teacher and student and a kernel k,

        W_cj = k(a_c^T, a_j^S) / sum_j' k(a_c^T, a_j'^S),        F~ = W F^S.

    Kernels of a distance d: laplace exp(-|a - b|_1 / h) and rbf exp(-|a - b|_2^2 / (2 h^2)), with the bandwidth h =
    gamma * s * median(d) over the pairs of an image, where s starts at 1 and is learned as its logarithm. Kernels of
    the cosine: linear 1 + cos, polynomial (1 + cos)^3, sigmoid 1 + tanh(cos); they have no bandwidth.

    Args:
        kernel: The kernel.
        axis: ``channel`` as above. ``spatial`` regresses the positions of the grid instead, each described by its
            channels. ``gain`` multiplies channel c by its own k(a_c^T, a_c^S), whose mean over the channels is set to
            1. ``none`` leaves the maps as they are. ``spatial`` and ``gain`` need equal numbers of channels.
        gamma: Share of the median distance that is the bandwidth at the start.
        grid_hw: Rows and columns of the grid; a smaller map is taken as it is.
    """

    def __init__(self, kernel: RecalibrationKernel, axis: Axis, gamma: float, grid_hw: tuple[int, int]) -> None:
        super().__init__()
        self.kernel = kernel
        self.axis = axis
        self.gamma = gamma
        self.grid_hw = grid_hw
        # The factor is learned rather than h itself, so that weight decay draws h to gamma and not to the median.
        learned = axis != "none" and kernel in ("laplace", "rbf")
        self.log_factor = nn.Parameter(torch.zeros(())) if learned else None

    def forward(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the maps to be compared and the weights by which the student's channels are to be added up, or None.

        No gradient reaches the teacher.

        Args:
            student: (B,C,H,W).
            teacher: (B,C',H,W).

        Returns:
            Maps of the student (B,C,h,w) and of the teacher (B,C',h,w), and W (B,C',C).
        """
        teacher = teacher.detach()
        if self.axis == "none":
            return student, teacher, None
        with without_autocast(student):
            mine, its = (self._on_grid(at_least_float32(maps)) for maps in (student, teacher))
            if self.axis == "spatial":
                weights = self._log_kernel(_descriptors(its.flatten(2).mT), _descriptors(mine.flatten(2).mT)).softmax(2)
                return (mine.flatten(2) @ weights.mT).view_as(mine), its, None
            queries, keys = (_descriptors(maps.flatten(2)) for maps in (its, mine))
            if self.axis == "channel":
                return student, teacher, self._log_kernel(queries, keys).softmax(dim=2)
            gains = self._log_kernel(queries[:, :, None], keys[:, :, None]).flatten(1).softmax(dim=1)
            return student, teacher, torch.diag_embed(gains * gains.shape[1])

    def _on_grid(self, maps: Tensor) -> Tensor:
        size_hw = min(maps.shape[2], self.grid_hw[0]), min(maps.shape[3], self.grid_hw[1])
        return maps if maps.shape[2:] == size_hw else functional.adaptive_avg_pool2d(maps, size_hw)

    def _log_kernel(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return log k between all queries (B,...,N,P) and all keys (B,...,M,P), (B,...,N,M)."""
        if self.kernel in COSINE_KERNELS:
            return COSINE_KERNELS[self.kernel](queries @ keys.mT)
        assert self.log_factor is not None
        distances = torch.cdist(queries, keys, p=1.0 if self.kernel == "laplace" else 2.0)
        tiny = torch.finfo(distances.dtype).tiny
        median = distances.detach().flatten(1).median(dim=1).values.clamp(min=tiny)
        scaled = distances / (self.gamma * self.log_factor.exp() * median.view(-1, *[1] * (distances.ndim - 1)))
        return -scaled if self.kernel == "laplace" else scaled.square() / -2


def _shifted_cosine(cosine: Tensor) -> Tensor:
    return cosine.clamp(min=SMALLEST_KERNEL - 1).log1p()


COSINE_KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": _shifted_cosine,
    "polynomial": lambda cosine: POLYNOMIAL_DEGREE * _shifted_cosine(cosine),
    "sigmoid": lambda cosine: functional.logsigmoid(2 * cosine),
}
"""Logarithms of the kernels of a cosine; 1 + tanh(x) is twice the logistic function of 2x."""


def _descriptors(rows: Tensor) -> Tensor:
    """Return rows (B,N,P) without their means and scaled to length 1."""
    centred = rows - rows.mean(dim=2, keepdim=True)
    length: Tensor = torch.linalg.vector_norm(centred, dim=2, keepdim=True)
    floor = (SMALLEST_NORM * length.detach().mean(dim=1, keepdim=True)).clamp(min=torch.finfo(rows.dtype).tiny)
    return centred / length.maximum(floor)
