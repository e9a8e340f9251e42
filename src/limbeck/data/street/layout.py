"""Drawing a street: its width, its ground, its houses, and what stands and drives in it, no two things in one place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from limbeck.data.street import furniture
from limbeck.data.street.config import Label, StreetConfig
from limbeck.data.street.materials import WHITE_PAINT, Decal, Material, asphalt, darker, ground, leaves, paving
from limbeck.data.street.solids import Solid
from limbeck.data.street.viewpoint import Viewpoint

CAMERA_HEIGHT_M = 1.5
ENDLESS_M = 2000.0
SIGHT_M = 72.0
"""How far houses go where no house closes the street."""
TOP = (2,)
"""The face of a box that looks up."""
SIDES = (-1, 1)
"""The left and the right side of the street."""


@dataclass(slots=True)
class Plan:
    """The ground plan of a street while it is filled; the camera is at x = 0, z = 0 and looks along z.

    Attributes:
        rng: What all is drawn from.
        ambiguity: See `StreetConfig`.
        edges: Where the road ends on the left and on the right, x in metres.
        walks: Width of the sidewalks on the left and on the right.
        kerb: Height of the sidewalks above the road.
        end: z at which a house closes the street; None where none does.
        taken: What is occupied: least and largest x, least and largest z.
    """

    rng: np.random.Generator
    ambiguity: float
    edges: tuple[float, float]
    walks: tuple[float, float]
    kerb: float
    end: float | None
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    @classmethod
    def draw(cls, rng: np.random.Generator, ambiguity: float) -> Plan:
        """Draw an empty one; only the car with the camera is in it."""
        edges = (-rng.uniform(2.4, 8.0), rng.uniform(2.0, 5.5))
        walks = (rng.uniform(1.6, 4.5), rng.uniform(1.6, 4.5))
        end = rng.uniform(35, 62) if rng.random() < 0.6 else None
        plan = cls(rng, ambiguity, edges, walks, rng.uniform(0.12, 0.2), end)
        plan.take(0.0, 0.0, 1.1, 4.0)
        return plan

    def take(self, x: float, z: float, half_x: float, half_z: float) -> bool:
        """Occupy a rectangle, unless a part of it is occupied already."""
        asked = (x - half_x, x + half_x, z - half_z, z + half_z)
        for there in self.taken:
            if asked[0] < there[1] and there[0] < asked[1] and asked[2] < there[3] and there[2] < asked[3]:
                return False
        self.taken.append(asked)
        return True

    def edge(self, side: int) -> float:
        """Return where the road ends on the left (-1) or on the right (1)."""
        return self.edges[side > 0]

    def walk(self, side: int) -> float:
        """Return the width of the sidewalk on the left (-1) or on the right (1)."""
        return self.walks[side > 0]

    def chance(self, probability: float) -> bool:
        """Draw whether something is so."""
        return self.rng.random() < probability

    def steps(self, first: float, least: float, most: float) -> Iterator[float]:
        """Yield places along the street up to its end, at distances between two bounds."""
        z = first + self.rng.uniform(0, most)
        while z < (self.end or SIGHT_M) - 4:
            yield z
            z += self.rng.uniform(least, most)


def draw_street(rng: np.random.Generator, config: StreetConfig) -> tuple[Solid, ...]:
    """Draw a street: the road first, then the dents in it, then all else."""
    plan = Plan.draw(rng, config.ambiguity)
    road = _road(plan)
    solids = [road, *_dents(plan, road.material)]
    for side in SIDES:
        solids += _houses(plan, side)
    solids += [*_sidewalks(plan, road.material), *_end(plan), *_traffic(plan)]
    for side in SIDES:
        solids += [*_parked(plan, side), *_posts(plan, side)]
    solids += [*_islands(plan, road.material), *_people(plan)]
    return tuple(solids)


def draw_viewpoint(rng: np.random.Generator, config: StreetConfig) -> Viewpoint:
    """Draw how the camera is held in its car."""
    yaw, pitch, roll = rng.normal(0, (0.05, 0.015, 0.008))
    height = CAMERA_HEIGHT_M + rng.uniform(-0.1, 0.1)
    return Viewpoint(config.camera, (config.width, config.height), (0.0, -height, 0.0), yaw, pitch, roll)


def _road(plan: Plan) -> Solid:
    rng = plan.rng
    material = ground(rng) if plan.chance(plan.ambiguity) else asphalt(rng)
    decals = []
    for side in SIDES:
        if plan.chance(plan.ambiguity):  # a lane for parking or for cycles: flat, and as broad as a sidewalk
            half = rng.uniform(0.6, 1.6)
            surface = ground(rng) if plan.chance(0.7) else darker(material, rng.uniform(0.75, 1.3))
            decals.append(Decal(TOP, (plan.edge(side) - side * half, 0.0), (half, ENDLESS_M), surface))
    decals += _patches(plan, material, *plan.edges)
    if plan.chance(0.6):
        middle, dash = 0.5 * sum(plan.edges) - 0.5, rng.uniform(0.8, 3.0)
        decals.append(Decal(TOP, (middle, 0.0), (0.07, dash / 2), WHITE_PAINT, period=(0.0, 2 * dash)))
    if plan.chance(0.25):
        crossing = (0.0, rng.uniform(8, 25))
        decals.append(Decal(TOP, crossing, (0.25, 1.5), WHITE_PAINT, period=(1.0, 0.0)))
    return furniture.box((0.0, -1.0, 0.0), (60.0, 0.5, ENDLESS_M), Label.ROAD, material, tuple(decals))


def _sidewalks(plan: Plan, road: Material) -> list[Solid]:
    rng = plan.rng
    material = paving(rng)
    if plan.chance(plan.ambiguity):
        material = road if plan.chance(0.5) else ground(rng)
    found = []
    for side in SIDES:
        half = (30.0, 0.5, ENDLESS_M)
        kerb, houses = -side * half[0], -side * (half[0] - plan.walk(side))
        decals = _patches(plan, material, min(kerb, houses), max(kerb, houses))
        if plan.chance(0.3 * plan.ambiguity):  # what a parking lane looks like, but raised
            width = rng.uniform(0.3, 1.0)
            decals.append(Decal(TOP, (kerb + side * width, 0.0), (width, ENDLESS_M), ground(rng)))
        place = (plan.edge(side) + side * half[0], plan.kerb - 1.0, 0.0)
        found.append(furniture.box(place, half, Label.SIDEWALK, material, tuple(decals)))
    return found


def _patches(plan: Plan, material: Material, left: float, right: float) -> list[Decal]:
    """Return flat repairs and stains, which look like islands and potholes."""
    rng, found = plan.rng, []
    for _ in range(rng.poisson(5 * plan.ambiguity)):
        middle, half = (rng.uniform(left, right), rng.uniform(3, 30)), (rng.uniform(0.3, 1.0), rng.uniform(0.4, 3.0))
        found.append(Decal(TOP, middle, half, darker(material, rng.uniform(0.7, 1.25))))
    for _ in range(rng.poisson(4 * plan.ambiguity)):
        middle, half = (rng.uniform(left, right), _near(rng)), (rng.uniform(0.35, 0.9), rng.uniform(0.4, 1.0))
        shade = rng.uniform(0.65, 0.95)
        found.append(Decal(TOP, middle, half, darker(material, shade), is_round=True))
        inner = (half[0] * 0.8, half[1] * 0.8)
        found.append(Decal(TOP, middle, inner, darker(material, shade * rng.uniform(0.9, 1.3)), is_round=True))
    return found


def _dents(plan: Plan, road: Material) -> list[Solid]:
    rng, found = plan.rng, []
    for _ in range(rng.poisson(2.5)):
        half = (rng.uniform(0.35, 0.9), rng.uniform(0.05, 0.13), rng.uniform(0.4, 1.0))
        x, z = rng.uniform(plan.edge(-1) + half[0], plan.edge(1) - half[0]), _near(rng)
        if plan.take(x, z, half[0], half[2]):
            found.append(furniture.dent((x, 0.0, z), half, darker(road, rng.uniform(0.65, 0.95))))
    return found


def _near(rng: np.random.Generator) -> float:
    """Draw a place on the road, rather near than far."""
    return float(4.5 + 16 * rng.random() ** 2)


def _islands(plan: Plan, road: Material) -> list[Solid]:
    """Return traffic islands: as high as the kerb, and of the road's material."""
    rng, found = plan.rng, []
    for _ in range(rng.poisson(0.6)):
        half = (rng.uniform(0.4, 1.0), plan.kerb / 2, rng.uniform(0.6, 2.5))
        x, z = rng.uniform(*plan.edges), rng.uniform(6, 25)
        if plan.take(x, z, half[0], half[2]):
            shade = darker(road, rng.uniform(0.7, 1.25))
            found.append(furniture.box((x, 0.0, z), half, Label.SIDEWALK, shade))
    return found


def _houses(plan: Plan, side: int) -> list[Solid]:
    rng, found = plan.rng, []
    z = rng.uniform(-8, -3)
    while z < (plan.end or SIGHT_M):
        half = (5.0, rng.uniform(2.5, 7.0), rng.uniform(3, 7))
        front = plan.edge(side) + side * (plan.walk(side) + rng.uniform(0, 1.0))
        place = (front + side * half[0], plan.kerb, z + half[2])
        plan.take(place[0], place[2], half[0], half[2])
        found.append(furniture.house(rng, place, half, 0 if side > 0 else 1, plan.ambiguity))
        if plan.chance(0.3):
            found += _hedge(plan, side, front, place[2])
        z += 2 * half[2] + (rng.uniform(1, 5) if plan.chance(0.25) else 0)
    return found


def _end(plan: Plan) -> list[Solid]:
    """Return the house that closes the street, if one does."""
    if plan.end is None:
        return []
    half = (45.0, plan.rng.uniform(3, 7), 6.0)
    place = (plan.rng.uniform(-5, 5), 0.0, plan.end + half[2])
    return [furniture.house(plan.rng, place, half, 4, plan.ambiguity)]


def _hedge(plan: Plan, side: int, front: float, z: float) -> list[Solid]:
    rng = plan.rng
    half = (rng.uniform(0.2, 0.4), rng.uniform(0.4, 0.8), rng.uniform(1.0, 3.0))
    x = front - side * (half[0] + 0.02)
    if not plan.take(x, z, half[0], half[2]):
        return []
    return [furniture.box((x, plan.kerb, z), half, Label.VEGETATION, leaves(rng))]


def _traffic(plan: Plan) -> list[Solid]:
    rng, found = plan.rng, []
    for _ in range(rng.integers(1, 5)):
        oncoming = plan.edge(-1) < -4 and plan.chance(0.5)
        x = rng.uniform(plan.edge(-1) + 1.2, -2.6) if oncoming else rng.uniform(-0.4, 0.4)
        z = rng.uniform(9, 50)
        if z < (plan.end or SIGHT_M) - 4 and plan.take(x, z, 1.1, 3.0):
            yaw = rng.normal(0, 0.05) + (math.pi if oncoming else 0)
            found += furniture.car(rng, (x, 0.0, z), yaw, plan.ambiguity)
    return found


def _parked(plan: Plan, side: int) -> list[Solid]:
    rng, found = plan.rng, []
    places = list(plan.steps(2.0, 5.2, 12.0)) if plan.chance(0.75) else []
    for z in places:
        x = plan.edge(side) - side * rng.uniform(1.0, 1.2)
        if plan.take(x, z, 1.0, 2.45):
            yaw = rng.normal(0, 0.02) + (math.pi if side < 0 else 0)
            found += furniture.car(rng, (x, 0.0, z), yaw, plan.ambiguity)
    return found


def _posts(plan: Plan, side: int) -> list[Solid]:
    """Return lamp posts, signs and trees along a kerb."""
    rng, found = plan.rng, []
    has_trees = plan.chance(0.7)
    for z in plan.steps(4.0, 3.0, 10.0):
        place = (plan.edge(side) + side * rng.uniform(0.35, 0.8), plan.kerb, z)
        if not plan.take(place[0], z, 0.3, 0.3):
            continue
        if has_trees and plan.chance(0.4):
            found += furniture.tree(rng, place)
        else:
            post = furniture.pole if plan.chance(0.5) else furniture.sign
            found += post(rng, place, plan.ambiguity)
    return found


def _people(plan: Plan) -> list[Solid]:
    rng, found = plan.rng, []
    for _ in range(rng.poisson(7)):
        on_road, side = plan.chance(0.25), SIDES[rng.integers(2)]
        x = plan.edge(side) + side * rng.uniform(0.3, plan.walk(side) - 0.3)
        if on_road:
            x = rng.uniform(*plan.edges)
        z = 5 + 35 * rng.random() ** 1.5
        if plan.take(x, z, 0.35, 0.35):
            found += furniture.person(rng, (x, 0.0 if on_road else plan.kerb, z), plan.ambiguity)
    return found
