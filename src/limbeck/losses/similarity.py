"""Similarity of two representations of the same samples: HSIC and CKA (arXiv 1905.00414).

With n x n Gram matrices K and L of the two and H = I - 11'/n,

    HSIC(K, L) = tr(K H L H) / (n - 1)^2        CKA(K, L) = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)).

Of linear kernels it is ``|Y'X|^2 / (|X'X| |Y'Y|)`` with centred columns, for which no n x n matrix is needed. CKA lies
in [0, 1] and does not see rotations and scales of either side, nor whether the two have equal numbers of channels.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import BackwardCFunction, FunctionCtx, once_differentiable
from torch.nn import functional

from limbeck.ops.precision import at_least_float32, without_autocast

Kernel = Literal["linear", "rbf", "laplace"]

MAX_POSITIONS = 512
"""Positions of a map that an n x n Gram matrix is made of; larger maps are averaged down."""


def hsic(first: Tensor, second: Tensor, *, unbiased: bool = False) -> Tensor:
    """Return the Hilbert-Schmidt independence criterion of two Gram matrices.

    The unbiased estimate (arXiv 2010.15327, eq. 3) sets the diagonals to 0; with n rows it is
    [tr(KL) + (1'K1)(1'L1) / ((n - 1)(n - 2)) - 2 / (n - 2) 1'KL1] / (n (n - 3)).

    Args:
        first: (...,n,n), symmetric.
        second: (...,n,n), symmetric.
        unbiased: Use the unbiased estimate, which needs four rows or more.

    Returns:
        (...), float32 or better.
    """
    first, second = at_least_float32(first), at_least_float32(second)
    n = first.shape[-1]
    if not unbiased:
        rows = first - first.mean(dim=-1, keepdim=True), second - second.mean(dim=-1, keepdim=True)
        return _inner(*(gram - gram.mean(dim=-2, keepdim=True) for gram in rows)) / (n - 1) ** 2
    diagonal = torch.eye(n, dtype=torch.bool, device=first.device)
    first, second = first.masked_fill(diagonal, 0), second.masked_fill(diagonal, 0)
    sums = first.sum(dim=-1), second.sum(dim=-1)
    totals = sums[0].sum(dim=-1) * sums[1].sum(dim=-1) / ((n - 1) * (n - 2))
    return (_inner(first, second) + totals - 2 / (n - 2) * (sums[0] * sums[1]).sum(dim=-1)) / (n * (n - 3))


def cka(first: Tensor, second: Tensor, *, unbiased: bool = False) -> Tensor:
    """Return the centred kernel alignment (...) of two Gram matrices (...,n,n), 0 where one side does not vary."""
    mine, its = (hsic(gram, gram, unbiased=unbiased) for gram in (first, second))
    return _cosine(hsic(first, second, unbiased=unbiased), mine, its)


def rbf_gram(samples: Tensor, sigma: float | None = None) -> Tensor:
    """Return ``exp(-|a - b|_2^2 / (2 sigma^2))`` between all rows, (...,n,n).

    Args:
        samples: (...,n,C).
        sigma: Bandwidth; None sets sigma^2 to the median of the squared distances that are not 0, without gradient.
    """
    wide = at_least_float32(samples)
    wide = wide - wide[..., :1, :]  # the expansion below is exact for samples near the origin
    squares = wide.square().sum(dim=-1)
    with without_autocast(wide):
        distances = (squares[..., :, None] + squares[..., None, :] - 2 * wide @ wide.mT).clamp(min=0)
    diagonal = torch.eye(wide.shape[-2], dtype=torch.bool, device=wide.device)
    distances = distances.masked_fill(diagonal, 0)
    return (-distances / (2 * (_median(distances) if sigma is None else sigma**2))).exp()


def laplace_gram(samples: Tensor, sigma: float | None = None) -> Tensor:
    """Return ``exp(-|a - b|_1 / sigma)`` between all rows, (...,n,n).

    Args:
        samples: (...,n,C).
        sigma: Bandwidth; None for the median of the distances that are not 0, without gradient.
    """
    wide = at_least_float32(samples)
    distances = torch.cdist(wide, wide, p=1.0)
    return (-distances / (_median(distances) if sigma is None else sigma)).exp()


def map_cka_rows(student: Tensor, teacher: Tensor, kernel: Kernel = "linear", mixing: Tensor | None = None) -> Tensor:
    """Return the CKA of every pair of maps: positions are the samples, channels their features.

    No gradient reaches the teacher. For other kernels than the linear one the maps are averaged down to at most
    `MAX_POSITIONS` positions, and the bandwidths are the medians of each side.

    Args:
        student: (B,C,H,W).
        teacher: (B,C',H,W).
        kernel: Kernel of both sides.
        mixing: (B,C'',C), weights by which channels of the student are first added up.

    Returns:
        (B,), float32 or better; 0 where one side does not vary.

    Raises:
        ValueError: The maps differ in batch or size.
    """
    if student.shape[:1] + student.shape[2:] != teacher.shape[:1] + teacher.shape[2:]:
        raise ValueError(f"maps of one size are compared, not {tuple(student.shape)} and {tuple(teacher.shape)}")
    mine, its = at_least_float32(student), at_least_float32(teacher.detach())
    if kernel == "linear":
        return linear_cka_rows(mine.flatten(2), its.flatten(2), mixing)
    gram = rbf_gram if kernel == "rbf" else laplace_gram
    mine, its = (few_positions(maps, MAX_POSITIONS).flatten(2) for maps in (mine, its))
    with without_autocast(mine):
        mixed = mine if mixing is None else mixing @ mine
    return cka(gram(mixed.mT), gram(its.mT))


def few_positions(maps: Tensor, most: int) -> Tensor:
    """Average maps (B,C,H,W) down by whole numbers of cells until they have at most ``most`` positions."""
    height, width = maps.shape[2:]
    cells = 1
    while -(-height // cells) * -(-width // cells) > most:
        cells += 1
    return maps if cells == 1 else functional.adaptive_avg_pool2d(maps, (-(-height // cells), -(-width // cells)))


def linear_cka_rows(student: Tensor, teacher: Tensor, mixing: Tensor | None = None) -> Tensor:
    """Return the linear CKA of every pair whose samples are columns. No gradient reaches the teacher.

    With ``mixing`` W the student's side is W X. As long as there are more samples than channels it is never formed,
    for products of the channels are enough: ``|W X Y'|^2 = <W'W, X Y' Y X'>``, ``|W X X' W'|^2 = tr((W'W X X')^2)``.

    Args:
        student: X (B,C,n), float32 or float64.
        teacher: Y (B,C',n), of the same type.
        mixing: (B,C'',C).

    Returns:
        (B,); 0 where one side does not vary.
    """
    with without_autocast(student):
        if student.shape[1] > student.shape[2]:
            return _linear_cka_of_few(student, teacher.detach(), mixing)
        crossed, own, its_square = _Covariances.apply(student, teacher.detach())
        if mixing is None:
            return _cosine(_inner(crossed, crossed), _inner(own, own), its_square)
        metric = mixing.mT @ mixing
        mixed = metric @ own
        return _cosine(_inner(metric, crossed @ crossed.mT), _inner(mixed, mixed.mT), its_square)


def _linear_cka_of_few(student: Tensor, teacher: Tensor, mixing: Tensor | None) -> Tensor:
    """Return `linear_cka_rows` by the Gram matrices of the samples, which are smaller than those of the channels."""
    mine, its = _centred(student), _centred(teacher)
    if mixing is not None:
        mine = mixing @ mine
    mine, its = (side.mT @ side / side.shape[2] for side in (mine, its))
    return _cosine(_inner(mine, its), _inner(mine, mine), _inner(its, its))


def _inner(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).sum(dim=(-2, -1))


def _cosine(alike: Tensor, *squares: Tensor) -> Tensor:
    for square in squares:
        alike = alike * square.clamp(min=torch.finfo(square.dtype).tiny).rsqrt()
    return alike


def _median(distances: Tensor) -> Tensor:
    """Return the median (...,1,1) of the distances (...,n,n) that are not 0; 1 where all are."""
    values = distances.detach()
    middle = values.masked_fill(values == 0, torch.nan).flatten(-2).nanquantile(0.5, dim=-1)
    return middle.nan_to_num(nan=1.0)[..., None, None]


def _centred(channels: Tensor, out: Tensor | None = None) -> Tensor:
    """Return channels (...,C,n) without their means, in ``out``; one that does not vary becomes exactly 0."""
    shifted = torch.sub(channels, channels[..., :1], out=out)
    return shifted.sub_(shifted.mean(dim=-1, keepdim=True))


class _Covariances(Function):
    """X Y' / n (B,C,C') and X X' / n (B,C,C) of centred rows, and |Y Y' / n|^2 (B,).

    Maps are large, so they are centred image by image in one piece of memory, and no copy of a batch is kept.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        images, channels, n = student.shape
        crossed = student.new_empty(images, channels, teacher.shape[1])
        own, its_square = student.new_empty(images, channels, channels), student.new_empty(images)
        mine, its = torch.empty_like(student[0]), torch.empty_like(teacher[0])
        for image in range(images):
            _centred(student[image], out=mine)
            _centred(teacher[image], out=its)
            torch.mm(mine, its.mT, out=crossed[image])
            torch.mm(mine, mine.mT, out=own[image])
            covariance = (its @ its.mT if its.shape[0] <= n else its.mT @ its) / n
            its_square[image] = _inner(covariance, covariance)
        ctx.save_for_backward(student, teacher)
        ctx.mark_non_differentiable(its_square)
        return crossed.div_(n), own.div_(n), its_square

    @staticmethod
    @once_differentiable
    def backward(ctx: BackwardCFunction, grad_crossed: Tensor, grad_own: Tensor, _: Tensor) -> tuple[Tensor, None]:
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        (student, teacher), n = saved, saved[0].shape[2]
        with without_autocast(student):
            grad = grad_crossed @ teacher
            grad.baddbmm_(grad_own + grad_own.mT, student, beta=1 / n, alpha=1 / n)
        return grad.sub_(grad.mean(dim=2, keepdim=True)), None
