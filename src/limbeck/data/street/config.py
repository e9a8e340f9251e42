"""Settings of the street scenes: their size and camera, how often it is dark or foggy, how much a colour tells."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

from limbeck.data.config import SIZE_STEP
from limbeck.data.mask_config import CameraConfig
from limbeck.errors import ConfigError

MAX_SIDE = 4096


class Label(IntEnum):
    """The class of a pixel."""

    ROAD = 0
    SIDEWALK = 1
    BUILDING = 2
    VEGETATION = 3
    CAR = 4
    POLE = 5
    PERSON = 6
    SKY = 7
    POTHOLE = 8


CLASSES = tuple(label.name.lower() for label in Label)
"""Class names in the order of the labels; a kerb and a traffic island are sidewalk, a sign is a pole."""


@dataclass(frozen=True, slots=True)
class StreetConfig:
    """What the scenes look like.

    Attributes:
        width: Width of the images in pixels, a multiple of 32.
        height: Height of the images in pixels, a multiple of 32.
        focal: Focal length as a part of the width; 0.7 sees 71 degrees.
        night: Share of the scenes at night.
        fog: Share of the scenes in fog.
        ambiguity: How little a colour tells, from 0 to 1: how often a sidewalk has the road's surface and a car or a
            person the colour of a wall, and how many flat pictures of cars, persons, trees, hedges, poles and holes
            there are.
        holes: Share of the depth that is not measured, in patches; above 0 it is not measured at edges either.

    Raises:
        ConfigError: A setting is out of its range; all of them at once.
    """

    width: int = 416
    height: int = 256
    focal: float = 0.7
    night: float = 0.2
    fog: float = 0.2
    ambiguity: float = 0.5
    holes: float = 0.0

    def __post_init__(self) -> None:
        sides = {name: getattr(self, name) for name in ("width", "height")}
        problems = [
            f"{name} must be a multiple of {SIZE_STEP} from {SIZE_STEP} to {MAX_SIDE}, not {side}"
            for name, side in sides.items()
            if not SIZE_STEP <= side <= MAX_SIDE or side % SIZE_STEP
        ]
        shares = {field.name: getattr(self, field.name) for field in fields(self)[3:]}
        problems += [
            f"{name} must be from 0 to 1, not {share}" for name, share in shares.items() if not 0 <= share <= 1
        ]
        if not 0.2 <= self.focal <= 5:
            problems.append(f"focal must be from 0.2 to 5, not {self.focal}")
        if problems:
            raise ConfigError("These street scenes cannot be made:", problems)

    @property
    def camera(self) -> CameraConfig:
        """The camera, the same in all scenes; the centre of the pixel in column u and row v is the point (u, v)."""
        focal = round(self.focal * self.width, 6)  # without the digits that binary fractions leave
        return CameraConfig(fx=focal, fy=focal, cx=(self.width - 1) / 2, cy=round(0.45 * (self.height - 1), 6))
