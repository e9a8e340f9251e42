"""Solids that a ray of the LiDAR can meet, and the parts that things are built from.

The LiDAR is the origin; x points ahead, y to the left and z up, in metres. Coordinates stand in the first axis of an
array: directions are (3,...) and of length 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from limbeck.data.shapes import Floats, Shape, Vector

Span = tuple[float, float]
"""From where to where something reaches along an axis, in metres."""

UPRIGHT, CROSSWISE, ROUND = (0, 1), (0, 2), (0, 1, 2)
"""The curved axes of an upright cylinder, of one whose axis goes from left to right, and of an ellipsoid."""

NOBODY = -1
"""The owner of a solid that belongs to no object."""


class Part(NamedTuple):
    """A piece of a thing that stands on the ground at the origin and faces along x.

    Attributes:
        spans: What it fills along x, y and z.
        reflectance: Share of the light that it throws back, from 0 to 1.
        curved: The axes that share an ellipse; none makes a box.
    """

    spans: tuple[Span, Span, Span]
    reflectance: float
    curved: tuple[int, ...] = ()


def part(x: Span, y: Span, z: Span, reflectance: float, curved: tuple[int, ...] = ()) -> Part:
    """Return a part that reaches over these spans."""
    return Part((x, y, z), reflectance, curved)


def around(middle: float, half: float) -> Span:
    """Return the span ``half`` to either side of ``middle``."""
    return middle - half, middle + half


def extent(parts: Iterable[Part]) -> tuple[Span, Span, Span]:
    """Return what parts fill together along x, y and z."""
    x, y, z = zip(*(piece.spans for piece in parts), strict=True)
    return _hull(x), _hull(y), _hull(z)


def _hull(spans: Sequence[Span]) -> Span:
    return min(low for low, _ in spans), max(high for _, high in spans)


@dataclass(frozen=True, slots=True)
class Solid:
    """A shape somewhere in the world.

    Attributes:
        shape: The shape.
        centre: Where its middle is.
        yaw: How far it is turned about the vertical axis, in radians, counter-clockwise.
        reflectance: Share of the light that it throws back.
        owner: Number of the object that it belongs to, or `NOBODY`.
    """

    shape: Shape
    centre: Vector
    yaw: float
    reflectance: float
    owner: int = NOBODY

    def hit(self, directions: Floats) -> Floats:
        """Return the ranges (...) at which rays (3,...) from the LiDAR meet it, infinity where they miss."""
        enter, leave = self.shape.interval(self._origin(), turned(directions, -self.yaw))
        return np.where((enter <= leave) & (enter > 0), enter, math.inf)

    def incidence(self, directions: Floats, ranges: Floats) -> Floats:
        """Return the cosines (N,) between rays (3,N) that meet it at these ranges (N,) and its surface normal."""
        local = turned(directions, -self.yaw)
        points = self._origin()[:, None] + ranges * local
        normals = self.shape.faces(points.astype(np.float32))[0]
        return np.asarray(-(normals * local).sum(axis=0)).clip(0, 1)

    def _origin(self) -> Floats:
        """Return where the LiDAR is in the frame of the shape."""
        return turned(-np.array(self.centre), -self.yaw)


def placed(parts: Iterable[Part], foot: Vector, yaw: float, owner: int = NOBODY) -> list[Solid]:
    """Return a thing that stands at ``foot`` and faces ``yaw``."""
    cosine, sine = math.cos(yaw), math.sin(yaw)
    solids = []
    for spans, reflectance, curved in parts:
        x, y, z = ((low + high) / 2 for low, high in spans)
        half_x, half_y, half_z = ((high - low) / 2 for low, high in spans)
        centre = (foot[0] + cosine * x - sine * y, foot[1] + sine * x + cosine * y, foot[2] + z)
        solids.append(Solid(Shape((half_x, half_y, half_z), curved), centre, yaw, reflectance, owner))
    return solids


def turned(vectors: Floats, angle: float) -> Floats:
    """Turn vectors (3,...) about the vertical axis, counter-clockwise, by an angle in radians."""
    x, y, z = vectors
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.stack([cosine * x - sine * y, sine * x + cosine * y, z])
