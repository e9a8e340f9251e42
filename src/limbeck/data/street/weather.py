"""The light of a scene: sun, sky, headlights at night, and fog."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.data.shapes import Vector
from limbeck.data.street.config import StreetConfig
from limbeck.data.street.materials import Colour

HEADLIGHT_REACH_M = 9.0
HEADLIGHT_SPREAD = (0.45, 0.16)
"""How wide and how high the cone of the headlights is, as tangents of its angles."""
SKY_FOG_M = 400.0
"""The sky looks as foggy as something at this distance."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What lights a scene.

    Attributes:
        is_night: Whether lamps are on.
        to_sun: Unit vector to the sun (or to the moon).
        sunlight: Red, green and blue of the light that comes from there.
        skylight: Red, green and blue of the light that comes from all sides.
        zenith: Colour of the sky above.
        horizon: Colour of the sky at the horizon, and of the fog.
        extinction: What the fog takes in a metre, of what is left; 0 without fog.
    """

    is_night: bool
    to_sun: Vector
    sunlight: Colour
    skylight: Colour
    zenith: Colour
    horizon: Colour
    extinction: float

    def transmittance(self, depth: NDArray[np.float32] | float) -> NDArray[np.float32]:
        """Return what the fog leaves of the light from a depth in metres, exp(-extinction x depth)."""
        return np.asarray(np.exp(np.float32(-self.extinction) * np.asarray(depth, np.float32)))


def draw_weather(rng: np.random.Generator, config: StreetConfig) -> Weather:
    """Draw the hour and the weather."""
    is_night, is_foggy = rng.random() < config.night, rng.random() < config.fog
    elevation, azimuth = rng.uniform(0.5, 1.2), rng.uniform(-math.pi, math.pi)
    flat = math.cos(elevation)
    to_sun = (flat * math.sin(azimuth), -math.sin(elevation), flat * math.cos(azimuth))
    overcast = rng.uniform(0, 1) if rng.random() < 0.6 else 1.0
    warmth = rng.uniform(-0.06, 0.06)
    extinction = rng.uniform(0.02, 0.07) if is_foggy else 0.0
    if is_foggy:
        overcast = max(overcast, 0.8)
    if is_night:
        dim = rng.uniform(0.012, 0.03)
        ambient, sky = (0.8 * dim, 0.9 * dim, 1.2 * dim), (0.3 * dim, 0.4 * dim, 0.7 * dim)
        return Weather(True, to_sun, (0.0, 0.0, 0.0), ambient, sky, ambient, extinction)
    sun = 1.1 * (1 - overcast)
    grey = 0.45 + 0.45 * overcast
    return Weather(
        False,
        to_sun,
        (sun * (1 + warmth), sun, sun * (0.92 - warmth)),
        (grey * (0.97 + warmth), grey, grey * (1.06 - warmth)),
        (_between(0.18, 0.72, overcast), _between(0.36, 0.75, overcast), _between(0.75, 0.78, overcast)),
        (0.80, 0.84, 0.88),
        extinction,
    )


def headlight(points: NDArray[np.float32], normals: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the light (N,) that the headlights of the car with the camera throw on points (3,N) of the world."""
    x, y, z = points - np.array([[0.0], [-0.65], [0.5]], dtype=np.float32)
    distance = np.sqrt(x * x + y * y + z * z)
    ahead = np.maximum(z, 0.1)
    cone = np.exp(-((x / ahead / HEADLIGHT_SPREAD[0]) ** 2) - (((y / ahead) - 0.02) / HEADLIGHT_SPREAD[1]) ** 2)
    facing = np.maximum(-(normals[0] * x + normals[1] * y + normals[2] * z) / distance, 0)
    return np.asarray((z > 0) * cone * (0.25 + 0.75 * facing) / (1 + (distance / HEADLIGHT_REACH_M) ** 2))


def _between(clear: float, overcast: float, part: float) -> float:
    return clear + part * (overcast - clear)
