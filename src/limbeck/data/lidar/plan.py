"""The ground plan of a scene while it is filled: no two things are in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from limbeck.data.lidar.config import LidarSceneConfig, RoadUser
from limbeck.data.lidar.ground import Ground
from limbeck.data.lidar.roads import Roads
from limbeck.data.lidar.solids import Part, Solid, extent, placed

EGO_M = (2.6, 1.3)
"""Half the length and width of the place of the car that the LiDAR is on."""
GAP_M = 0.15
"""Things are at least this far apart."""
HEADROOM_M = 2.4

Place = tuple[float, float]
"""Where a thing stands: x and y."""


class Rectangle(NamedTuple):
    """What a thing takes of the ground: its middle, half its length and width in metres, and its yaw in radians."""

    x: float
    y: float
    half_length: float
    half_width: float
    yaw: float

    def corners(self) -> list[tuple[float, float]]:
        """Return its four corners."""
        cosine, sine = math.cos(self.yaw), math.sin(self.yaw)
        return [
            (self.x + cosine * ahead - sine * beside, self.y + sine * ahead + cosine * beside)
            for ahead in (-self.half_length, self.half_length)
            for beside in (-self.half_width, self.half_width)
        ]


class SceneObject(NamedTuple):
    """An object that is to be found.

    Attributes:
        label: Its class.
        box: (7,) x, y, z of the centre, length, width, height, yaw.
        velocity: (2,) metres per second along x and y.
    """

    label: RoadUser
    box: tuple[float, ...]
    velocity: tuple[float, float]


@dataclass(slots=True)
class Plan:
    """What is drawn so far.

    Attributes:
        rng: What all is drawn from.
        config: What is asked for.
        roads: Where the roads are.
        ground: What all stands on.
        taken: The places that are occupied.
        solids: All that a ray can meet above the ground.
        objects: All that is to be found; a solid's owner counts them.
    """

    rng: np.random.Generator
    config: LidarSceneConfig
    roads: Roads
    ground: Ground
    taken: list[Rectangle] = field(default_factory=lambda: [Rectangle(0.0, 0.0, *EGO_M, 0.0)])
    solids: list[Solid] = field(default_factory=list)
    objects: list[SceneObject] = field(default_factory=list)

    def chance(self, probability: float) -> bool:
        """Draw whether something is so."""
        return self.rng.random() < probability

    def stand(self, parts: list[Part], place: Place, yaw: float) -> bool:
        """Put a thing that is no object somewhere, if the place is free.

        What is above `HEADROOM_M` takes no place: a crown may be over a car.
        """
        low = [piece for piece in parts if piece.spans[2][0] < HEADROOM_M]
        if not self._take(_seat(low, place, yaw)):
            return False
        self.solids += placed(parts, self.ground.foot(*place), yaw)
        return True

    def add(self, label: RoadUser, parts: list[Part], place: Place, yaw: float, speed: float) -> bool:
        """Put an object somewhere, if the place is free and the LiDAR could see all of it.

        Args:
            label: Its class.
            parts: What it is built from.
            place: Where the origin of its parts comes to lie, x and y.
            yaw: Where it faces, in radians; it moves there too.
            speed: Metres per second.
        """
        seat = _seat(parts, place, yaw)
        if not self._in_view(seat) or not self._take(seat):
            return False
        foot = self.ground.foot(*place)
        low, high = extent(parts)[2]
        box = (
            seat.x,
            seat.y,
            foot[2] + (low + high) / 2,
            2 * seat.half_length,
            2 * seat.half_width,
            high - low,
            seat.yaw,
        )
        self.solids += placed(parts, foot, yaw, owner=len(self.objects))
        self.objects.append(SceneObject(label, box, (speed * math.cos(yaw), speed * math.sin(yaw))))
        return True

    def _take(self, seat: Rectangle) -> bool:
        """Occupy a place, unless something is closer to it than `GAP_M`."""
        wide = seat._replace(half_length=seat.half_length + GAP_M, half_width=seat.half_width + GAP_M)
        if any(overlap(wide, there) for there in self.taken):
            return False
        self.taken.append(seat)
        return True

    def _in_view(self, seat: Rectangle) -> bool:
        half = math.radians(self.config.field_of_view / 2)
        return all(
            math.hypot(x, y) <= self.config.max_range and abs(math.atan2(y, x)) <= half for x, y in seat.corners()
        )


def _seat(parts: list[Part], place: Place, yaw: float) -> Rectangle:
    """Return what a thing takes of the ground."""
    (rear, front), (right, left), _ = extent(parts)
    ahead, beside = (rear + front) / 2, (right + left) / 2
    cosine, sine = math.cos(yaw), math.sin(yaw)
    x, y = place[0] + cosine * ahead - sine * beside, place[1] + sine * ahead + cosine * beside
    return Rectangle(x, y, (front - rear) / 2, (left - right) / 2, math.remainder(yaw, math.tau))


def overlap(one: Rectangle, other: Rectangle) -> bool:
    """Return whether two rectangles have a point in common: no side of either one separates them."""
    away = math.hypot(other.x - one.x, other.y - one.y)
    if away > math.hypot(one.half_length, one.half_width) + math.hypot(other.half_length, other.half_width):
        return False
    cosine, sine = abs(math.cos(one.yaw - other.yaw)), abs(math.sin(one.yaw - other.yaw))
    for a, b in ((one, other), (other, one)):
        x, y = b.x - a.x, b.y - a.y
        ahead, beside = math.cos(a.yaw) * x + math.sin(a.yaw) * y, math.cos(a.yaw) * y - math.sin(a.yaw) * x
        if abs(ahead) > a.half_length + b.half_length * cosine + b.half_width * sine:
            return False
        if abs(beside) > a.half_width + b.half_length * sine + b.half_width * cosine:
            return False
    return True
