"""The contract of LiDAR detectors with a centre head (CenterPoint, arXiv 2006.11275): spec, raw output, targets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.core.model import ModelSpec
from limbeck.core.outputs import Assignment, RawOutput
from limbeck.errors import IncompatibleError
from limbeck.ops.pillars import PillarGrid

HEAT_MAP = "hm"
"""The branch of a head with a logit per class; the others code the box."""
CODE = ("reg", "height", "dim", "vel", "rot")
"""The branches that code a box, in the order of the code; ``vel`` is there where velocities are learnt."""


@dataclass(frozen=True, slots=True)
class CentreSpec(ModelSpec):
    """Spec of a LiDAR detector with a centre head.

    Attributes:
        grid: The pillars that it reads.
        point_features: Values of a point that it reads, x, y and z first.
        max_points: Points of a pillar that it looks at.
        stride: Pillars per cell of the maps of the head.
        groups: For each group of classes the branches of its head by name with their channels; see `CODE`.
        class_groups: The classes of each group, as indices into ``classes``.
        max_objects: Places for objects of one group in one sample.
    """

    grid: PillarGrid
    point_features: int
    max_points: int
    stride: float
    groups: tuple[dict[str, int], ...]
    class_groups: tuple[tuple[int, ...], ...]
    max_objects: int

    @property
    def map_hw(self) -> tuple[int, int]:
        """Height and width of the maps of the head in cells."""
        nx, ny = self.grid.size_xy
        return round(ny / self.stride), round(nx / self.stride)

    @property
    def cell_xy(self) -> tuple[float, float]:
        """Size of a cell of these maps in metres."""
        return self.grid.pillar_xy[0] * self.stride, self.grid.pillar_xy[1] * self.stride


@dataclass(slots=True)
class CentreRaw(RawOutput):
    """What a centre head gives; the only map of ``features`` is the one seen from above that the head works on.

    Attributes:
        groups: For each group of classes the maps (B,C,H,W) by branch; the heat map holds logits.
    """

    groups: list[dict[str, Tensor]]


@dataclass(slots=True)
class CentreTargets:
    """The objects of one group of classes.

    Attributes:
        heat_map: (B,K,H,W) float32, the peaks of the objects, ignored ones too.
        index: (B,M) int64, cell of the object in each place, counted row by row.
        mask: (B,M) bool, places that hold an object.
        labels: (B,M) int64, class within the group.
        codes: (B,M,D) float32, see `CODE`; a velocity that is not known is NaN.
        count: Scalar, the objects of the batch, averaged over the processes.
    """

    heat_map: Tensor
    index: Tensor
    mask: Tensor
    labels: Tensor
    codes: Tensor
    count: Tensor


@dataclass(slots=True)
class CentreAssignment(Assignment):
    """Assignment of a centre head.

    Attributes:
        groups: One per group of classes.
    """

    groups: list[CentreTargets]


def box_codes(maps: dict[str, Tensor]) -> Tensor:
    """Return the box codes (B,D,H,W) of the maps of a group, in the order of `CODE`."""
    return torch.cat([maps[name] for name in CODE if name in maps], dim=1)


def check_same_cells(method: str, student: ModelSpec, teacher: ModelSpec | None) -> CentreSpec:
    """Refuse a teacher whose cell i or class j is not the student's cell i or class j; returns its spec.

    Raises:
        IncompatibleError: There is no teacher, or its task, classes, groups or map differ.
    """
    if teacher is None:
        raise IncompatibleError(f"The method '{method}' needs a teacher and none was given.")
    if not isinstance(student, CentreSpec) or not isinstance(teacher, CentreSpec):
        raise IncompatibleError(f"The method '{method}' needs LiDAR detectors with a centre head on both sides.")
    if student.classes != teacher.classes or student.class_groups != teacher.class_groups:
        raise IncompatibleError(
            f"The method '{method}' needs the same classes in the same groups; the teacher has {list(teacher.classes)} "
            f"in groups {list(teacher.class_groups)} and the student {list(student.classes)} in groups "
            f"{list(student.class_groups)}."
        )
    if (student.grid.range_xyz, student.cell_xy) != (teacher.grid.range_xyz, teacher.cell_xy):
        raise IncompatibleError(
            f"The method '{method}' compares cell by cell; the teacher's cells are {teacher.cell_xy} m in the range "
            f"{list(teacher.grid.range_xyz)} and the student's {student.cell_xy} m in {list(student.grid.range_xyz)}."
        )
    return teacher


def check_ran(method: str, teacher: CentreRaw | None) -> CentreRaw:
    """Return the teacher's output.

    Raises:
        IncompatibleError: It is missing.
    """
    if teacher is None:
        raise IncompatibleError(f"The method '{method}' needs a teacher and none ran.")
    return teacher
