"""Which cell of a centre head answers for which object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from limbeck.core.centre import CODE, CentreSpec, CentreTargets
from limbeck.core.parallel import mean_over_processes
from limbeck.core.samples import Boxes3D
from limbeck.ops.centre import draw_peaks, encode_boxes, gaussian_radius


class Peaks(BaseModel):
    """How objects are drawn on the heat maps.

    Attributes:
        overlap: A box moved within its peak still overlaps itself by this much.
        min_radius: Least radius of a peak in cells.
        max_objects: Places for objects of one group in one sample; more have a peak and no place.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    overlap: float = Field(0.1, gt=0, lt=1)
    min_radius: int = Field(2, ge=0)
    max_objects: int = Field(500, ge=1)


def assign_group(targets: Sequence[Boxes3D], spec: CentreSpec, group: int, peaks: Peaks) -> CentreTargets:
    """Assign the objects of one group of classes to cells.

    An object lies in the cell of its centre, cut towards zero (the released code). Within a sample the objects are in
    the order of their classes; one beyond the map, or without length or width, leaves its place empty. An ignored
    object has a peak on the heat map, so that nothing is learnt around it, but no place among the objects.
    """
    height, width = spec.map_hw
    device = targets[0].boxes.device
    places = len(targets), peaks.max_objects
    index, labels = (torch.zeros(places, dtype=torch.int64, device=device) for _ in range(2))
    mask = torch.zeros(places, dtype=torch.bool, device=device)
    size = sum(spec.groups[group][name] for name in CODE if name in spec.groups[group])
    codes = torch.zeros((*places, size), device=device)
    drawn: list[tuple[Tensor, Tensor, Tensor]] = []
    for sample, target in enumerate(targets):
        found = _objects(target, spec, group, peaks)
        drawn.append((found.labels + sample * len(spec.class_groups[group]), found.cells_xy, found.radii))
        counts = (found.places >= 0) & (found.places < peaks.max_objects)
        place, cells_xy = found.places[counts], found.cells_xy[counts]
        index[sample, place] = cells_xy[:, 1] * width + cells_xy[:, 0]
        labels[sample, place], mask[sample, place] = found.labels[counts], True
        codes[sample, place] = found.codes[counts].to(codes.dtype)
    shape = len(targets), len(spec.class_groups[group]), height, width
    heat_map = draw_peaks(shape, *(torch.cat(part) for part in zip(*drawn, strict=True))).float()
    return CentreTargets(heat_map, index, mask, labels, codes, mean_over_processes(mask.sum().float()))


@dataclass(frozen=True, slots=True)
class _Objects:
    """The objects of a group in one sample that lie on the map.

    Attributes:
        places: (N,) int64, -1 for an ignored object.
        cells_xy: (N,2) int64.
        radii: (N,) int64, of their peaks in cells.
        labels: (N,) int64, class within the group.
        codes: (N,D).
    """

    places: Tensor
    cells_xy: Tensor
    radii: Tensor
    labels: Tensor
    codes: Tensor


def _objects(target: Boxes3D, spec: CentreSpec, group: int, peaks: Peaks) -> _Objects:
    classes = torch.tensor(spec.class_groups[group], device=target.labels.device)
    belongs = target.labels[:, None] == classes
    rows, labels = belongs.nonzero(as_tuple=True)
    labels, order = labels.sort(stable=True)
    rows = rows[order]
    counts = ~target.ignore[rows]
    places = torch.where(counts, counts.cumsum(0) - 1, -1)
    boxes = target.boxes[rows].float()
    low, cell = (boxes.new_tensor(pair) for pair in (spec.grid.range_xyz[:2], spec.cell_xy))
    centres = (boxes[:, :2] - low) / boxes.new_tensor(spec.grid.pillar_xy) / spec.stride
    cells = centres.trunc().long()
    height, width = spec.map_hw
    there = (boxes[:, 3:5] > 0).all(dim=1) & (cells >= 0).all(dim=1)
    there &= (cells[:, 0] < width) & (cells[:, 1] < height)
    rows, boxes, centres, cells = rows[there], boxes[there], centres[there], cells[there]
    length, across = (boxes[:, 3:5] / cell).T
    radii = gaussian_radius(length, across, peaks.overlap).int().clamp(min=peaks.min_radius).long()
    codes = encode_boxes(boxes, centres)
    if "vel" in spec.groups[group]:
        known = target.velocities
        velocities = codes.new_full((len(rows), 2), torch.nan) if known is None else known[rows].to(codes.dtype)
        codes = torch.cat([codes[:, :6], velocities, codes[:, 6:]], dim=1)
    return _Objects(places[there], cells, radii, labels[there], codes)
