"""Drawing a scene: the roads and the ground, the houses, the traffic, and what stands about."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from limbeck.data.lidar import clutter, road_users
from limbeck.data.lidar.clutter import Builder
from limbeck.data.lidar.config import Count, LidarSceneConfig, RoadUser
from limbeck.data.lidar.ground import Ground
from limbeck.data.lidar.plan import Place, Plan, SceneObject
from limbeck.data.lidar.roads import BAY_M, SIDES, Junction, Roads
from limbeck.data.lidar.solids import Solid

TRIES = 40
"""An object that finds no room so often is left out."""
THINGS_PER_M = 0.9
"""Things besides objects and houses in a metre of street at full clutter; for some of them there is no room."""
CORNER_M = 3.0
"""Nothing is parked and nothing stands about so near to a street that crosses."""

Spot = tuple[Place, float, float]
"""Where an object shall stand, x and y; its yaw; its speed."""


@dataclass(frozen=True, slots=True)
class Street:
    """All that there is in a scene.

    Attributes:
        ground: The ground.
        solids: What stands on it.
        objects: What is to be found.
    """

    ground: Ground
    solids: tuple[Solid, ...]
    objects: tuple[SceneObject, ...]


def draw_street(rng: np.random.Generator, config: LidarSceneConfig) -> Street:
    """Draw a street; what is drawn first gets its place."""
    roads = Roads.draw(rng)
    plan = Plan(rng, config, roads, Ground.draw(rng, roads))
    openness = rng.uniform(0.1, 0.8)
    for side in SIDES:
        _houses(plan, side, openness)
    _fill(plan, RoadUser.CAR, config.cars, road_users.car, _car_spot)
    _fill(plan, RoadUser.CYCLIST, config.cyclists, road_users.cyclist, _cyclist_spot)
    _fill(plan, RoadUser.PEDESTRIAN, config.pedestrians, road_users.pedestrian, _pedestrian_spot)
    for _ in range(rng.poisson(config.clutter * THINGS_PER_M * 2 * config.max_range)):
        _thing(plan)
    return Street(plan.ground, tuple(plan.solids), tuple(plan.objects))


def _fill(plan: Plan, label: RoadUser, count: Count, build: Builder, draw_spot: Callable[[Plan], Spot]) -> None:
    """Put as many objects of a class somewhere as are asked for, as far as there is room.

    Args:
        plan: The plan.
        label: The class.
        count: The least and the most number.
        build: Builds an object.
        draw_spot: Draws where one may stand.
    """
    for _ in range(plan.rng.integers(count[0], count[1] + 1)):
        parts = build(plan.rng)
        for _ in range(TRIES):
            place, yaw, speed = draw_spot(plan)
            if plan.add(label, parts, place, yaw, speed):
                break


def _along(plan: Plan) -> float:
    """Draw a place along the street, rather near than far."""
    reach = plan.config.max_range * plan.rng.random() ** 2
    return float(reach if plan.chance(0.5) else -reach)


def _spot(plan: Plan, along: float, across: float, yaw: float, speed: float) -> Spot:
    """Return a spot whose place and yaw are given in the street."""
    return plan.roads.to_lidar(along, across), plan.roads.yaw + yaw, speed


def _car_spot(plan: Plan) -> Spot:
    rng, roads = plan.rng, plan.roads
    if roads.junction is not None and plan.chance(0.25):
        return _crossing_spot(plan, roads.junction)
    side = SIDES[rng.integers(2)]
    if roads.strip(side) and plan.chance(0.6):
        return _parked_spot(plan, side)
    lane = roads.lanes[rng.integers(len(roads.lanes))]
    yaw = rng.normal(0, 0.05) + (math.pi if lane.direction < 0 else 0)
    speed = 0.0 if plan.chance(0.25) else rng.uniform(2, 15)
    return _spot(plan, _along(plan), lane.across + rng.normal(0, 0.25), yaw, speed)


def _crossing_spot(plan: Plan, junction: Junction) -> Spot:
    """Draw a spot for a car in the street that crosses, now and then in a bend."""
    rng = plan.rng
    direction = SIDES[rng.integers(2)]
    bend = rng.uniform(-1.2, 1.2) if plan.chance(0.2) else rng.normal(0, 0.08)
    along = junction.along + direction * rng.uniform(0.35, 0.6) * junction.half
    return _spot(plan, along, _along(plan), direction * math.pi / 2 + bend, rng.uniform(0, 10))


def _parked_spot(plan: Plan, side: int) -> Spot:
    rng, roads = plan.rng, plan.roads
    along, across = _along(plan), roads.edge(side) - side * roads.strip(side) / 2
    while roads.crosses(along, CORNER_M):
        along = _along(plan)
    yaw = math.pi / 2 if roads.strip(side) == BAY_M else 0.0
    yaw += rng.normal(0, 0.04) + (math.pi if plan.chance(0.5) else 0.0)
    return _spot(plan, along, across + rng.normal(0, 0.12), yaw, 0.0)


def _cyclist_spot(plan: Plan) -> Spot:
    rng, roads = plan.rng, plan.roads
    side = SIDES[rng.integers(2)]
    kerb = roads.edge(side) - side * roads.strip(side)
    if plan.chance(0.2):  # anywhere on the road or the sidewalk, in any direction
        across = rng.uniform(roads.edge(-1) - roads.walk(-1), roads.edge(1) + roads.walk(1))
        return _spot(plan, _along(plan), across, rng.uniform(-math.pi, math.pi), rng.uniform(1, 5))
    oncoming = side > 0 and roads.lanes[-1].direction < 0
    yaw = rng.normal(0, 0.08) + (math.pi if oncoming != plan.chance(0.1) else 0)
    return _spot(plan, _along(plan), kerb - side * rng.uniform(0.3, 1.3), yaw, rng.uniform(2, 8))


def _pedestrian_spot(plan: Plan) -> Spot:
    rng, roads = plan.rng, plan.roads
    along = _along(plan)
    if plan.chance(0.25):  # who crosses
        yaw = SIDES[rng.integers(2)] * math.pi / 2 + rng.normal(0, 0.3)
        return _spot(plan, along, rng.uniform(*roads.edges), yaw, rng.uniform(0.5, 2.0))
    side = SIDES[rng.integers(2)]
    across = roads.edge(side) + side * rng.uniform(0.2, roads.walk(side) + 0.5)
    if plan.chance(0.3):  # who stands
        return _spot(plan, along, across, rng.uniform(-math.pi, math.pi), 0.0)
    yaw = rng.normal(0, 0.2) + (math.pi if plan.chance(0.5) else 0)
    return _spot(plan, along, across, yaw, rng.uniform(0.5, 1.8))


def _houses(plan: Plan, side: int, openness: float) -> None:
    """Put houses along a side of the street, as far as the LiDAR sees.

    Args:
        plan: The plan.
        side: The side.
        openness: How many houses have a gap beside them.
    """
    rng, roads, reach = plan.rng, plan.roads, plan.config.max_range
    along = -reach - rng.uniform(0, 10)
    while along < reach:
        half_x, half_y = rng.uniform(4, 11), rng.uniform(3, 6)
        height, reflectance = rng.uniform(4, 13), rng.uniform(0.2, 0.7)
        across = side * (abs(roads.edge(side)) + roads.walk(side) + rng.uniform(0, 3) + half_y)
        if not roads.crosses(along + half_x, half_x + 2.0):
            parts = clutter.house(half_x, half_y, height, reflectance)
            plan.stand(parts, roads.to_lidar(along + half_x, across), roads.yaw)
        along += 2 * half_x + 0.3 + (rng.uniform(2, 12) if plan.chance(openness) else 0)


def _thing(plan: Plan) -> None:
    """Put a thing that is none of the classes beside a road, if there is room."""
    rng, roads = plan.rng, plan.roads
    side, along = SIDES[rng.integers(2)], rng.uniform(-1, 1) * plan.config.max_range
    zone, edge = rng.random(), roads.edge(side)
    if zone < 0.5:
        parts, across = clutter.any_of(rng, clutter.AT_THE_KERB), edge + side * rng.uniform(0.3, 0.9)
    elif zone < 0.9 or not roads.strip(side):
        parts, across = clutter.any_of(rng, clutter.BEHIND), edge + side * (roads.walk(side) + rng.uniform(-0.5, 6))
    else:
        parts, across = clutter.any_of(rng, clutter.ON_THE_STRIP), edge - side * roads.strip(side) / 2
    yaw = rng.normal(0, 0.05) + math.pi / 2 * rng.integers(4) * plan.chance(0.4)
    if not roads.crosses(along, CORNER_M):
        plan.stand(parts, roads.to_lidar(along, across), roads.yaw + yaw)
