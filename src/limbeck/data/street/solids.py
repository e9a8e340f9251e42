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

from limbeck.data.shapes import CURVED, Floats, Shape, Singles, Vector
from limbeck.data.street.config import Label
from limbeck.data.street.materials import Decal, Material

AnyFloats = TypeVar("AnyFloats", Floats, Singles)

CORNER_SIGNS = np.array([(x, y, z) for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])


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
        singles = local.astype(np.float32)
        normals, face = self.shape.faces(singles)
        if self.is_dent:
            return Surface(turned(-normals, self.yaw), singles[[0, 2]], face)
        return Surface(turned(normals, self.yaw), _unfold(self.shape, singles, face), face)


def _unfold(shape: Shape, points: Singles, face: NDArray[np.intp]) -> Singles:
    x, y, z = points
    along = np.where(face < 2, z, x)
    if shape.curved:
        along = np.where(face == CURVED, np.float32(shape.half[0]) * np.arctan2(x, z), along)
    flat = (face == 2) | (face == 3)
    return np.stack([along, np.where(flat, z, np.float32(shape.half[1]) - y)])


def turned(vectors: AnyFloats, angle: float) -> AnyFloats:
    """Turn vectors (3,...) around the vertical axis, from x to z, by an angle in radians."""
    if angle == 0:
        return vectors
    x, y, z = vectors
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.stack([cosine * x - sine * z, y, sine * x + cosine * z])
