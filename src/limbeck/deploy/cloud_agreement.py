"""How closely two engines agree on the boxes of one point cloud."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.config import CloudExportConfig
from limbeck.core.outputs import Detections3D
from limbeck.deploy.parity import larger
from limbeck.ops.boxes3d import wrap_angle

SAME_BOX = 0.5
"""Boxes of two engines that differ by more, in metres or radians, are never the same one."""


@dataclass(frozen=True, slots=True)
class CloudAgreement:
    """How closely two engines agree on boxes, in one point cloud or in many.

    Attributes:
        boxes: Boxes of PyTorch.
        unmatched: Boxes that only one engine has, or to which they give different classes, though that is no borderline
            case.
        box_difference: Largest difference of a coordinate or size in metres, of a heading in radians or of a velocity
            in metres per second, over the boxes that both have.
        score_difference: Largest difference of a score over them.
    """

    boxes: int = 0
    unmatched: int = 0
    box_difference: float = 0.0
    score_difference: float = 0.0

    def __add__(self, other: CloudAgreement) -> CloudAgreement:
        return CloudAgreement(
            self.boxes + other.boxes,
            self.unmatched + other.unmatched,
            larger(self.box_difference, other.box_difference),
            larger(self.score_difference, other.score_difference),
        )

    def problems(self, limits: CloudExportConfig) -> list[str]:
        """Name each number that is over its limit."""
        found = []
        if self.unmatched:
            found.append(f"{self.unmatched} of {self.boxes} boxes have no counterpart")
        if not self.box_difference <= limits.max_box_difference:
            found.append(f"a box differs by {self.box_difference:.3g} m (limit {limits.max_box_difference:g})")
        if not self.score_difference <= limits.max_score_difference:
            found.append(f"a score differs by {self.score_difference:.3g} (limit {limits.max_score_difference:g})")
        return found


def compare(
    ours: Detections3D, theirs: Detections3D, floors: tuple[float, float] = (0.0, 0.0), sure: Tensor | None = None
) -> CloudAgreement:
    """Compare the boxes of two engines in one cloud, in any order.

    Two boxes are the same one if each is the other's nearest by box and score, and if they differ by no more than
    `SAME_BOX`.

    Args:
        ours: Those of PyTorch.
        theirs: Those of the other engine.
        floors: The score above which one of ours, and one of theirs, must have a counterpart.
        sure: (D,) bool, whether PyTorch is sure of the class of each of ours; None where it is of all.
    """
    apart = _apart(ours, theirs)
    rows, columns = _nearest(apart, ours.scores, theirs.scores)
    other_class = ours.labels[rows] != theirs.labels[columns]
    if sure is not None:
        other_class &= sure[rows]
    alone = _alone(ours, rows, floors[0]) + _alone(theirs, columns, floors[1])
    scores = (ours.scores[rows] - theirs.scores[columns]).abs()
    return CloudAgreement(
        boxes=len(ours),
        unmatched=alone + int(other_class.sum()),
        box_difference=float(apart[rows, columns].max()) if len(rows) else 0.0,
        score_difference=float(scores.max()) if len(rows) else 0.0,
    )


def _apart(ours: Detections3D, theirs: Detections3D) -> Tensor:
    """Return the largest difference (N,M) of each two boxes in any of their numbers; a turn by 2 pi is none."""
    sides = [
        torch.cat([side.boxes[:, :6], *(() if side.velocities is None else (side.velocities,))], dim=1)
        for side in (ours, theirs)
    ]
    apart = (sides[0][:, None] - sides[1]).abs().amax(dim=2)
    return apart.maximum(wrap_angle(ours.boxes[:, None, 6] - theirs.boxes[:, 6]).abs())


def _nearest(apart: Tensor, ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places (P,) of the boxes that are the same one, in ours and in theirs."""
    if not apart.numel():
        nothing = torch.zeros(0, dtype=torch.int64)
        return nothing, nothing
    cost = (apart + (ours[:, None] - theirs).abs()).nan_to_num(nan=torch.inf)
    there, back = cost.argmin(dim=1), cost.argmin(dim=0)
    rows = torch.arange(len(ours))
    rows = rows[(back[there] == rows) & (apart[rows, there] <= SAME_BOX)]
    return rows, there[rows]


def _alone(found: Detections3D, matched: Tensor, floor: float) -> int:
    alone = torch.ones(len(found), dtype=torch.bool)
    alone[matched] = False
    return int((alone & ~(found.scores <= floor)).sum())
