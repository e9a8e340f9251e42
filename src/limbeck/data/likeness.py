"""How alike pictures are, judged by their thumbnails: a coarse sketch that can be searched, and a close comparison.

Both look at details, which is how much brighter a place is than its surroundings, in units of the contrast there: a
change of brightness or contrast leaves them alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 96
"""Width and height of a thumbnail in pixels, whatever the shape of the image."""
SKETCH_SIDE = 16
NOISE = 2.0
"""Grey levels; what varies less than this around a place counts as flat."""
MAX_STEP, MAX_MOVE = 0.06, 0.12
"""A thumbnail is moved and scaled by at most this part of half its side, in one fit and in all."""
_BLOCK = 1024

Grey = NDArray[np.float32]


def sketches(grey: NDArray[np.uint8]) -> Grey:
    """Return unit vectors (I,256) of the coarse details of thumbnails (I,S,S); zeros for a flat image.

    The product of two sketches is their correlation.
    """
    found = np.empty((len(grey), SKETCH_SIDE**2), dtype=np.float32)
    for start in range(0, len(grey), _BLOCK):
        small = _shrunk(grey[start : start + _BLOCK].astype(np.float32), SKETCH_SIDE)
        found[start : start + _BLOCK] = _unit_rows(_details(_box_mean(small, 1), radius=2))
    return found


def likeness(moving: Grey, fixed: Grey) -> Grey:
    """Return the correlation (P,) of the fine details of thumbnails (P,S,S), -1 to 1, the first laid over the second.

    Shift and scale along x and y and the grey levels are fitted from coarse to fine (Lucas and Kanade, IJCAI 1981), so
    that a copy that was cropped a little, or the next frame of a video, is still alike.
    """
    place = np.zeros((len(moving), 4), dtype=np.float32)
    for side in (SIDE // 4, SIDE // 2, SIDE):
        place = _improved(_box_mean(_shrunk(moving, side), 1), _box_mean(_shrunk(fixed, side), 1), place)
    inner = slice(SIDE // 8, -SIDE // 8)  # where both have pixels, however one was moved
    first = _details(_box_mean(_moved(moving, place), 1), radius=5)[:, inner, inner]
    second = _details(_box_mean(fixed, 1), radius=5)[:, inner, inner]
    return np.asarray((_unit_rows(first) * _unit_rows(second)).sum(axis=1))


def _improved(moving: Grey, fixed: Grey, place: Grey) -> Grey:
    """Return a better place (P,4) by one linear fit of ``moving`` and its gradients to ``fixed``, see `_moved`."""
    moved = _moved(moving, place)
    count, side, _ = moved.shape
    at = _positions(side)
    along_y, along_x = (gradient * (side / 2) for gradient in np.gradient(moved, axis=(1, 2)))
    terms = np.stack([along_x, along_y, along_x * at, along_y * at[:, None], moved, np.ones_like(moved)], axis=1)
    terms = terms.reshape(count, 6, -1)
    normal = terms @ terms.transpose(0, 2, 1) + 1e-3 * np.eye(6, dtype=np.float32)
    weights = np.linalg.solve(normal, terms @ fixed.reshape(count, -1, 1))[..., 0]
    step = weights[:, :4] / np.maximum(weights[:, 4:5], 0.2)  # the fifth is the ratio of contrasts
    return np.asarray((place + step.clip(-MAX_STEP, MAX_STEP)).clip(-MAX_MOVE, MAX_MOVE), dtype=np.float32)


def _moved(grey: Grey, place: Grey) -> Grey:
    """Return images (P,S,S) seen at places (P,4): shift along x and y, growth along x and y, in halves of a side."""
    side = grey.shape[1]
    pixels = np.arange(side, dtype=np.float32)
    seen = ((1 + place[:, 2:, None]) * _positions(side) + place[:, :2, None]) * (side / 2) + (side - 1) / 2
    weights = np.maximum(1 - np.abs(seen.clip(0, side - 1)[..., None] - pixels), 0)  # (P,2,S,S), linear interpolation
    return np.asarray(weights[:, 1] @ grey @ weights[:, 0].transpose(0, 2, 1))


def _positions(side: int) -> Grey:
    """Return the centres (S,) of pixels along a side that runs from -1 to 1."""
    return np.asarray((np.arange(side) + 0.5) * 2 / side - 1, dtype=np.float32)


def _details(grey: Grey, radius: int) -> Grey:
    """Return how much brighter places of (P,S,S) are than their surroundings, in units of the contrast there."""
    details = grey - _box_mean(grey, radius)
    return np.asarray(details / np.sqrt(_box_mean(details**2, radius) + NOISE**2))


def _box_mean(grey: Grey, radius: int) -> Grey:
    """Return the means of (P,S,S) over squares of 2 radius + 1 pixels, as far as they lie inside."""
    pixels = np.arange(grey.shape[1])
    near = (np.abs(pixels[:, None] - pixels) <= radius).astype(np.float32)
    near /= near.sum(axis=1, keepdims=True)
    return np.asarray(near @ grey @ near.T)


def _shrunk(grey: Grey, side: int) -> Grey:
    factor = grey.shape[1] // side
    return np.asarray(grey.reshape(len(grey), side, factor, side, factor).mean(axis=(2, 4)))


def _unit_rows(values: Grey) -> Grey:
    rows = values.reshape(len(values), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6))
