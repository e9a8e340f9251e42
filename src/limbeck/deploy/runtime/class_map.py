"""A class for every pixel of an image of any size: what runs around a network that takes canvases of one size.

Only numpy and pillow are used, because the runtime on the device imports this file and has no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limbeck.errors import DataError
from limbeck.imaging import PAD_VALUE, ResizeMode, fit_image

Maps = Mapping[str, NDArray[np.float32]]
Answer = tuple[NDArray[np.uint8], NDArray[np.float32]]
"""Class and confidence of every pixel, (B,H,W) each or (H,W) each."""
Network = Callable[[dict[str, NDArray[Any]]], Answer]
"""Takes ``image`` (B,3,H,W) uint8 and further maps (B,C,H,W) float32 by name; gives (B,H,W) each."""
TILES_AT_ONCE = 4


@dataclass(frozen=True, slots=True, eq=False)
class ClassMap:
    """The class of every pixel of one image.

    Attributes:
        labels: (H,W) uint8, index into the classes.
        confidence: (H,W) float32 in [0, 1].
        classes: Class names.
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    classes: tuple[str, ...]

    @property
    def shares(self) -> dict[str, float]:
        """The share of the pixels that each class covers, by its name."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.classes))
        return dict(zip(self.classes, (counts / self.labels.size).tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Tiles:
    """How an image is looked at in pieces of the canvas' size, at the scale of the image.

    Attributes:
        overlap: Share of a tile's width and height that it has in common with the next one, at least; 0 to below 1.
    """

    overlap: float = 0.25

    def starts(self, image: int, canvas: int) -> list[int]:
        """Return where the tiles begin along one side: evenly spread, the last one ends where the image does."""
        if image <= canvas:
            return [0]
        step = max(1, int(canvas * (1 - self.overlap)))
        count = -(-(image - canvas) // step) + 1
        return [round(number * (image - canvas) / (count - 1)) for number in range(count)]


def map_image(
    network: Network,
    image: Image.Image,
    maps: Maps,
    canvas_wh: tuple[int, int],
    resize: ResizeMode,
    tiles: Tiles | None = None,
) -> Answer:
    """Return class and confidence of every pixel of an image, (H,W) each.

    Args:
        network: What answers canvases.
        image: Upright RGB image.
        maps: Further inputs by name, (C,H,W) float32 on the network's canvas.
        canvas_wh: Width and height of the network's input in pixels.
        resize: How the image is fitted onto it.
        tiles: None fits the whole image onto the canvas. Else it is looked at in tiles at its own scale; of the tiles
            that show a pixel, the one in which it lies furthest inside decides.

    Raises:
        DataError: There are tiles and maps: maps lie on the canvas of a whole image.
    """
    if tiles is not None:
        if maps:
            raise DataError("The image cannot be looked at in tiles:", ["the network reads maps beside the image"])
        return _in_tiles(network, image, canvas_wh, tiles)
    canvas, fit = fit_image(image, canvas_wh, resize)
    inputs: dict[str, NDArray[Any]] = {"image": canvas.transpose(2, 0, 1)[None]}
    labels, confidence = network(inputs | {name: values[None] for name, values in maps.items()})
    return fit.map_to_image(labels[0]), fit.map_to_image(confidence[0])


def check_maps(given: Maps | None, wanted: Mapping[str, int]) -> Maps:
    """Return the maps given to a network.

    Args:
        given: Inputs beside the image by name; None for none.
        wanted: Channels of those that the network has.

    Raises:
        DataError: They are not those of the network.
    """
    maps = given or {}
    problems = [f"the network has no input '{name}'" for name in maps if name not in wanted]
    problems += [
        f"the input '{name}' is missing, (C,H,W) with C = {wanted[name]}" for name in wanted if name not in maps
    ]
    problems += [
        f"the input '{name}' must be (C,H,W) float32 with C = {wanted[name]}, was given {values.dtype} {values.shape}"
        for name, values in maps.items()
        if name in wanted and (values.dtype != np.float32 or values.ndim != 3 or values.shape[0] != wanted[name])
    ]
    if problems:
        raise DataError("The inputs are not those of the network:", problems)
    return maps


def _in_tiles(network: Network, image: Image.Image, canvas_wh: tuple[int, int], tiles: Tiles) -> Answer:
    width, height = canvas_wh
    pixels = np.asarray(image).transpose(2, 0, 1)
    corners = [(y, x) for y in tiles.starts(image.height, height) for x in tiles.starts(image.width, width)]
    inside = _depth_inside(width, height)
    labels = np.zeros((image.height, image.width), np.uint8)
    confidence = np.zeros(labels.shape, np.float32)
    deepest = np.full(labels.shape, -1, inside.dtype)
    for first in range(0, len(corners), TILES_AT_ONCE):
        some = corners[first : first + TILES_AT_ONCE]
        for (y, x), found, sure in zip(some, *network({"image": _cut(pixels, some, canvas_wh)}), strict=True):
            place = slice(y, y + height), slice(x, x + width)
            rows, columns = labels[place].shape
            better = inside[:rows, :columns] > deepest[place]
            for whole, part in ((labels, found), (confidence, sure), (deepest, inside)):
                whole[place][better] = part[:rows, :columns][better]
    return labels, confidence


def _depth_inside(width: int, height: int) -> NDArray[np.int64]:
    """Return for every pixel of a tile how far inside it lies, (H,W): the product of its distances to two edges."""
    rows, columns = (1 + np.minimum(np.arange(side), np.arange(side)[::-1]) for side in (height, width))
    return np.outer(rows, columns)


def _cut(
    pixels: NDArray[np.uint8], corners: Sequence[tuple[int, int]], canvas_wh: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return the tiles of an image (3,H,W) at some corners, (T,3,h,w); where the image ends, grey."""
    cut = np.full((len(corners), 3, canvas_wh[1], canvas_wh[0]), PAD_VALUE, np.uint8)
    for tile, (y, x) in zip(cut, corners, strict=True):
        part = pixels[:, y : y + canvas_wh[1], x : x + canvas_wh[0]]
        tile[:, : part.shape[1], : part.shape[2]] = part
    return cut
