"""The ground: a plane with a slight slope and long waves, and sidewalks a little higher than the road."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from limbeck.data.lidar.roads import Roads
from limbeck.data.shapes import Floats

SENSOR_HEIGHT_M = 1.8
STEP_M = 0.5
"""Along an azimuth the ground is a chain of straight pieces of this length; they differ from the waves by 1 mm."""
KERB_M = 0.4
"""Width of the ramp from the road up to the sidewalk."""
FIRST_M = 1.0
"""Distance at which the chain begins; no ray meets the ground before."""


class Wave(NamedTuple):
    """A wave of the ground: half its height in metres, radians per metre along x and y, and its phase."""

    height: float
    along_x: float
    along_y: float
    phase: float

    def at(self, x: Floats, y: Floats) -> Floats:
        """Return its height at places (...)."""
        return np.asarray(self.height * np.sin(self.along_x * x + self.along_y * y + self.phase))


@dataclass(frozen=True, slots=True)
class Ground:
    """The ground of a scene.

    Attributes:
        roads: Where the roads are.
        depth: How far it is below the LiDAR, in metres.
        slope: Metres that it rises in a metre along x and along y.
        waves: What is added to the plane.
        kerb: Height of the sidewalks above the road.
        reflectances: Of the road, of the sidewalks, and of what is behind them.
    """

    roads: Roads
    depth: float
    slope: tuple[float, float]
    waves: tuple[Wave, ...]
    kerb: float
    reflectances: tuple[float, float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator, roads: Roads) -> Ground:
        """Draw a ground under given roads."""
        waves = []
        for _ in range(3):
            pace, way = 2 * math.pi / rng.uniform(30, 80), rng.uniform(0, 2 * math.pi)
            waves.append(Wave(rng.uniform(0.02, 0.2), pace * math.cos(way), pace * math.sin(way), rng.uniform(0, 6.28)))
        slope = (rng.normal(0, 0.012), rng.normal(0, 0.008))
        reflectances = (rng.uniform(0.08, 0.25), rng.uniform(0.2, 0.4), rng.uniform(0.3, 0.5))
        depth = SENSOR_HEIGHT_M + rng.uniform(-0.1, 0.1)
        return cls(roads, depth, slope, tuple(waves), rng.uniform(0.08, 0.18), reflectances)

    def height(self, x: Floats, y: Floats) -> Floats:
        """Return the height z of the ground at places (...)."""
        zero = np.zeros(())
        height = self.slope[0] * x + self.slope[1] * y - self.depth
        for wave in self.waves:
            height = height + wave.at(x, y) - wave.at(zero, zero)
        return np.asarray(height + self.kerb * (self.roads.beside(x, y) / KERB_M).clip(0, 1))

    def foot(self, x: float, y: float) -> tuple[float, float, float]:
        """Return the point of the ground at a place."""
        return x, y, float(self.height(np.array(x), np.array(y)))

    def reflectance(self, x: Floats, y: Floats) -> Floats:
        """Return which share of the light the ground throws back at places (...)."""
        road, walk, field = self.reflectances
        away = self.roads.beside(x, y)
        return np.where(away < 0, road, np.where(away < max(self.roads.walks), walk, field))

    def met(self, azimuths: Floats, elevations: Floats, reach: float) -> tuple[Floats, Floats]:
        """Return where rays meet the ground first.

        Seen from the LiDAR, the end of each piece of the chain along an azimuth has a slope z / r. A ray meets the
        first piece whose far end has a larger slope than its own.

        Args:
            azimuths: (A,) radians, counter-clockwise from x.
            elevations: (R,) radians above the horizon.
            reach: The chain ends at this distance, in metres.

        Returns:
            (A,R) ranges, infinity where a ray meets no ground, and (A,R) cosines between ray and normal.
        """
        distances = np.arange(FIRST_M, reach + STEP_M, STEP_M)
        chains = self.height(np.cos(azimuths)[:, None] * distances, np.sin(azimuths)[:, None] * distances)
        highest = np.maximum.accumulate(chains / distances, axis=1)
        slopes = np.tan(elevations)
        ends = np.stack([(highest < slope).sum(axis=1) for slope in slopes], axis=1)
        is_met = ends < len(distances)
        ends = ends.clip(1, len(distances) - 1)
        rows = np.arange(len(azimuths))[:, None]
        near, far = (chains[rows, end] - distances[end] * slopes for end in (ends - 1, ends))
        along = distances[ends - 1] + STEP_M * near / np.where(is_met, near - far, 1)
        rise = (chains[rows, ends] - chains[rows, ends - 1]) / STEP_M
        cosines = (rise * np.cos(elevations) - np.sin(elevations)) / np.hypot(1, rise)
        return np.where(is_met, along / np.cos(elevations), math.inf), cosines.clip(0, 1)
