"""A point cloud to measure with, where there is no real one: how fast points are sorted depends on how they lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BEAMS = 32
LOWEST, HIGHEST = -25.0, 5.0
"""The elevation of the beams in degrees."""
HEIGHT = 1.8
"""Metres from the ground to the LiDAR."""
GROUND = 0.3
"""Where the ground is, as a share of the range along z."""


def typical_cloud(count: int, values: int, range_xyz: Sequence[float]) -> NDArray[np.float32]:
    """Return the points (P,F) that a LiDAR sees on a flat square between walls, the same ones every time.

    As in a street, the beams below the horizon make rings on the ground and the others stand upright on the walls, so
    that about a fifth as many pillars have a point as there are points.

    Args:
        count: How many points P.
        values: How many values F of each; all but x, y and z are noise.
        range_xyz: Least x, y, z and largest x, y, z in metres; all points are inside, around its middle.
    """
    low, high = np.reshape(np.asarray(range_xyz), (2, 3))
    steps = -(-count // BEAMS)
    turn = np.repeat(2 * np.pi * np.arange(steps) / max(steps, 1), BEAMS)
    slope = np.tile(np.tan(np.deg2rad(np.linspace(LOWEST, HIGHEST, BEAMS))), steps)
    walls = 0.35 + 0.2 * np.sin(2 * turn) + 0.15 * np.sin(7 * turn) + 0.1 * np.sin(31 * turn)
    reach = (high - low)[:2].min() / 2
    away = np.minimum(reach * walls, np.divide(HEIGHT, -slope, out=np.full(len(slope), np.inf), where=slope < 0))
    points = np.random.default_rng(0).random((len(turn), values))
    for axis, way in enumerate((np.cos(turn), np.sin(turn))):
        points[:, axis] = (low[axis] + high[axis]) / 2 + away / reach * way * (high - low)[axis] / 2
    ground = low[2] + GROUND * (high - low)[2]
    points[:, 2] = np.clip(ground + HEIGHT + away * slope, low[2], high[2] - 0.01 * (high - low)[2])
    return points[:count].astype(np.float32)
