"""Where the roads are: a street that the LiDAR is in, with parking strips and sidewalks, and one that may cross it.

Places in the street are ``along`` and ``across`` it in metres, across to the left; the LiDAR is at 0, 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from limbeck.data.shapes import Floats

LANE_M = 3.3
KERBSIDE_M, BAY_M = 2.3, 5.3
"""Width of a parking strip where cars stand along the street, and where they stand across it."""
SIDES = (-1, 1)
"""The right and the left side of the street."""


class Lane(NamedTuple):
    """A lane: the place of its middle across the street, and where its traffic goes, 1 ahead or -1 oncoming."""

    across: float
    direction: int


class Junction(NamedTuple):
    """Where a street crosses: the place of its middle along the street, and half its width."""

    along: float
    half: float


@dataclass(frozen=True, slots=True)
class Roads:
    """The roads of a scene; pairs are for the right and the left side.

    Attributes:
        yaw: Direction of the street in the frame of the LiDAR, in radians, counter-clockwise from x.
        lanes: The lanes, from the right to the left.
        edges: Where the road ends, parking strips included; the right one is negative.
        strips: Widths of the parking strips, 0 where there is none.
        walks: Widths of the sidewalks.
        junction: The street that crosses; None where none does.
    """

    yaw: float
    lanes: tuple[Lane, ...]
    edges: tuple[float, float]
    strips: tuple[float, float]
    walks: tuple[float, float]
    junction: Junction | None

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Roads:
        """Draw roads: one to five lanes, of which the LiDAR is in the one at 0."""
        right, left = int(rng.random() < 0.3), int(rng.integers(0, 4))
        ahead = int(rng.integers(0, left + 1)) if rng.random() < 0.3 else 0
        lanes = tuple(Lane(LANE_M * n, 1 if n <= ahead else -1) for n in range(-right, left + 1))
        strips = tuple(float(width) for width in rng.choice((0, KERBSIDE_M, BAY_M), 2, p=(0.25, 0.55, 0.2)))
        halves = [
            LANE_M * (n + 0.5) + strip + rng.uniform(0, 1) for n, strip in zip((right, left), strips, strict=True)
        ]
        junction = None
        if rng.random() < 0.5:
            way = 1 if rng.random() < 0.7 else -1
            junction = Junction(way * rng.uniform(8, 35), rng.uniform(4, 7))
        walks = (rng.uniform(1.8, 5.0), rng.uniform(1.8, 5.0))
        return cls(rng.normal(0, 0.08), lanes, (-halves[0], halves[1]), (strips[0], strips[1]), walks, junction)

    def edge(self, side: int) -> float:
        """Return where the road ends on the right (-1) or on the left (1)."""
        return self.edges[side > 0]

    def strip(self, side: int) -> float:
        """Return the width of the parking strip on a side."""
        return self.strips[side > 0]

    def walk(self, side: int) -> float:
        """Return the width of the sidewalk on a side."""
        return self.walks[side > 0]

    def to_lidar(self, along: float, across: float) -> tuple[float, float]:
        """Return x and y of a place in the street."""
        cosine, sine = math.cos(self.yaw), math.sin(self.yaw)
        return cosine * along - sine * across, sine * along + cosine * across

    def beside(self, x: Floats, y: Floats) -> Floats:
        """Return how far places (...) are beside the road, in metres; below 0 on it."""
        cosine, sine = math.cos(self.yaw), math.sin(self.yaw)
        across = cosine * y - sine * x
        away = np.maximum(across - self.edges[1], self.edges[0] - across)
        if self.junction is not None:
            along = cosine * x + sine * y
            away = np.minimum(away, np.abs(along - self.junction.along) - self.junction.half)
        return np.asarray(away)

    def crosses(self, along: float, margin: float = 0.0) -> bool:
        """Return whether a place along the street is in the junction or less than ``margin`` beside it."""
        return self.junction is not None and abs(along - self.junction.along) < self.junction.half + margin
