"""Shapes that a ray can be cast at, in closed form: boxes, cylinders and ellipsoids around the origin.

Coordinates stand in the first axis of an array: points and directions are (3,...).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Vector = tuple[float, float, float]

CURVED = 6
"""The face of a point on the curved part of a shape; the flat faces are -x, +x, -y, +y, -z, +z from 0 on."""
FACE_NORMALS = (np.repeat(np.eye(3), 2, axis=1) * np.tile([-1.0, 1.0], 3)).astype(np.float32)
"""Outward normals (3,6) of the flat faces."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is within ``half`` of the origin on each flat axis, and within the ellipse of ``half`` on the curved ones.

    Without curved axes it is a box, with two a cylinder along the third, with three an ellipsoid.

    Attributes:
        half: Half the extent along x, y and z.
        curved: The axes that share an ellipse.
    """

    half: Vector
    curved: tuple[int, ...] = ()

    def interval(self, origin: Floats, directions: Floats) -> tuple[Floats, Floats]:
        """Return the ray parameters at which rays go in and come out; a ray that misses goes in after it comes out.

        Args:
            origin: (3,) or (3,...), in the frame of the shape.
            directions: (3,...) or (3,1), of any length; a parameter counts in this length.
        """
        enter, leave = np.asarray(-math.inf), np.asarray(math.inf)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.curved:
                enter, leave = self._within_ellipse(origin, directions)
            for axis in {0, 1, 2}.difference(self.curved):
                inverse = 1 / directions[axis]
                middle, reach = -origin[axis] * inverse, self.half[axis] * np.abs(inverse)
                enter, leave = np.fmax(enter, middle - reach), np.fmin(leave, middle + reach)
        return enter, leave

    def _within_ellipse(self, origin: Floats, directions: Floats) -> tuple[Floats, Floats]:
        """Solve a t^2 + 2 b t + c = 0, the sum over the curved axes of ((o + t d) / half)^2 less 1."""
        scaled = [(origin[axis] / self.half[axis], directions[axis] / self.half[axis]) for axis in self.curved]
        a = sum(d * d for _, d in scaled)
        b = sum(o * d for o, d in scaled)
        c = sum(o * o for o, _ in scaled) - 1
        middle, reach = -b / a, np.sqrt(np.asarray(b * b - a * c)) / a
        missed = np.isnan(reach)
        return np.where(missed, math.inf, middle - reach), np.where(missed, -math.inf, middle + reach)

    def faces(self, points: Singles) -> tuple[Singles, NDArray[np.intp]]:
        """Return the outward normals (3,N) at points (3,N) on the surface, and their faces (N,), see `CURVED`."""
        parts = points / np.array(self.half, np.float32)[:, None]
        x, y, z = (
            np.zeros_like(part) if axis in self.curved else np.abs(part)  # 1 on the face of this axis, else less
            for axis, part in enumerate(parts)
        )
        is_z, is_y = z > np.maximum(x, y), y > x
        face = np.where(is_z, 4 + (points[2] > 0), np.where(is_y, 2 + (points[1] > 0), points[0] > 0))
        normals = FACE_NORMALS.take(face, axis=1)
        if self.curved:
            is_round = sum(np.square(parts[axis]) for axis in self.curved) > np.square(np.maximum(np.maximum(x, y), z))
            gradient = np.zeros_like(points)
            for axis in self.curved:
                gradient[axis] = parts[axis] / np.float32(self.half[axis])
            normals = np.where(is_round, gradient / np.sqrt(np.square(gradient).sum(axis=0)), normals)
            face = np.where(is_round, CURVED, face)
        return normals, face
