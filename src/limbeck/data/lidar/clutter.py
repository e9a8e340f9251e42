"""What stands in a street and is none of the classes, but may look like one: posts like pedestrians, crates like cars.

Like the objects, it is built from parts that stand at the origin and face x. What may stand on a slope reaches a little
into the ground.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from limbeck.data.lidar.road_users import STEEL, bicycle
from limbeck.data.lidar.solids import ROUND, UPRIGHT, Part, around, part

SUNK_M = -0.3
LEAVES, BARK, FOIL = 0.45, 0.25, 0.95
"""Reflectances; the foil of a sign throws the light back to where it came from."""
CROWN_M = 2.6
"""Height of the crown of a tree above the ground: all cars are lower."""


def pole(rng: np.random.Generator) -> list[Part]:
    """Return a lamp post, or a lower one."""
    return [_post(rng.uniform(0.05, 0.15), rng.uniform(2.0, 7.0), STEEL)]


def sign(rng: np.random.Generator) -> list[Part]:
    """Return a traffic sign on a post; it faces along x."""
    middle, half = rng.uniform(1.3, 2.4), rng.uniform(0.25, 0.4)
    plate = part(around(-0.06, 0.02), around(0.0, half), around(middle, half), FOIL)
    return [_post(0.04, middle + half, STEEL), plate]


def meter(rng: np.random.Generator) -> list[Part]:
    """Return a parking meter or a stele: as high as a pedestrian and nearly as broad."""
    height, half = rng.uniform(1.2, 1.9), rng.uniform(0.12, 0.25)
    head = part(
        around(0.0, 0.8 * half), around(0.0, half), (rng.uniform(0.0, 0.7) * height, height), rng.uniform(0.2, 0.7)
    )
    return [_post(0.07, height, STEEL), head]


def bollard(rng: np.random.Generator) -> list[Part]:
    """Return a bollard or a litter bin."""
    return [_post(rng.uniform(0.08, 0.3), rng.uniform(0.7, 1.2), rng.uniform(0.1, 0.6))]


def tree(rng: np.random.Generator) -> list[Part]:
    """Return a trunk with a crown of several ellipsoids."""
    size = rng.uniform(0.9, 1.9)
    crown = []
    for _ in range(rng.integers(2, 5)):
        x, y, z = size * rng.uniform(-0.5, 0.5, 3)
        half = size * rng.uniform(0.6, 0.9, 3)
        bottom = CROWN_M + 0.5 * size + z
        crown.append(part(around(x, half[0]), around(y, half[1]), (bottom, bottom + 2 * half[2]), LEAVES, ROUND))
    return [_post(rng.uniform(0.08, 0.25), CROWN_M + 1.2 * size, BARK), *crown]


def bush(rng: np.random.Generator) -> list[Part]:
    """Return a bush of several ellipsoids, from knee height to that of a person."""
    height = rng.uniform(0.5, 1.9)
    parts = []
    for _ in range(rng.integers(1, 4)):
        x, y = rng.uniform(-0.3, 0.3, 2)
        half_x, half_y = rng.uniform(0.25, 0.7, 2)
        parts.append(part(around(x, half_x), around(y, half_y), (SUNK_M, height * rng.uniform(0.7, 1)), LEAVES, ROUND))
    return parts


def bench(rng: np.random.Generator) -> list[Part]:
    """Return a box from the size of a bench to that of a wardrobe."""
    half_x, half_y, height = rng.uniform(0.2, 0.9), rng.uniform(0.2, 0.9), rng.uniform(0.4, 1.8)
    return [part(around(0.0, half_x), around(0.0, half_y), (SUNK_M, height), rng.uniform(0.1, 0.7))]


def container(rng: np.random.Generator) -> list[Part]:
    """Return a skip, a trailer or a kiosk: as large as a car, but with no cabin."""
    half_x, half_y, height = rng.uniform(1.2, 2.8), rng.uniform(0.7, 1.1), rng.uniform(1.0, 2.3)
    return [part(around(0.0, half_x), around(0.0, half_y), (SUNK_M, height), rng.uniform(0.1, 0.7))]


def hedge(rng: np.random.Generator) -> list[Part]:
    """Return a hedge, a fence or a low wall along x."""
    half_x, half_y, height = rng.uniform(1.0, 6.0), rng.uniform(0.05, 0.4), rng.uniform(0.6, 1.8)
    return [part(around(0.0, half_x), around(0.0, half_y), (SUNK_M, height), rng.uniform(0.2, 0.6))]


def house(half_x: float, half_y: float, height: float, reflectance: float) -> list[Part]:
    """Return a house."""
    return [part(around(0.0, half_x), around(0.0, half_y), (-1.5, height), reflectance)]


def _post(radius: float, height: float, reflectance: float) -> Part:
    return part(around(0.0, radius), around(0.0, radius), (SUNK_M, height), reflectance, UPRIGHT)


Builder = Callable[[np.random.Generator], list[Part]]

AT_THE_KERB: tuple[tuple[Builder, float], ...] = (
    (pole, 0.22),
    (sign, 0.18),
    (tree, 0.2),
    (meter, 0.14),
    (bollard, 0.14),
    (bicycle, 0.12),
)
"""What stands at the edge of the sidewalk, and its share."""
BEHIND: tuple[tuple[Builder, float], ...] = ((bush, 0.4), (hedge, 0.2), (bench, 0.2), (tree, 0.2))
"""What stands where the sidewalk ends."""
ON_THE_STRIP: tuple[tuple[Builder, float], ...] = ((container, 0.6), (bench, 0.4))
"""What stands where cars park."""


def any_of(rng: np.random.Generator, kinds: tuple[tuple[Builder, float], ...]) -> list[Part]:
    """Return one of several kinds of things, each as often as its share says."""
    builder, _ = kinds[rng.choice(len(kinds), p=[share for _, share in kinds])]
    return builder(rng)
