"""The things that stand in a street, each as a few solids."""

from __future__ import annotations

import math

import numpy as np

from limbeck.data.shapes import Shape, Vector
from limbeck.data.street.config import Label
from limbeck.data.street.materials import (
    CAR_COLOURS,
    COAT_COLOURS,
    GLASS,
    HEADLIGHT,
    LIT_GLASS,
    REAR_LIGHT,
    RUBBER,
    SKIN,
    WHITE_PAINT,
    Decal,
    Material,
    darker,
    leaves,
    painted,
    wall,
)
from limbeck.data.street.pictures import WHEEL_RADIUS_M, picture
from limbeck.data.street.solids import Solid, turned

Place = tuple[float, float, float]
"""Where a thing stands: x, the height of the ground above the road, and z, in metres."""
SIDES = (0, 1, 4, 5)
"""The upright faces of a box."""
PICTURES_PER_M = 0.25
"""Flat pictures in a metre of wall at full ambiguity."""


def box(place: Place, half: Vector, label: Label, material: Material, decals: tuple[Decal, ...] = ()) -> Solid:
    """Return a box that stands at a place."""
    return Solid(Shape(half), _centre(place, half[1]), label, material, decals=decals)


def cylinder(place: Place, radius: float, height: float, label: Label, material: Material) -> Solid:
    """Return an upright cylinder that stands at a place."""
    shape = Shape((radius, height / 2, radius), curved=(0, 2))
    return Solid(shape, _centre(place, height / 2), label, material)


def car(rng: np.random.Generator, place: Place, yaw: float, ambiguity: float) -> list[Solid]:
    """Return a car that drives along z, or where ``yaw`` turns that."""
    length, width = rng.uniform(3.7, 4.8), rng.uniform(1.65, 1.9)
    waist, roof = rng.uniform(0.75, 0.95), rng.uniform(1.4, 1.75)
    paint = painted(rng, ambiguity, CAR_COLOURS)
    side, front, rear = (0, 1), (5,), (4,)
    lamp = (0.14, 0.07)
    lights = [
        Decal(face, (across * width * 0.38, 0.42), lamp, material)
        for face, material in ((front, HEADLIGHT), (rear, REAR_LIGHT))
        for across in (-1, 1)
    ]
    plate = Decal((4, 5), (0.0, 0.25), (0.26, 0.06), WHITE_PAINT)
    body = Shape((width / 2, (waist - 0.2) / 2, length / 2))
    cabin = Shape((width / 2 - 0.08, (roof - waist) / 2, length * 0.29))
    glass_height = (roof - waist) * 0.36
    glazing = (
        Decal(side, (0.0, (roof - waist) / 2), (length * 0.26, glass_height), GLASS),
        Decal(side, (0.0, (roof - waist) / 2), (0.04, glass_height), paint),
        Decal((4, 5), (0.0, (roof - waist) / 2), (width * 0.38, glass_height), GLASS),
    )
    parts = [
        (body, (waist + 0.2) / 2, 0.0, paint, (*lights, plate)),
        (cabin, (roof + waist) / 2, -0.07 * length, paint, glazing),
    ]
    wheel = Shape((width / 2 + 0.01, WHEEL_RADIUS_M, WHEEL_RADIUS_M), curved=(1, 2))
    parts += [(wheel, WHEEL_RADIUS_M, along * length, RUBBER, ()) for along in (-0.32, 0.32)]
    return [
        Solid(shape, _centre(_beside(place, 0.0, along, yaw), height), Label.CAR, material, yaw, decals)
        for shape, height, along, material, decals in parts
    ]


def person(rng: np.random.Generator, place: Place, ambiguity: float) -> list[Solid]:
    """Return a person who looks in any direction."""
    height, yaw = rng.uniform(1.45, 1.95), rng.uniform(-math.pi, math.pi)
    coat, trousers = painted(rng, ambiguity, COAT_COLOURS), painted(rng, ambiguity, COAT_COLOURS)
    hip, neck = 0.48 * height, 0.84 * height
    stride = rng.uniform(0, 0.18)
    legs = [
        cylinder(_beside(place, across, across / 0.1 * stride, yaw), 0.09, hip, Label.PERSON, trousers)
        for across in (-0.1, 0.1)
    ]
    torso = Shape((0.25, (neck - hip) / 2 + 0.03, 0.15), curved=(0, 2))
    head = Shape((0.1, 0.08 * height, 0.11), curved=(0, 1, 2))
    return [
        *legs,
        Solid(torso, _centre(place, (neck + hip) / 2), Label.PERSON, coat, yaw),
        Solid(head, _centre(place, 0.92 * height), Label.PERSON, SKIN, yaw),
    ]


def tree(rng: np.random.Generator, place: Place) -> list[Solid]:
    """Return a trunk with a crown of several ellipsoids."""
    trunk_height, radius = rng.uniform(2.2, 3.2), rng.uniform(0.9, 1.7)
    leaf, bark = leaves(rng), Material((0.25, 0.20, 0.15), 0.3, 0.05)
    crown = []
    for _ in range(rng.integers(4, 7)):
        half = radius * rng.uniform(0.45, 0.8, 3)
        x, y, z = rng.uniform(-0.55, 0.55, 3) * radius
        shape = Shape((half[0], half[1], half[2]), curved=(0, 1, 2))
        centre = (place[0] + x, -place[1] - trunk_height - 0.5 * radius + y, place[2] + z)
        crown.append(Solid(shape, centre, Label.VEGETATION, darker(leaf, rng.uniform(0.8, 1.1))))
    trunk = cylinder(place, rng.uniform(0.1, 0.2), trunk_height + 0.6 * radius, Label.VEGETATION, bark)
    return [trunk, *crown]


def pole(rng: np.random.Generator, place: Place, ambiguity: float) -> list[Solid]:
    """Return a lamp post."""
    height = rng.uniform(4.0, 6.5)
    material = painted(rng, ambiguity, ((0.35, 0.36, 0.37),))
    post = cylinder(place, rng.uniform(0.08, 0.14), height, Label.POLE, material)
    towards_road = -math.copysign(0.5, place[0])
    arm = box((place[0] + towards_road, place[1] + height, place[2]), (0.6, 0.06, 0.1), Label.POLE, material)
    return [post, arm]


def sign(rng: np.random.Generator, place: Place, ambiguity: float) -> list[Solid]:
    """Return a post with a traffic sign that looks down the street."""
    height = rng.uniform(2.2, 2.8)
    post = cylinder(place, 0.05, height + 0.3, Label.POLE, painted(rng, ambiguity, ((0.5, 0.5, 0.5),)))
    face = painted(rng, ambiguity, ((0.70, 0.05, 0.06), (0.05, 0.15, 0.60), (0.85, 0.75, 0.10)))
    is_round = rng.random() < 0.5
    shape = Shape((0.32, 0.32, 0.02), curved=(0, 1) if is_round else ())
    middle = Decal((4, 5), (0.0, 0.32), (0.2, 0.2), WHITE_PAINT, is_round=True)
    centre = (place[0], -place[1] - height, place[2] - 0.06)
    return [post, Solid(shape, centre, Label.POLE, face, decals=(middle,))]


def house(rng: np.random.Generator, place: Place, half: Vector, face: int, ambiguity: float) -> Solid:
    """Return a block of flats with windows.

    Args:
        rng: What is drawn from.
        place: Where it stands.
        half: Half its extent along x, y and z.
        face: The face that looks at the street, where the pictures are.
        ambiguity: Scales how many there are, see `limbeck.data.street.config.StreetConfig`.
    """
    material = wall(rng)
    storey, bay = rng.uniform(2.7, 3.4), rng.uniform(1.8, 3.2)
    opening = (bay * rng.uniform(0.22, 0.36), storey * rng.uniform(0.2, 0.32))
    start = (rng.uniform(0, bay), storey * 0.55)
    windows = [
        Decal(SIDES, start, opening, GLASS, period=(bay, storey)),
        Decal(
            SIDES, start, opening, LIT_GLASS, period=(bay * int(rng.integers(2, 5)), storey * int(rng.integers(2, 4)))
        ),
    ]
    width = half[2] if face < 2 else half[0]
    painted_on: list[Decal] = []
    for _ in range(rng.poisson(ambiguity * PICTURES_PER_M * 2 * width)):
        painted_on += picture(rng, face, rng.uniform(-width, width), ambiguity)
    return box(place, half, Label.BUILDING, material, (*windows, *painted_on))


def dent(place: Place, half: Vector, road: Material) -> Solid:
    """Return a pothole: the lower half of an ellipsoid, with the road's material."""
    shape = Shape(half, curved=(0, 1, 2))
    return Solid(shape, (place[0], -place[1], place[2]), Label.POTHOLE, road, is_dent=True)


def _centre(place: Place, height: float) -> Vector:
    """Return the point at a height above a place, in the world, whose y looks down."""
    return place[0], -place[1] - height, place[2]


def _beside(place: Place, across: float, along: float, yaw: float) -> Place:
    """Return the place that is a little across and along from another, in a frame that is turned."""
    x, _, z = turned(np.array([across, 0.0, along]), yaw)
    return place[0] + float(x), place[1], place[2] + float(z)
