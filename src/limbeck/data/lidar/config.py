"""Settings of the LiDAR scenes: the sensor, and how much drives, walks and stands in the street."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from limbeck.errors import ConfigError

ELEVATIONS_DEG = (-25.0, 3.0)
"""The lowest and the highest ring; the others lie evenly between them."""
FULL_CIRCLE_DEG = 360.0
RANGES = {
    "azimuth_step": (0.05, 5.0),
    "max_range": (20.0, 200.0),
    "field_of_view": (10.0, FULL_CIRCLE_DEG),
    "range_noise": (0.0, 0.5),
    "dropout": (0.0, 1.0),
    "clutter": (0.0, 1.0),
}
MOST_RINGS = 128
MOST_OBJECTS = 100


class RoadUser(IntEnum):
    """The class of an object."""

    CAR = 0
    PEDESTRIAN = 1
    CYCLIST = 2


CLASSES = tuple(label.name.lower() for label in RoadUser)
"""Class names in the order of the labels; a bicycle without a rider is no object."""

Count = tuple[int, int]
"""The least and the most of something in a scene."""


@dataclass(frozen=True, slots=True)
class LidarSceneConfig:
    """What the scenes look like.

    Attributes:
        rings: How many rings the LiDAR has, from -25 to 3 degrees.
        azimuth_step: Degrees from one ray of a ring to the next; it is rounded so that it goes into ``field_of_view``.
        max_range: What is farther away than this, in metres, gives no point.
        field_of_view: Degrees that the LiDAR sees, half of them to the left and half to the right of straight ahead.
        range_noise: Standard deviation of the range in metres for what is near; at ``max_range`` it is twice that.
        dropout: Share of the points lost at ``max_range`` where the ray is square to the surface; it grows with the
            range from 0 on, and where the ray grazes the surface it is up to five times that.
        clutter: How much stands about that is none of the classes, from 0 (houses only) to 1.
        cars: Least and most number of cars; there are fewer where there is no room.
        pedestrians: As ``cars``.
        cyclists: As ``cars``.

    Raises:
        ConfigError: A setting is out of its range; all of them at once.
    """

    rings: int = 32
    azimuth_step: float = 0.5
    max_range: float = 60.0
    field_of_view: float = FULL_CIRCLE_DEG
    range_noise: float = 0.02
    dropout: float = 0.1
    clutter: float = 0.5
    cars: Count = (5, 15)
    pedestrians: Count = (2, 10)
    cyclists: Count = (1, 5)

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise ConfigError("These LiDAR scenes cannot be made:", problems)

    def _problems(self) -> Iterator[str]:
        if not isinstance(self.rings, int) or not 1 <= self.rings <= MOST_RINGS:
            yield f"rings must be a whole number from 1 to {MOST_RINGS}, not {self.rings}"
        for name, (least, most) in RANGES.items():
            given = getattr(self, name)
            if not least <= given <= most:
                yield f"{name} must be from {least:g} to {most:g}, not {given}"
        for name in ("cars", "pedestrians", "cyclists"):
            given = getattr(self, name)
            if not _is_count(given):
                yield f"{name} must be two whole numbers, 0 <= least <= most <= {MOST_OBJECTS}, not {given}"


def _is_count(given: object) -> bool:
    if not isinstance(given, tuple) or [type(number) for number in given] != [int, int]:
        return False
    return bool(0 <= given[0] <= given[1] <= MOST_OBJECTS)
