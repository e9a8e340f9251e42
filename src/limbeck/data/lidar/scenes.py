"""A street as a rotating LiDAR on a car sees it: points, and the boxes of what is to be found, from a seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.data.lidar.casting import Rays, cast
from limbeck.data.lidar.config import LidarSceneConfig
from limbeck.data.lidar.layout import draw_street
from limbeck.data.lidar.sensor import measure
from limbeck.data.lidar.solids import NOBODY


@dataclass(frozen=True, slots=True, eq=False)
class LidarScene:
    """One frame of M objects. The LiDAR is the origin; x points ahead, y to the left, z up, in metres.

    Attributes:
        points: (P,4) float32, x, y, z and the intensity from 0 to 1, in the order in which the LiDAR turns: from the
            right behind it counter-clockwise, and in each azimuth from the lowest ring up.
        boxes: (M,7) float32, coded as in `limbeck.core.samples.Boxes3D`; without the noise of the range, all points of
            an object are in its box.
        labels: (M,) int64, see `limbeck.data.lidar.config.RoadUser`.
        num_points: (M,) int64, how many of the points are on each object; points of the ground that lie in its box do
            not count. 0 where it is hidden or too far away.
        velocities: (M,2) float32, over the ground, metres per second along x and y.
    """

    points: NDArray[np.float32]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    num_points: NDArray[np.int64]
    velocities: NDArray[np.float32]


def lidar_scene(seed: int | Sequence[int], config: LidarSceneConfig | None = None) -> LidarScene:
    """Make a scene; the same seed and settings give the same bits.

    Street and sensor are drawn apart, so that one seed shows the same street with more rings, noise or dropout.

    Args:
        seed: A number, or several, none below 0.
        config: What the scenes look like; None for the defaults.
    """
    config = config or LidarSceneConfig()
    layout, sensor = (np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(2))
    street = draw_street(layout, config)
    rays = Rays.of(config, phase=sensor.random())
    returns = measure(sensor, street, rays, cast(street, rays, config.max_range), config)
    owners = np.array([*(solid.owner for solid in street.solids), NOBODY])[returns.solid]
    count = len(street.objects)
    return LidarScene(
        points=returns.points,
        boxes=np.array([one.box for one in street.objects], np.float32).reshape(count, 7),
        labels=np.array([one.label for one in street.objects], np.int64),
        num_points=np.bincount(owners[owners != NOBODY], minlength=count).astype(np.int64),
        velocities=np.array([one.velocity for one in street.objects], np.float32).reshape(count, 2),
    )
