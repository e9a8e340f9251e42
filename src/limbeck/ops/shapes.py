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


def require_maps(channels: int | None = None, **maps: Tensor) -> None:
    """Check that all tensors, given by name, are maps of floats (...,H,W), or (...,C,H,W) where ``channels`` is given.

    Raises:
        ValueError: One is not; the text names it with its shape and type.
    """
    shape = "(...,H,W)" if channels is None else f"(...,{channels},H,W)"
    for name, value in maps.items():
        enough = value.ndim >= 2 if channels is None else value.ndim >= 3 and value.shape[-3] == channels
        if not (enough and value.is_floating_point()):
            raise ValueError(f"{name} must be floats {shape}, not {value.dtype} {tuple(value.shape)}")
