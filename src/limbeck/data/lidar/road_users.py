"""The objects: cars, pedestrians and cyclists, each built from a few parts; they stand at the origin and face x."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from limbeck.data.lidar.solids import CROSSWISE, ROUND, UPRIGHT, Part, Span, around, part

RUBBER, SKIN, STEEL = 0.08, 0.5, 0.3
"""Reflectances."""
CLEARANCE_M = 0.2
WHEEL_M = 0.32
"""Radius of the wheel of a car."""
CYCLE_WHEEL_M = 0.34


class CarKind(NamedTuple):
    """The proportions of a kind of car.

    Attributes:
        length: Least and most, in metres.
        width: Least and most, in metres.
        height: Least and most, in metres.
        waist: Height of the bonnet as a part of the height.
        roof: From where to where the roof is flat, as parts of the length ahead of the middle.
        screens: How far the curved screens behind and ahead of it reach, as parts of the length; 0 is upright.
    """

    length: Span
    width: Span
    height: Span
    waist: float
    roof: Span
    screens: tuple[float, float]


CAR_KINDS = (
    CarKind((3.5, 4.2), (1.60, 1.80), (1.42, 1.60), 0.60, (-0.48, -0.02), (0.0, 0.22)),  # with a hatchback
    CarKind((4.3, 5.0), (1.75, 1.92), (1.38, 1.50), 0.60, (-0.20, -0.02), (0.17, 0.20)),  # with a boot
    CarKind((4.2, 4.9), (1.80, 1.98), (1.60, 1.85), 0.62, (-0.47, 0.03), (0.0, 0.18)),  # off-road
    CarKind((4.7, 5.6), (1.85, 2.05), (1.90, 2.20), 0.58, (-0.49, 0.22), (0.0, 0.12)),  # a van
)
KIND_SHARES = (0.35, 0.3, 0.25, 0.1)


def car(rng: np.random.Generator) -> list[Part]:
    """Return a car of any kind: the bonnet is lower than the cabin, so that its heading shows."""
    kind = CAR_KINDS[rng.choice(len(CAR_KINDS), p=KIND_SHARES)]
    length, half, roof = rng.uniform(*kind.length), rng.uniform(*kind.width) / 2, rng.uniform(*kind.height)
    waist, paint, inset = kind.waist * roof, rng.uniform(0.2, 0.9) ** 2, rng.uniform(0.04, 0.12)
    rear, front = (share * length for share in kind.roof)
    cabin = around(0.0, half - inset)
    parts = [
        part(around(0.0, length / 2), around(0.0, half), (CLEARANCE_M, waist), paint),
        part((rear, front), cabin, (waist, roof), paint),
    ]
    for place, share in zip((rear, front), kind.screens, strict=True):
        if share:  # the lower half of the cylinder is within the body
            parts.append(part(around(place, share * length), cabin, around(waist, roof - waist), paint, CROSSWISE))
    wheels = (around(place * length, WHEEL_M) for place in (-0.31, 0.31))
    return [*parts, *(part(wheel, around(0.0, half), (0.0, 2 * WHEEL_M), RUBBER, CROSSWISE) for wheel in wheels)]


def pedestrian(rng: np.random.Generator) -> list[Part]:
    """Return a pedestrian, now and then a child: two legs in or out of step, trunk with arms, and head."""
    height = rng.uniform(1.05, 1.45) if rng.random() < 0.12 else rng.uniform(1.5, 1.95)
    size, coat, trousers = height / 1.75, rng.uniform(0.1, 0.8), rng.uniform(0.1, 0.6)
    step = size * rng.uniform(0.0, 0.28) * rng.choice([-1, 1])
    depth, half = size * rng.uniform(0.12, 0.19), size * rng.uniform(0.2, 0.29)
    legs = [
        part(
            around(side * step, 0.08 * size),
            around(side * 0.1 * size, 0.08 * size),
            (0.0, 0.5 * height),
            trousers,
            UPRIGHT,
        )
        for side in (-1, 1)
    ]
    trunk = part(around(0.0, depth), around(0.0, half), (0.46 * height, 0.85 * height), coat, UPRIGHT)
    head = part(around(0.03, 0.11 * size), around(0.0, 0.09 * size), (0.84 * height, height), SKIN, ROUND)
    return [*legs, trunk, head]


def bicycle(rng: np.random.Generator) -> list[Part]:
    """Return a bicycle without a rider."""
    base, paint = rng.uniform(0.48, 0.54), rng.uniform(0.1, 0.7)
    wheels = [
        part(around(place, CYCLE_WHEEL_M), around(0.0, 0.03), (0.0, 2 * CYCLE_WHEEL_M), RUBBER, CROSSWISE)
        for place in (-base, base)
    ]
    frame = part((-0.3, 0.42), around(0.0, 0.03), (0.3, 0.75), paint)
    handlebar = part(around(0.42, 0.04), around(0.0, 0.28), (0.95, 1.02), STEEL)
    stem = part(around(0.42, 0.03), around(0.0, 0.03), (0.6, 1.0), STEEL)
    return [*wheels, frame, stem, handlebar]


def cyclist(rng: np.random.Generator) -> list[Part]:
    """Return a bicycle with its rider, who leans forward."""
    size, coat, trousers = rng.uniform(0.9, 1.08), rng.uniform(0.1, 0.8), rng.uniform(0.1, 0.6)
    saddle = 0.9 * size
    legs = [
        part(around(0.05 + side * 0.08, 0.1), around(side * 0.13, 0.07), (0.25, saddle + 0.05), trousers, UPRIGHT)
        for side in (-1, 1)
    ]
    trunk = part(around(0.05, 0.22 * size), around(0.0, 0.23 * size), (saddle - 0.1, 1.5 * size), coat, ROUND)
    arms = part((0.1, 0.44), around(0.0, 0.24), (1.02 * size, 1.15 * size), coat)
    head = part(around(0.25, 0.11), around(0.0, 0.09), (1.42 * size, 1.7 * size), SKIN, ROUND)
    return [*bicycle(rng), *legs, trunk, arms, head]
