"""Colours of classes, and images with the classes of their pixels laid over them.

Only numpy is used, because ``limbeck predict`` draws on devices without torch.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

OKABE_ITO = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
"""The hues of Okabe and Ito's palette, which people with any colour vision can tell apart."""
NO_CLASS = "#8A8F98"
"""Pixels of no class, such as ignored ones."""
STRENGTH = 0.65
"""How much of an overlay is the colour of the class; the rest is the image without its colours, brightened."""
BRIGHTENED = 0.3
"""How far the image is moved towards white, so that dark things do not darken the colours of their classes."""
_TAKEN = ("#000000", "#FFFFFF", NO_CLASS)
_LIGHTNESS = (0.4, 0.95)
_STEPS = 12
_LUMA = np.array([0.299, 0.587, 0.114])
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_OPPONENTS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_VISIONS = np.array(
    [
        np.eye(3),
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
)
"""Normal vision, protanopia, deuteranopia and tritanopia: matrices on linear RGB of Machado, Oliveira and Fernandes,
"A Physiologically-based Model for Simulation of Color Vision Deficiency" (IEEE TVCG 2009), table of severity 1."""


@cache
def class_colours(num_classes: int) -> tuple[str, ...]:
    """Return a colour for every class as ``#rrggbb``; the first ones do not depend on how many there are.

    The first seven are `OKABE_ITO`. Each further one is, of a grid over the RGB cube without very dark and very light
    colours, the one whose distance to all colours before it, black, white and `NO_CLASS` is largest: the Euclidean
    distance in Oklab (B. Ottosson, 2020), and of normal and colour-blind vision that which sees the smallest one.

    >>> class_colours(2)
    ('#E69F00', '#56B4E9')
    """
    side = np.linspace(0, 255, _STEPS).round()
    grid = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)
    seen = _seen(grid)
    usable = (seen[0, :, 0] > _LIGHTNESS[0]) & (seen[0, :, 0] < _LIGHTNESS[1])
    grid, seen = grid[usable], seen[:, usable]
    colours = [*OKABE_ITO][:num_classes]
    distance = np.min([_distance(seen, _rgb(colour)) for colour in (*_TAKEN, *OKABE_ITO)], axis=0)
    while len(colours) < num_classes:
        colour = grid[distance.round(6).argmax()]  # rounded: the last bits differ between processors
        colours.append("#" + "".join(f"{int(part):02X}" for part in colour))
        distance = np.minimum(distance, _distance(seen, colour))
    return tuple(colours)


def paint(labels: NDArray[np.uint8], num_classes: int) -> NDArray[np.uint8]:
    """Return the colours (H,W,3) of labels (H,W); a label that is no class has the colour `NO_CLASS`."""
    table = np.tile(_rgb(NO_CLASS), (256, 1))
    table[:num_classes] = [_rgb(colour) for colour in class_colours(num_classes)]
    return table.astype(np.uint8)[labels]


def overlay(pixels: NDArray[np.uint8], labels: NDArray[np.uint8], num_classes: int) -> NDArray[np.uint8]:
    """Lay the colours of labels over an image that keeps its lightness only, so that every hue is that of a class.

    Args:
        pixels: (H,W,3) RGB.
        labels: (H,W) class of every pixel; a label that is no class has the colour `NO_CLASS`.
        num_classes: Number of classes.
    """
    grey = (1 - BRIGHTENED) * (pixels @ _LUMA)[..., None] + BRIGHTENED * 255
    mixed = STRENGTH * paint(labels, num_classes) + (1 - STRENGTH) * grey
    return np.asarray(mixed.round(), dtype=np.uint8)


def _rgb(colour: str) -> NDArray[np.float64]:
    return np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)], dtype=np.float64)


def _seen(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sRGB colours (N,3) in Oklab as the four kinds of vision see them, (4,N,3)."""
    share = rgb / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    visions = np.clip(linear @ _VISIONS.transpose(0, 2, 1), 0, 1)
    lab: NDArray[np.float64] = np.cbrt(visions @ _CONES.T) @ _OPPONENTS.T
    return lab


def _distance(seen: NDArray[np.float64], colour: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far a colour is from each of (4,N,3), (N,), for the vision that tells them apart least."""
    distance: NDArray[np.float64] = np.linalg.norm(seen - _seen(colour[None]), axis=-1).min(axis=0)
    return distance
