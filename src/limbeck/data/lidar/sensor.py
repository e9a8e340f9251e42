"""What a LiDAR makes of what its rays meet: points with noise, some of them lost, and their intensity."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.data.lidar.casting import GROUND, Hits, Rays
from limbeck.data.lidar.config import LidarSceneConfig
from limbeck.data.lidar.layout import Street
from limbeck.data.shapes import Floats

GRAZING = 4.0
"""A point is lost this many times more often, on top, where the ray grazes the surface."""
SPECKLE, FLOOR = 0.1, 0.02
"""Noise of the intensity: a share of it, and what is added."""


class Returns(NamedTuple):
    """What was measured, in the order of the azimuths and, in each, from the lowest ring up.

    Attributes:
        points: (P,4) float32, x, y, z in metres, intensity from 0 to 1.
        solid: (P,) number of the solid that each point is on, or `GROUND`.
    """

    points: NDArray[np.float32]
    solid: NDArray[np.intp]


def measure(rng: np.random.Generator, street: Street, rays: Rays, hits: Hits, config: LidarSceneConfig) -> Returns:
    """Return the points of a frame."""
    is_kept = hits.ranges <= config.max_range
    is_kept &= rng.random(hits.ranges.shape) >= _loss(hits, config)
    directions = rays.directions()[:, is_kept]
    ranges, cosines, solid = hits.ranges[is_kept], hits.cosines[is_kept], hits.solid[is_kept]
    x, y = ranges * directions[:2]
    reflectance = np.array([*(one.reflectance for one in street.solids), 0.0])[solid]
    reflectance = np.where(solid == GROUND, street.ground.reflectance(x, y), reflectance)
    deviation = config.range_noise * (1 + ranges / config.max_range)
    measured = ranges + deviation * rng.standard_normal(len(ranges))
    light = reflectance * (0.3 + 0.7 * cosines) * (1 + SPECKLE * rng.standard_normal(len(ranges)))
    light += FLOOR * rng.standard_normal(len(ranges))
    points = np.column_stack([(measured * directions).T, light.clip(0, 1)])
    return Returns(points.astype(np.float32), solid)


def _loss(hits: Hits, config: LidarSceneConfig) -> Floats:
    """Return how probable it is that each point is lost, see `LidarSceneConfig.dropout`."""
    graze = 1 + GRAZING * np.square(1 - hits.cosines)
    return np.asarray(config.dropout * np.minimum(hits.ranges / config.max_range, 1) * graze)
