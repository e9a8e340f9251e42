"""Reading an image and fitting it onto the network's canvas: the one definition for training, export and the device.

Only numpy and pillow are used, because the runtime on the device imports this file and has no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from limbeck.errors import DataError

ResizeMode = Literal["letterbox", "stretch"]
MapT = TypeVar("MapT", bound=np.generic)
PAD_VALUE = 114
"""Grey level of the canvas where a letterboxed image does not reach."""
IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Endings, in lower case, by which the images of a folder are known."""
IMAGE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
"""What pillow raises on a file that is missing, broken, no image or larger than its limit."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Where an image lies on the network's canvas. The image's corner is the canvas' corner; only the scale differs.

    Attributes:
        image_wh: Width and height of the image in pixels, upright (after its EXIF rotation).
        canvas_wh: Width and height of the network's input in pixels.
        scale_xy: Canvas pixels per image pixel, along x and y.
    """

    image_wh: tuple[int, int]
    canvas_wh: tuple[int, int]
    scale_xy: tuple[float, float]

    @classmethod
    def of(cls, image_wh: tuple[int, int], canvas_wh: tuple[int, int], mode: ResizeMode) -> Fit:
        """Fit an image: ``stretch`` fills the canvas, ``letterbox`` keeps the aspect ratio and pads right or below."""
        width, height = _placed_wh(image_wh, canvas_wh, mode)
        return cls(image_wh, canvas_wh, (width / image_wh[0], height / image_wh[1]))

    @property
    def placed_wh(self) -> tuple[int, int]:
        """Width and height in canvas pixels of the part that the image covers."""
        return round(self.image_wh[0] * self.scale_xy[0]), round(self.image_wh[1] * self.scale_xy[1])

    def to_canvas(self, boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map boxes (M,4) from image pixels to canvas pixels."""
        return np.asarray(boxes_xyxy * np.array([*self.scale_xy, *self.scale_xy]), dtype=np.float32)

    def to_image(self, boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map boxes (M,4) from canvas pixels to image pixels, clipped to the image."""
        boxes = boxes_xyxy / np.array([*self.scale_xy, *self.scale_xy])
        return np.asarray(boxes.clip(0, np.array([*self.image_wh, *self.image_wh])), dtype=np.float32)

    def map_to_image(self, values: NDArray[MapT]) -> NDArray[MapT]:
        """Map one value per canvas pixel, (H,W), to one per image pixel: that of the canvas pixel it lies in."""
        rows, columns = (
            nearest_pixels(*sides) for sides in zip(self.image_wh[::-1], self.placed_wh[::-1], strict=True)
        )
        return np.ascontiguousarray(values[rows[:, None], columns])


def nearest_pixels(to: int, source: int) -> NDArray[np.int64]:
    """Return for each of ``to`` pixels along one side the one of ``source`` pixels in which its centre lies."""
    return ((2 * np.arange(to) + 1) * source) // (2 * to)


def _placed_wh(image_wh: tuple[int, int], canvas_wh: tuple[int, int], mode: ResizeMode) -> tuple[int, int]:
    if mode == "stretch":
        return canvas_wh
    scale = min(canvas_wh[0] / image_wh[0], canvas_wh[1] / image_wh[1])
    return max(1, round(image_wh[0] * scale)), max(1, round(image_wh[1] * scale))


def read_image(path: Path) -> Image.Image:
    """Read any image file as upright 8-bit RGB.

    Greyscale, palette, CMYK and 16-bit images are converted (16 bit by its upper 8 bits, as cameras write it),
    transparency is laid over black and the EXIF orientation is applied.

    Raises:
        DataError: The file is missing, is not an image, is truncated or is too large (pillow's decompression bomb).
    """
    try:
        with Image.open(path) as image:
            return upright_rgb(image)
    except IMAGE_ERRORS as error:
        raise DataError("An image cannot be read:", [f"{path}: {unreadable_reason(error)}"]) from error


def upright_rgb(image: Image.Image) -> Image.Image:
    """Return an opened image as upright 8-bit RGB, see `read_image`; pillow raises `IMAGE_ERRORS` on a broken one."""
    image.load()
    return _to_rgb(ImageOps.exif_transpose(image))


def unreadable_reason(error: Exception) -> str:
    """Say in a few words why pillow could not read a file, without repeating the file's name."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or in an unknown format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16") or image.mode == "I":
        upper = np.asarray(image).astype(np.int64).clip(0, 65535) >> 8
        return Image.fromarray(upper.astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, rgba).convert("RGB")
    return image.convert("RGB")


def fit_image(image: Image.Image, canvas_wh: tuple[int, int], mode: ResizeMode) -> tuple[NDArray[np.uint8], Fit]:
    """Resize an RGB image onto the canvas.

    Args:
        image: Upright RGB image.
        canvas_wh: Width and height of the network's input in pixels.
        mode: ``letterbox`` or ``stretch``, see `Fit.of`.

    Returns:
        The canvas as (H,W,3) uint8, and how the image lies on it.
    """
    fit = Fit.of(image.size, canvas_wh, mode)
    placed = image if image.size == fit.placed_wh else image.resize(fit.placed_wh, Image.Resampling.BILINEAR)
    if fit.placed_wh == canvas_wh:
        return np.array(placed), fit
    canvas = np.full((canvas_wh[1], canvas_wh[0], 3), PAD_VALUE, dtype=np.uint8)
    canvas[: placed.height, : placed.width] = np.asarray(placed)
    return canvas, fit
