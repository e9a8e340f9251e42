"""Shape checks with a message that says what was given."""

from __future__ import annotations

from torch import Tensor


def require_same_shape(**tensors: Tensor) -> None:
    """Check that all tensors, given by name, have one shape.

    Raises:
        ValueError: They differ; the text names every tensor with its shape.
    """
    if len({tensor.shape for tensor in tensors.values()}) > 1:
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        raise ValueError(f"these must have the same shape: {shapes}")


def require_rows(logits: Tensor, **rows: Tensor) -> None:
    """Check that every tensor, given by name, has one value per row of ``logits``.

    Args:
        logits: (..., K).
        rows: (...) each.

    Raises:
        ValueError: A shape differs; the text names it.
    """
    for name, value in rows.items():
        if value.shape != logits.shape[:-1]:
            raise ValueError(f"{name} {tuple(value.shape)} must hold one value per row of {tuple(logits.shape)}")
