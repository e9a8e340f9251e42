"""What the things in a street are made of: colours, grain and what is painted on them.

Nothing but the shape of a thing follows from its class. With full ambiguity a sidewalk is drawn from the road's
materials and a car or a coat from those of the walls, and a wall may carry what looks like a hedge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
TILE_SIDE = 512
TEXELS_PER_GRAIN = 4

WALL_COLOURS: tuple[Colour, ...] = (
    (0.52, 0.25, 0.19),
    (0.66, 0.56, 0.42),
    (0.55, 0.55, 0.54),
    (0.80, 0.77, 0.70),
    (0.36, 0.42, 0.52),
    (0.28, 0.27, 0.27),
    (0.62, 0.42, 0.26),
    (0.40, 0.47, 0.36),
)
CAR_COLOURS: tuple[Colour, ...] = ((0.70, 0.06, 0.06), (0.05, 0.16, 0.55), (0.85, 0.85, 0.87), (0.03, 0.03, 0.04))
COAT_COLOURS: tuple[Colour, ...] = ((0.85, 0.30, 0.05), (0.75, 0.70, 0.10), (0.45, 0.08, 0.35), (0.10, 0.45, 0.55))
LEAF_COLOURS: tuple[Colour, ...] = ((0.16, 0.30, 0.09), (0.25, 0.38, 0.12), (0.12, 0.25, 0.14), (0.34, 0.36, 0.13))


@dataclass(frozen=True, slots=True)
class Material:
    """How a surface reflects light.

    Attributes:
        colour: Reflected part of red, green and blue.
        contrast: Deviation of the texture, as a part of the colour.
        grain: Size of the finest grain in metres.
        glow: What it gives off by itself at night, as a part of the colour.
    """

    colour: Colour
    contrast: float = 0.05
    grain: float = 0.05
    glow: float = 0.0


GLASS = Material((0.10, 0.13, 0.16), 0.15, 0.4)
LIT_GLASS = replace(GLASS, glow=5.0, colour=(0.22, 0.18, 0.11))
RUBBER = Material((0.06, 0.06, 0.06))
WHITE_PAINT = Material((0.78, 0.78, 0.75), 0.15, 0.06)
SKIN = Material((0.62, 0.44, 0.34))
REAR_LIGHT = Material((0.65, 0.05, 0.04), glow=1.2)
HEADLIGHT = Material((0.85, 0.85, 0.80), glow=1.5)


@dataclass(frozen=True, slots=True)
class Decal:
    """A flat picture of a rectangle or an ellipse on a face of a solid.

    Attributes:
        faces: The faces that it is on, see `limbeck.data.shapes.CURVED`.
        middle: Its middle on the face, in metres, see `limbeck.data.street.solids.Surface`.
        half: Half its width and height in metres.
        material: What it is painted with.
        is_round: Whether it is an ellipse.
        period: Distances at which it comes again along the face and up, in metres; 0 where it does not.
    """

    faces: tuple[int, ...]
    middle: tuple[float, float]
    half: tuple[float, float]
    material: Material
    is_round: bool = False
    period: tuple[float, float] = (0.0, 0.0)

    def covered(self, uv: NDArray[np.float32], face: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return which points of a surface, (2,N) and (N,), it covers, as their numbers."""
        found = np.flatnonzero(np.abs(self._away(uv[0], 0)) <= self.half[0])
        found = found[_is_one_of(self.faces)[face[found]]]
        found = found[np.abs(self._away(uv[1, found], 1)) <= self.half[1]]
        if self.is_round:
            distances = (self._away(uv[axis, found], axis) / self.half[axis] for axis in (0, 1))
            found = found[sum(np.square(distance) for distance in distances) <= 1]
        return found

    def _away(self, places: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
        away = places - np.float32(self.middle[axis])
        if period := np.float32(self.period[axis]):
            away -= period * np.round(away / period)
        return away


@cache
def _is_one_of(faces: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.isin(np.arange(7), faces)


def ground(rng: np.random.Generator) -> Material:
    """Draw asphalt or concrete."""
    return Material(_tinted(rng, rng.uniform(0.20, 0.52), 0.02), rng.uniform(0.08, 0.22), rng.uniform(0.02, 0.08))


def asphalt(rng: np.random.Generator) -> Material:
    """Draw a surface that only a road has: dark and rather blue."""
    grey = rng.uniform(0.16, 0.24)
    return Material((grey, grey * 1.02, grey * 1.12), 0.12, 0.03)


def paving(rng: np.random.Generator) -> Material:
    """Draw a surface that only a sidewalk has: light and rather warm."""
    grey = rng.uniform(0.46, 0.56)
    return Material((grey * 1.08, grey, grey * 0.88), 0.08, 0.06)


def wall(rng: np.random.Generator) -> Material:
    """Draw the paint or the bricks of a wall."""
    return Material(_varied(rng, WALL_COLOURS), rng.uniform(0.03, 0.15), rng.uniform(0.05, 0.3))


def leaves(rng: np.random.Generator) -> Material:
    """Draw foliage."""
    return Material(_varied(rng, LEAF_COLOURS), rng.uniform(0.35, 0.55), rng.uniform(0.06, 0.14))


def painted(rng: np.random.Generator, ambiguity: float, colours: tuple[Colour, ...]) -> Material:
    """Draw a coat of paint: with the probability ``ambiguity`` a wall's, else one of some colours of its own."""
    if rng.random() < ambiguity:
        return wall(rng)
    return Material(_varied(rng, colours), rng.uniform(0.02, 0.10), rng.uniform(0.05, 0.2))


def darker(material: Material, factor: float) -> Material:
    """Return the material in a darker or, above 1, a lighter shade."""
    red, green, blue = material.colour
    return replace(material, colour=(red * factor, green * factor, blue * factor))


def _varied(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    red, green, blue = np.array(colours[rng.integers(len(colours))]) * rng.uniform(0.75, 1.25)
    return float(red), float(green), float(blue)


def _tinted(rng: np.random.Generator, grey: float, deviation: float) -> Colour:
    red, green, blue = grey * (1 + rng.normal(0, deviation, 3))
    return float(red), float(green), float(blue)


@cache
def noise_tile() -> NDArray[np.float32]:
    """Return a tile of fractal value noise that repeats seamlessly, (S,S), with mean 0 and deviation 1.

    Its octaves are 4, 16 and 64 texels wide; the finest is a grain.
    """
    rng = np.random.default_rng(0)
    total = np.zeros((TILE_SIDE, TILE_SIDE))
    for width, strength in ((TEXELS_PER_GRAIN, 1.0), (16, 0.6), (64, 0.6)):
        cells = rng.normal(size=(TILE_SIDE // width, TILE_SIDE // width))
        total += strength * _smoothly_enlarged(_smoothly_enlarged(cells, width).T, width).T
    return np.asarray((total - total.mean()) / total.std(), np.float32)


def _smoothly_enlarged(cells: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Enlarge the first axis, cosine between the cells and from the last back to the first."""
    part = (1 - np.cos(np.pi * np.arange(factor) / factor)) / 2
    steps = cells[:, None] + part[None, :, None] * (np.roll(cells, -1, axis=0) - cells)[:, None]
    return np.asarray(steps.reshape(-1, *cells.shape[1:]))


def texture(uv: NDArray[np.float32], grain: NDArray[np.float32], footprint: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the noise at places (2,N), for grains (N,) that are blurred where a pixel, (N,), covers several of them.

    All in metres.
    """
    texels = (uv * (TEXELS_PER_GRAIN / grain)).astype(np.int32) & (TILE_SIDE - 1)
    return np.asarray(noise_tile()[texels[0], texels[1]] * (grain / (grain + footprint)))
