"""Casting the rays of a LiDAR: what each of them meets first.

A solid is only tested against the rings and azimuths that its box can be seen under.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.data.lidar.config import ELEVATIONS_DEG, LidarSceneConfig
from limbeck.data.lidar.layout import Street
from limbeck.data.lidar.solids import Solid
from limbeck.data.shapes import Floats

GROUND = -1
"""Stands for the number of a solid where a ray meets the ground."""


@dataclass(frozen=True, slots=True)
class Rays:
    """The rays of one turn of a LiDAR.

    Attributes:
        azimuths: (A,) radians, counter-clockwise from straight ahead, rising.
        elevations: (R,) radians above the horizon, rising.
    """

    azimuths: Floats
    elevations: Floats

    @classmethod
    def of(cls, config: LidarSceneConfig, phase: float = 0.5) -> Rays:
        """Return the rays of a LiDAR; its first azimuth is ``phase`` steps, 0 to 1, after the start of its view."""
        count = round(config.field_of_view / config.azimuth_step)
        azimuths = ((np.arange(count) + phase) / count - 0.5) * config.field_of_view
        return cls(np.radians(azimuths), np.radians(np.linspace(*ELEVATIONS_DEG, config.rings)))

    def directions(self) -> Floats:
        """Return their directions, (3,A,R), of length 1."""
        azimuths, elevations = self.azimuths[:, None], self.elevations[None]
        level = np.cos(elevations)
        vectors = np.cos(azimuths) * level, np.sin(azimuths) * level, np.sin(elevations)
        return np.stack(np.broadcast_arrays(*vectors))


class Hits(NamedTuple):
    """What rays meet first.

    Attributes:
        ranges: (A,R) metres, infinity where a ray meets nothing.
        cosines: (A,R) between the ray and the normal of the surface; of no meaning where a ray
            meets nothing.
        solid: (A,R) number of the solid, or `GROUND`.
    """

    ranges: Floats
    cosines: Floats
    solid: NDArray[np.intp]


def cast(street: Street, rays: Rays, reach: float) -> Hits:
    """Return what rays meet first.

    Args:
        street: The scene.
        rays: The rays.
        reach: How far the ground goes on, in metres.
    """
    directions = rays.directions()
    ranges, cosines = street.ground.met(rays.azimuths, rays.elevations, reach)
    number = np.full(ranges.shape, GROUND, np.intp)
    for index, block in _blocks(street.solids, rays):
        found = street.solids[index].hit(directions[:, *block])
        is_nearer = found < ranges[block]
        np.copyto(ranges[block], found, where=is_nearer)
        np.copyto(number[block], index, where=is_nearer)
    flat = directions.reshape(3, -1)
    for index, places in _rays_of_each(number):
        cosines.flat[places] = street.solids[index].incidence(flat[:, places], ranges.flat[places])
    return Hits(ranges, cosines, number)


def _rays_of_each(number: NDArray[np.intp]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield for each solid that is met the places of its rays among all, azimuth by azimuth."""
    order = np.argsort(number, axis=None, kind="stable")
    solids, starts = np.unique(number.ravel()[order], return_index=True)
    for solid, places in zip(solids, np.split(order, starts[1:]), strict=True):
        if solid != GROUND:
            yield int(solid), places


Block = tuple[slice, slice]
"""Some of the azimuths and of the rings."""


def _blocks(solids: Sequence[Solid], rays: Rays) -> Iterator[tuple[int, Block]]:
    """Yield for each solid the blocks of rays that may meet it; one that lies across the back has two."""
    if not solids:
        return
    left, right, bottom, top = _bounds(solids)
    rings = np.searchsorted(rays.elevations, bottom), np.searchsorted(rays.elevations, top, "right")
    turns = 2 * math.pi * np.array([-1.0, 0.0, 1.0])
    columns = (
        np.searchsorted(rays.azimuths, right[:, None] + turns),
        np.searchsorted(rays.azimuths, left[:, None] + turns, "right"),
    )
    is_seen = (columns[0] < columns[1]) & (rings[0] < rings[1])[:, None]
    for index, turn in zip(*np.nonzero(is_seen), strict=True):
        block = slice(columns[0][index, turn], columns[1][index, turn]), slice(rings[0][index], rings[1][index])
        yield int(index), block


def _bounds(solids: Sequence[Solid]) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the largest and the least azimuth and the least and the largest elevation of the boxes around S solids."""
    centres = np.array([solid.centre for solid in solids])
    halves = np.array([solid.shape.half for solid in solids])
    yaws = np.array([solid.yaw for solid in solids])
    cosines, sines = np.cos(yaws), np.sin(yaws)
    signs = np.array([(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)])
    ahead, beside = (signs * halves[:, None, :2]).transpose(2, 1, 0)  # (4,S)
    x = centres[:, 0] + cosines * ahead - sines * beside
    y = centres[:, 1] + sines * ahead + cosines * beside
    middle = np.arctan2(centres[:, 1], centres[:, 0])
    aside = np.remainder(np.arctan2(y, x) - middle + math.pi, 2 * math.pi) - math.pi
    here = np.stack([-cosines * centres[:, 0] - sines * centres[:, 1], sines * centres[:, 0] - cosines * centres[:, 1]])
    nearest = np.hypot(*(np.abs(here) - halves[:, :2].T).clip(0))  # 0 where the LiDAR is over or under the box
    farthest = np.hypot(x, y).max(axis=0)
    is_around = nearest == 0
    left = np.where(is_around, math.pi, middle + aside.max(axis=0))
    right = np.where(is_around, -math.pi, middle + aside.min(axis=0))
    low, high = centres[:, 2] - halves[:, 2], centres[:, 2] + halves[:, 2]
    bottom = np.arctan2(low, np.where(low > 0, farthest, nearest))
    top = np.arctan2(high, np.where(high > 0, nearest, farthest))
    return left, right, bottom, top
