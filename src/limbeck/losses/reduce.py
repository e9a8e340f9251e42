"""From a loss per row to one number."""

from __future__ import annotations

from torch import Tensor

from limbeck.ops.shapes import require_same_shape

EPS32 = 2.0**-23
"""Added to every averaging factor, as the reference implementations of the detection losses do."""


def weighted_mean(rows: Tensor, weights: Tensor, avg_factor: Tensor | float) -> Tensor:
    """Return ``sum(weights * rows) / (avg_factor + 2**-23)``, a scalar.

    Args:
        rows: (...) loss of every row.
        weights: (...) weight of every row; 0 leaves it out.
        avg_factor: What to average over, for example the number of positives of the batch.

    Raises:
        ValueError: Rows and weights differ in shape.
    """
    require_same_shape(rows=rows, weights=weights)
    return (weights * rows).sum() / (avg_factor + EPS32)
