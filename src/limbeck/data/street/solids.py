"""Solids that a ray can be cast at, in closed form: boxes, cylinders, ellipsoids, and dents in the ground.

The world has x to the right, y down and z along the street, in metres; the road is the plane y = 0. Coordinates stand
in the first axis of an array: points and directions are (3,...).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from limbeck.data.street.config import Label
from limbeck.data.street.materials import Decal, Material

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
AnyFloats = TypeVar("AnyFloats", Floats, Singles)
Vector = tuple[float, float, float]

CURVED = 6
"""The face of a point on the curved part of a solid; the flat faces are -x, +x, -y, +y, -z, +z from 0 on."""
CORNER_SIGNS = np.array([(x, y, z) for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
FACE_NORMALS = (np.repeat(np.eye(3), 2, axis=1) * np.tile([-1.0, 1.0], 3)).astype(np.float32)
"""Outward normals (3,6) of the flat faces."""


class Surface(NamedTuple):
    """Points on a solid.

    Attributes:
        normals: (3,N), outward, in the frame of the solid.
        uv: (2,N) metres along the face from its middle, and up from the bottom of the solid (on a face that looks up
            or down: along x and z from the middle).
        face: (N,) which face, see `CURVED`.
    """

    normals: Singles
    uv: Singles
    face: NDArray[np.intp]


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

    def surface(self, points: Singles) -> Surface:
        """Return what lies at points (3,N) on the surface."""
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
        return Surface(normals, self._unfold(points, face), face)

    def _unfold(self, points: Singles, face: NDArray[np.intp]) -> Singles:
        x, y, z = points
        along = np.where(face < 2, z, x)
        if self.curved:
            along = np.where(face == CURVED, np.float32(self.half[0]) * np.arctan2(x, z), along)
        flat = (face == 2) | (face == 3)
        return np.stack([along, np.where(flat, z, np.float32(self.half[1]) - y)])


@dataclass(frozen=True, slots=True)
class Solid:
    """A shape somewhere in the world.

    Attributes:
        shape: The shape.
        centre: Where its origin is.
        label: The class of its pixels.
        material: What it is made of.
        yaw: How far it is turned around the vertical axis, in radians; from x to z.
        decals: What is painted on it, the later ones over the earlier.
        is_dent: Whether it is cut out of the road: what is seen of it is its far side, through the ground.
    """

    shape: Shape
    centre: Vector
    label: Label
    material: Material
    yaw: float = 0.0
    decals: tuple[Decal, ...] = ()
    is_dent: bool = False

    def corners(self) -> Floats:
        """Return the corners of the box around it, (8,3)."""
        return turned((CORNER_SIGNS * self.shape.half).T, self.yaw).T + self.centre

    def hit(self, origin: Floats, directions: Floats) -> Floats:
        """Return the ray parameters at which rays from outside meet it, infinity where they miss or it lies behind.

        Args:
            origin: (3,), or (3,N) with one direction for all.
            directions: (3,...), or (3,1).
        """
        enter, leave = self._interval(origin, directions)
        return np.where((enter <= leave) & (enter > 0), enter, math.inf)

    def far_side(self, origin: Floats, directions: Floats) -> Floats:
        """Return the ray parameters at which rays come out of it, see `hit`."""
        enter, leave = self._interval(origin, directions)
        return np.where((enter <= leave) & (leave > 0), leave, math.inf)

    def _interval(self, origin: Floats, directions: Floats) -> tuple[Floats, Floats]:
        moved = (origin.T - np.array(self.centre)).T
        return self.shape.interval(turned(moved, -self.yaw), turned(directions, -self.yaw))

    def surface(self, points: Floats) -> Surface:
        """Return what lies at points (3,N) of the world on it, with normals in the world."""
        local = turned(points - np.array(self.centre)[:, None], -self.yaw)
        normals, uv, face = self.shape.surface(local.astype(np.float32))
        if self.is_dent:
            return Surface(turned(-normals, self.yaw), local[[0, 2]].astype(np.float32), face)
        return Surface(turned(normals, self.yaw), uv, face)


def turned(vectors: AnyFloats, angle: float) -> AnyFloats:
    """Turn vectors (3,...) around the vertical axis, from x to z, by an angle in radians."""
    if angle == 0:
        return vectors
    x, y, z = vectors
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.stack([cosine * x - sine * z, y, sine * x + cosine * z])
