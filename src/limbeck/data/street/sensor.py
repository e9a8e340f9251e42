"""What the camera and the depth sensor make of a scene: blur, noise and 8 bits; depth that is missing in places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limbeck.data.shapes import Floats
from limbeck.data.street.materials import noise_tile

RANGE_M = 65.0
"""Depth is not measured beyond; 16 bits of millimetres reach to 65.5 m."""
EDGE_JUMP = 0.1
"""Where depth jumps by this part of itself from a pixel to the next, there is an edge."""


def develop(rng: np.random.Generator, light: NDArray[np.float32], is_night: bool) -> NDArray[np.uint8]:
    """Return the picture, (H,W,3), that a sensor makes of the light from each pixel.

    Args:
        rng: Draws exposure, white balance, blur and noise.
        light: (H,W,3), linear.
        is_night: A longer exposure and a higher gain, with more noise.
    """
    exposure = rng.uniform(0.6, 0.95) * (2.2 if is_night else 1.0)
    balance = (exposure * (1 + rng.normal(0, 0.03, 3))).astype(np.float32)
    shot, read = (0.022, 0.010) if is_night else (0.008, 0.003)
    signal = _blurred(light * balance, rng.uniform(0.1, 0.5))
    deviation = np.sqrt(read**2 + shot**2 * signal)
    signal = signal + deviation * rng.standard_normal(signal.shape, dtype=np.float32)
    return np.asarray((255 * np.sqrt(np.clip(signal, 0, 1)) + 0.5).astype(np.uint8))


def _blurred(light: NDArray[np.float32], strength: float) -> NDArray[np.float32]:
    """Mix each pixel with its neighbours in both directions."""
    padded = np.pad(light, ((1, 1), (0, 0), (0, 0)), mode="edge")
    light = (1 - strength) * light + strength / 2 * (padded[:-2] + padded[2:])
    padded = np.pad(light, ((0, 0), (1, 1), (0, 0)), mode="edge")
    return (1 - strength) * light + strength / 2 * (padded[:, :-2] + padded[:, 2:])


def measure_depth(rng: np.random.Generator, depth: Floats, holes: float) -> NDArray[np.float32]:
    """Return depth (H,W) in metres as a sensor gives it, exact where there is one and 0 elsewhere.

    Args:
        rng: Draws the places where it is missing.
        depth: Depth in metres, infinity where there is nothing.
        holes: Share of the pixels that patches without depth cover; above 0 it is missing at half of the edges too.
    """
    measured = depth <= RANGE_M
    if holes > 0:
        measured &= ~_patches(rng, depth.shape, holes)
        measured &= ~(_edges(depth) & (rng.random(depth.shape) < 0.5))
    return np.where(measured, depth, 0).astype(np.float32)


def _patches(rng: np.random.Generator, shape: tuple[int, ...], share: float) -> NDArray[np.bool_]:
    tile = noise_tile()
    row, column = rng.integers(len(tile), size=2)
    rows, columns = ((start + np.arange(side)) % len(tile) for start, side in zip((row, column), shape, strict=True))
    noise = tile[rows[:, None], columns]
    return np.asarray(noise >= np.quantile(noise, 1 - share))


def _edges(depth: Floats) -> NDArray[np.bool_]:
    found = np.zeros(depth.shape, dtype=bool)
    for axis in (0, 1):
        one, other = (np.take(depth, range(first, depth.shape[axis] - 1 + first), axis) for first in (0, 1))
        with np.errstate(invalid="ignore"):
            jump = np.abs(one - other) > EDGE_JUMP * np.minimum(one, other)
        for first in (0, 1):
            target = found[first : first + len(jump)] if axis == 0 else found[:, first : first + jump.shape[1]]
            target |= jump
    return found
