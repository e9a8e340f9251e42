"""The supervised losses of CenterPoint (arXiv 2006.11275): focal loss of heat maps, L1 of box codes at the objects."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.ops.centre import gather_cells
from limbeck.ops.precision import at_least_float32

PROBABILITY_EDGE = 1e-4
"""Probabilities of a heat map are kept this far from 0 and 1."""
EPS = 1e-4
"""Added to the number of objects that the box losses are divided by (the released code)."""


def heat_map_probs(logits: Tensor) -> Tensor:
    """Return the probabilities of heat-map logits, kept away from 0 and 1 by 1e-4."""
    return at_least_float32(logits).sigmoid().clamp(PROBABILITY_EDGE, 1 - PROBABILITY_EDGE)


def heat_map_focal(probs: Tensor, target: Tensor, index: Tensor, mask: Tensor, labels: Tensor, count: Tensor) -> Tensor:
    """Return the focal loss of heat maps, in the form that looks up the objects by their cells.

    -(sum over the maps of (1 - y)^4 p^2 log(1 - p) + sum over the objects of (1 - p_c)^2 log p_c) / n, without the
    second sum and the division where there is no object.

    Args:
        probs: (B,K,H,W) probabilities p, away from 0 and 1.
        target: (B,K,H,W) heat map y of the objects.
        index: (B,M) int64, cell of each slot's object, counted row by row.
        mask: (B,M) bool, slots that hold an object.
        labels: (B,M) int64, its class.
        count: Scalar n, the number of objects.
    """
    away = ((1 - target).pow(4) * probs.square() * (1 - probs).log()).sum()
    at_object = gather_cells(probs, index).gather(2, labels[..., None])[..., 0]
    there = ((1 - at_object).square() * at_object.log() * mask).sum()
    return -(away + there) / count.clamp(min=1)


def code_l1(codes: Tensor, target: Tensor, index: Tensor, mask: Tensor, count: Tensor) -> Tensor:
    """Return the absolute difference of box codes at the objects, summed and divided by n + 1e-4, for each number (D,).

    Args:
        codes: (B,D,H,W).
        target: (B,M,D); what is not finite, such as an unknown velocity, does not count.
        index: (B,M) int64, cell of each slot's object, counted row by row.
        mask: (B,M) bool, slots that hold an object.
        count: Scalar n, the number of objects.
    """
    known = mask[..., None] & target.isfinite()
    difference = (at_least_float32(gather_cells(codes, index)) - torch.where(known, target, 0)).abs() * known
    return difference.sum(dim=(0, 1)) / (count + EPS)
