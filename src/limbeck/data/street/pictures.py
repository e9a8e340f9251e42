"""Flat pictures, on walls, of the things that stand in a street: the same sizes and colours without the shape."""

from __future__ import annotations

import numpy as np

from limbeck.data.street.materials import (
    CAR_COLOURS,
    COAT_COLOURS,
    GLASS,
    RUBBER,
    SKIN,
    Decal,
    darker,
    leaves,
    painted,
)

WHEEL_RADIUS_M = 0.31


def picture(rng: np.random.Generator, face: int, along: float, ambiguity: float) -> list[Decal]:
    """Return a flat picture, on a wall, of something that might stand in front of it.

    Args:
        rng: What is drawn from.
        face: The face of the wall.
        along: Where on it, in metres from its middle.
        ambiguity: How often its colours are those of a wall.
    """
    kinds = (_flat_car, _flat_person, _flat_person, _flat_tree, _flat_hedge, _flat_pole)
    return kinds[rng.integers(len(kinds))](rng, (face,), along, ambiguity)


def _flat_car(rng: np.random.Generator, faces: tuple[int, ...], along: float, ambiguity: float) -> list[Decal]:
    seen_from_the_side = rng.random() < 0.6
    half = rng.uniform(1.85, 2.4) if seen_from_the_side else rng.uniform(0.82, 0.95)
    waist, roof = rng.uniform(0.75, 0.95), rng.uniform(1.4, 1.75)
    paint = painted(rng, ambiguity, CAR_COLOURS)
    body = Decal(faces, (along, (waist + 0.2) / 2), (half, (waist - 0.2) / 2), paint)
    cabin_half = half * (0.58 if seen_from_the_side else 0.9)
    cabin = Decal(faces, (along, (roof + waist) / 2), (cabin_half, (roof - waist) / 2), paint)
    glass = Decal(faces, (along, (roof + waist) / 2), (cabin_half * 0.88, (roof - waist) * 0.36), GLASS)
    wheels = [
        Decal(
            faces, (along + side * half * 0.64, WHEEL_RADIUS_M), (WHEEL_RADIUS_M, WHEEL_RADIUS_M), RUBBER, is_round=True
        )
        for side in (-1, 1)
    ]
    return [*wheels, body, cabin, glass]


def _flat_person(rng: np.random.Generator, faces: tuple[int, ...], along: float, ambiguity: float) -> list[Decal]:
    height = rng.uniform(1.45, 1.95)
    coat, trousers = painted(rng, ambiguity, COAT_COLOURS), painted(rng, ambiguity, COAT_COLOURS)
    hip, neck = 0.48 * height, 0.84 * height
    return [
        Decal(faces, (along, hip / 2), (rng.uniform(0.1, 0.2), hip / 2), trousers),
        Decal(faces, (along, (neck + hip) / 2), (rng.uniform(0.15, 0.25), (neck - hip) / 2 + 0.03), coat),
        Decal(faces, (along, 0.92 * height), (0.1, 0.08 * height), SKIN, is_round=True),
    ]


def _flat_tree(rng: np.random.Generator, faces: tuple[int, ...], along: float, ambiguity: float) -> list[Decal]:
    trunk_height, radius = rng.uniform(2.0, 3.0), rng.uniform(0.9, 1.7)
    leaf = leaves(rng)
    crown = [
        Decal(
            faces,
            (along + radius * rng.uniform(-0.5, 0.5), trunk_height + radius * rng.uniform(0.1, 0.9)),
            (radius * rng.uniform(0.5, 0.8), radius * rng.uniform(0.5, 0.8)),
            darker(leaf, rng.uniform(0.6, 1.1)),
            is_round=True,
        )
        for _ in range(5)
    ]
    trunk = Decal(faces, (along, trunk_height / 2), (rng.uniform(0.1, 0.2), trunk_height / 2), darker(leaf, 0.7))
    return [trunk, *crown]


def _flat_hedge(rng: np.random.Generator, faces: tuple[int, ...], along: float, ambiguity: float) -> list[Decal]:
    half_height = rng.uniform(0.4, 0.8)
    return [Decal(faces, (along, half_height), (rng.uniform(1.0, 3.0), half_height), leaves(rng))]


def _flat_pole(rng: np.random.Generator, faces: tuple[int, ...], along: float, ambiguity: float) -> list[Decal]:
    half_height = rng.uniform(1.2, 3.0)
    material = painted(rng, ambiguity, ((0.35, 0.36, 0.37),))
    return [Decal(faces, (along, half_height), (rng.uniform(0.05, 0.1), half_height), material)]
