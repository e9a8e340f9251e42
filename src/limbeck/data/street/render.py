"""Casting the rays of the camera: what every pixel shows and how far away it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.data.shapes import Floats
from limbeck.data.street.solids import Solid
from limbeck.data.street.viewpoint import Viewpoint

NOTHING = -1
ROAD = 0
"""The number of the road among the solids of a street."""


@dataclass(frozen=True, slots=True)
class Hits:
    """What the rays of a camera met.

    Attributes:
        depth: (H,W) depth along the axis of the camera in metres; infinity where there is nothing.
        solid: (H,W) number of the solid; `NOTHING` where there is none.
    """

    depth: Floats
    solid: NDArray[np.int16]


def cast(solids: Sequence[Solid], viewpoint: Viewpoint, rays: Floats) -> Hits:
    """Return the nearest solid along each ray; a solid is tried only in the rectangle of pixels around it.

    Args:
        solids: What there is: the road, then the dents in it, then all else.
        viewpoint: The camera.
        rays: Its rays, (3,H,W).
    """
    origin = np.array(viewpoint.position)
    hits = Hits(np.full(rays.shape[1:], math.inf), np.full(rays.shape[1:], NOTHING, np.int16))
    rectangles = viewpoint.rectangles(np.stack([solid.corners() for solid in solids]))
    for number, (left, right, top, bottom) in enumerate(rectangles.tolist()):
        if left >= right or top >= bottom:
            continue
        solid, window = solids[number], np.s_[top:bottom, left:right]
        depth, there = hits.depth[window], hits.solid[window]
        if solid.is_dent:
            found = solid.far_side(origin, rays[:, *window])
            seen = (there == ROAD) & (found > depth) & np.isfinite(found)
        else:
            found = solid.hit(origin, rays[:, *window])
            seen = found < depth
        np.copyto(depth, found, where=seen)
        np.copyto(there, number, where=seen)
    return hits
