"""What the heads of dense 2D detectors share: from maps to the flattened view, and terms that several of them use."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn import functional

from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D
from limbeck.core.parallel import mean_over_processes
from limbeck.losses.box import iou_rows
from limbeck.losses.detection import centerness, distribution_focal_rows, focal_rows
from limbeck.ops.boxes2d import centres, decode_distances, encode_distances, integral
from limbeck.ops.precision import at_least_float32
from limbeck.ops.pyramid import PriorGrid, flatten_levels, spread_levels

SIDES = 4
DISTRIBUTION_WEIGHT = 0.25
TARGET_MARGIN = 0.1
"""Targets stay this far below the last bin, so that both neighbouring bins exist."""
SMALLEST_TOTAL = 1e-6
"""Lower limit of the summed centerness, for a batch without positives."""

Decoder = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From coded boxes (B,N,4), priors (N,4) in pixels and strides (N,1) to boxes (B,N,4) in pixels."""


def box_channels(reg_max: int | None) -> int:
    """Return the output channels per prior: four numbers, or four distributions over the bins 0 to ``reg_max``."""
    return SIDES if reg_max is None else SIDES * (reg_max + 1)


def raw_output(
    features: list[Tensor],
    class_maps: Sequence[Tensor],
    box_maps: Sequence[Tensor],
    grid: PriorGrid,
    canvas_hw: tuple[int, int],
    *,
    decoder: Decoder | None = None,
    centerness_maps: Sequence[Tensor] | None = None,
) -> DenseRaw2D:
    """Flatten the maps of a head with A priors per cell and decode its boxes.

    Args:
        features: The pyramid, handed through.
        class_maps: (B,A K,H_l,W_l) per level.
        box_maps: (B,4A,H_l,W_l) per level for the decoder; without one (B,4A(R+1),H_l,W_l), the logits of distributions
            over the bins 0 to R, whose means are the distances from the prior's centre to the left, top, right and
            bottom side in strides (GFL).
        grid: The priors.
        canvas_hw: Height and width of the network's input in pixels.
        decoder: The head's own box coding.
        centerness_maps: (B,A,H_l,W_l) per level.
    """
    sizes_hw = [(m.shape[2], m.shape[3]) for m in class_maps]
    level_sizes = tuple(h * w * grid.per_cell for h, w in sizes_hw)
    coded = at_least_float32(flatten_levels(box_maps, grid.per_cell))
    priors = grid.boxes_xyxy(sizes_hw, device=coded.device, dtype=coded.dtype)
    strides = spread_levels(priors.new_tensor(grid.strides), level_sizes)[:, None]
    box_logits: Tensor | None = None
    if decoder is None:
        box_logits = coded.unflatten(2, (SIDES, -1))
        boxes = decode_distances(centres(priors), integral(box_logits) * strides)
    else:
        boxes = decoder(coded, priors, strides)
    centerness_logits: Tensor | None = None
    if centerness_maps is not None:
        centerness_logits = at_least_float32(flatten_levels(centerness_maps, grid.per_cell)).squeeze(2)
    return DenseRaw2D(
        features=features,
        class_logits=at_least_float32(flatten_levels(class_maps, grid.per_cell)),
        boxes_xyxy=boxes,
        box_logits=box_logits,
        priors_xyxy=priors,
        level_sizes=level_sizes,
        strides=grid.strides,
        canvas_hw=canvas_hw,
        centerness_logits=centerness_logits,
    )


def distribution_rows(raw: DenseRaw2D, assignment: DenseAssignment2D) -> Tensor:
    """Return the distribution focal loss of every positive (P,), summed over its four sides (arXiv 2006.04388).

    Args:
        raw: Raw output of a head with side distributions.
        assignment: Assignment of the batch.

    Raises:
        ValueError: The head has no side distributions.
    """
    if raw.box_logits is None:
        raise ValueError("the distribution focal loss needs box_logits")
    positive = assignment.positive(raw.class_logits.shape[2])
    stride = raw.location_strides.expand(positive.shape)[positive][:, None]
    last_bin = raw.box_logits.shape[3] - 1
    sides = encode_distances(
        _prior_centres(raw, positive) / stride, assignment.boxes_xyxy[positive] / stride, last_bin - TARGET_MARGIN
    )
    return distribution_focal_rows(raw.box_logits[positive], sides).sum(dim=1)


def centerness_losses(raw: DenseRaw2D, assignment: DenseAssignment2D, box_weight: float) -> dict[str, Tensor]:
    """Return the terms of the heads with a centerness branch, FCOS and ATSS.

    With N the normaliser, c_i the centerness of a positive in its object and C the sum of c_i over the batch:
    focal = sum FL / N, box = box_weight sum c_i (1 - GIoU_i) / C, centerness = sum BCE(c_i) / N, and with side
    distributions distribution_focal = 0.25 sum c_i DFL_i / (4 C).

    Args:
        raw: Raw output with ``centerness_logits``.
        assignment: Assignment of the batch.
        box_weight: Weight of the term ``box``.

    Raises:
        ValueError: The head has no centerness branch.
    """
    if raw.centerness_logits is None:
        raise ValueError("the centerness losses need centerness_logits")
    positive = assignment.positive(raw.class_logits.shape[2])
    boxes = assignment.boxes_xyxy[positive]
    target = centerness(_prior_centres(raw, positive), boxes)
    total = mean_over_processes(target.sum()).clamp(min=SMALLEST_TOTAL)
    focal = focal_rows(raw.class_logits, assignment.labels) * assignment.weights
    rated = functional.binary_cross_entropy_with_logits(raw.centerness_logits[positive], target, reduction="sum")
    terms = {
        "focal": focal.sum() / assignment.normaliser,
        "box": box_weight * (target * iou_rows(raw.boxes_xyxy[positive], boxes, "giou")).sum() / total,
        "centerness": rated / assignment.normaliser,
    }
    if raw.box_logits is not None:
        distribution = (target * distribution_rows(raw, assignment)).sum()
        terms["distribution_focal"] = DISTRIBUTION_WEIGHT * distribution / SIDES / total
    return terms


def _prior_centres(raw: DenseRaw2D, positive: Tensor) -> Tensor:
    """Return the centres (P,2) of the priors of the positives (B,N)."""
    return centres(raw.priors_xyxy).expand(*positive.shape, 2)[positive]
