"""What all LiDAR detectors with a centre head share: assignment, supervised losses, the final boxes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from limbeck.core.centre import HEAT_MAP, CentreAssignment, CentreRaw, CentreSpec, box_codes
from limbeck.core.centre_targets import Peaks, assign_group
from limbeck.core.model import Model
from limbeck.core.outputs import Detections3D
from limbeck.core.samples import Batch, Boxes3D
from limbeck.errors import IncompatibleError
from limbeck.losses.centre import code_l1, heat_map_focal, heat_map_probs
from limbeck.ops.boxes3d import circle_nms, rotated_nms
from limbeck.ops.centre import decode_boxes
from limbeck.ops.pillars import Pillars, group_points


class Postprocess3D(BaseModel):
    """Settings of the last step, from heat maps to final boxes.

    Attributes:
        score_threshold: Boxes with a lower score are left out.
        nms: Boxes of a group fall to better ones by ``rotated`` overlap or, as for nuScenes, by the distance of their
            centres (``circle``).
        nms_iou: Overlap seen from above beyond which a box falls.
        circle: Squared distance in square metres up to which a box falls; one number, or one for each group.
        post_range: Boxes whose centre is outside are left out: least x, y, z and largest x, y, z in metres.
        pre_nms: So many boxes of a group and sample are looked at, best first.
        max_detections: So many of them are left at most.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    score_threshold: float = Field(0.1, ge=0, lt=1)
    nms: Literal["rotated", "circle"] = "rotated"
    nms_iou: float = Field(0.7, gt=0, le=1)
    circle: float | tuple[float, ...] = 4.0
    post_range: tuple[float, float, float, float, float, float] | None = None
    pre_nms: int = Field(1000, ge=1)
    max_detections: int = Field(500, ge=1)

    def circle_of(self, group: int) -> float:
        """Return the squared distance for a group."""
        return self.circle[group] if isinstance(self.circle, tuple) else self.circle


class CentreDetector(Model[Boxes3D, CentreRaw, CentreAssignment, Detections3D]):
    """A LiDAR detector with a centre head. Abstract: a model says what `map_view` and `head` are.

    Attributes:
        peaks: How objects are drawn on the heat maps.
        postprocess: How boxes are chosen.
        box_weight: Weight of the box terms.
        code_weights: (D,) weights of the numbers of a box code.
    """

    spec: CentreSpec
    peaks: Peaks
    postprocess: Postprocess3D
    box_weight: float
    code_weights: tuple[float, ...]

    def features(self, batch: Batch[Boxes3D]) -> list[Tensor]:
        """Return the map seen from above, (B,C,H,W).

        Raises:
            IncompatibleError: The points have other values than the model reads.
        """
        spec = self.spec
        if batch.points.shape[1] != spec.point_features:
            raise IncompatibleError(
                f"The model reads {spec.point_features} values of a point and the data gives {batch.points.shape[1]}; "
                "see point_features of the model and features of the data."
            )
        return [self.map_view(group_points(batch.points, batch.counts, spec.grid, spec.max_points), len(batch.counts))]

    @abstractmethod
    def map_view(self, pillars: Pillars, batch_size: int) -> Tensor:
        """Return the map seen from above, (B,C,H,W), of points that are sorted into pillars."""

    def assign(self, raw: CentreRaw, batch: Batch[Boxes3D]) -> CentreAssignment:
        """Return heat maps, cells and box codes of the objects of a batch."""
        groups = [assign_group(batch.targets, self.spec, number, self.peaks) for number in range(len(self.spec.groups))]
        total = torch.stack([group.count for group in groups]).sum()
        return CentreAssignment(total.clamp(min=1), groups)

    def losses(self, raw: CentreRaw, assignment: CentreAssignment, batch: Batch[Boxes3D]) -> dict[str, Tensor]:
        """Return ``heat_map`` and ``boxes``, each summed over the groups."""
        heat, boxes = [], []
        for maps, targets in zip(raw.groups, assignment.groups, strict=True):
            probs = heat_map_probs(maps[HEAT_MAP])
            objects = targets.index, targets.mask
            heat.append(heat_map_focal(probs, targets.heat_map, *objects, targets.labels, targets.count))
            rows = code_l1(box_codes(maps), targets.codes, *objects, targets.count)
            boxes.append((rows * rows.new_tensor(self.code_weights)).sum())
        return {"heat_map": torch.stack(heat).sum(), "boxes": self.box_weight * torch.stack(boxes).sum()}

    def predict(self, raw: CentreRaw, batch: Batch[Boxes3D]) -> list[Detections3D]:
        """Return the final boxes of every sample in the frame of the LiDAR, best first."""
        parts = [self._of_group(number, maps) for number, maps in enumerate(raw.groups)]
        return [_best_first(of_sample) for of_sample in zip(*parts, strict=True)]

    def _of_group(self, number: int, maps: dict[str, Tensor]) -> list[Detections3D]:
        found = candidates(maps, self.spec, number, self.postprocess.pre_nms)
        return [choose(Detections3D(*row), self.postprocess, number) for row in zip(*found, strict=True)]


def candidates(maps: dict[str, Tensor], spec: CentreSpec, group: int, count: int) -> tuple[Tensor, ...]:
    """Return the best boxes of a group before any choice.

    Args:
        maps: The maps (B,C,H,W) of the group by branch.
        spec: Spec of the model.
        group: Number of the group.
        count: So many boxes D of each sample, or all cells where there are fewer.

    Returns:
        Boxes (B,D,7), scores (B,D) falling, labels (B,D) in the classes of the model, and, where the head has them,
        velocities (B,D,2).
    """
    width = spec.map_hw[1]
    scores, labels = maps[HEAT_MAP].float().sigmoid().flatten(2).max(dim=1)
    scores, cells = scores.topk(min(count, scores.shape[1]), dim=1)
    flat = box_codes(maps).float().flatten(2).transpose(1, 2)
    codes = flat.gather(1, cells[..., None].expand(-1, -1, flat.shape[2]))
    velocities = (codes[..., 6:8],) if "vel" in maps else ()
    codes = torch.cat([codes[..., :6], codes[..., -2:]], dim=-1)
    boxes = decode_boxes(codes, cells, width, spec.cell_xy, spec.grid.range_xyz[:2])
    names = torch.tensor(spec.class_groups[group], device=labels.device)
    return boxes, scores, names[labels.gather(1, cells)], *velocities


def choose(found: Detections3D, postprocess: Postprocess3D, group: int) -> Detections3D:
    """Return those of the candidates of one group and sample that are left by the score and by suppression."""
    enough = found.scores > postprocess.score_threshold
    if postprocess.post_range is not None:
        low, high = found.boxes.new_tensor(postprocess.post_range).split(3)
        enough &= ((found.boxes[:, :3] >= low) & (found.boxes[:, :3] <= high)).all(dim=1)
    boxes, scores = found.boxes[enough], found.scores[enough]
    if postprocess.nms == "rotated":
        keep = rotated_nms(boxes, scores, postprocess.nms_iou)
    else:
        keep = circle_nms(boxes, scores, postprocess.circle_of(group))
    keep = enough.nonzero()[keep[: postprocess.max_detections], 0]
    velocities = None if found.velocities is None else found.velocities[keep]
    return Detections3D(found.boxes[keep], found.scores[keep], found.labels[keep], velocities)


def _best_first(parts: Sequence[Detections3D]) -> Detections3D:
    """Return the detections of all groups together."""
    scores = torch.cat([part.scores for part in parts])
    order = scores.argsort(descending=True, stable=True)
    boxes, labels = (torch.cat(rows)[order] for rows in ([p.boxes for p in parts], [p.labels for p in parts]))
    known = [part.velocities for part in parts if part.velocities is not None]
    return Detections3D(boxes, scores[order], labels, torch.cat(known)[order] if known else None)
