"""Losses on boxes."""

from __future__ import annotations

from torch import Tensor

from limbeck.ops.boxes2d import IoUKind, paired_iou
from limbeck.ops.shapes import require_same_shape


def iou_rows(
    pred_xyxy: Tensor, target_xyxy: Tensor, kind: IoUKind = "giou", eps: float = 1e-6, *, eps_added: bool = False
) -> Tensor:
    """Return one minus the overlap of box pairs, (...).

    Args:
        pred_xyxy: (...,4).
        target_xyxy: (...,4); detach it where it must get no gradient.
        kind: Flavour of the overlap, see `limbeck.ops.boxes2d.paired_iou`.
        eps: Lower clamp of union and enclosing area.
        eps_added: Add ``eps`` instead.

    Raises:
        ValueError: The shapes differ.
    """
    require_same_shape(pred_xyxy=pred_xyxy, target_xyxy=target_xyxy)
    return 1 - paired_iou(pred_xyxy, target_xyxy, kind, eps, eps_added=eps_added)
