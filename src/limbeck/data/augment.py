"""Training augmentation of an image with boxes: flip, zoom and crop, colour.

Crop, zoom and fit are one resize of the original and the colours one matrix on the small result. All arithmetic on
pixels is in whole numbers, so that a view does not depend on the number of threads. The parameters are plain numbers,
so a view can be repeated and tested.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image
from torch import Tensor
from torch.nn.functional import interpolate

from limbeck.data.config import AugmentConfig, PictureAugment
from limbeck.data.records import BoxRecord, ImageRecord
from limbeck.errors import DataError
from limbeck.imaging import (
    IMAGE_ERRORS,
    PAD_VALUE,
    Fit,
    ResizeMode,
    fit_image,
    read_image,
    unreadable_reason,
    upright_rgb,
)

MIN_VISIBLE = 0.25
"""A cropped object is kept if its centre stays on the canvas or at least this share of its area does."""
SPARE = 1.25
"""Pixels per canvas pixel, along each side, that a reduced JPEG must have left: the resize then decides how sharp the
picture is, as it does in evaluation."""
REDUCTIONS = (8, 4, 2)
"""A JPEG can be decoded at one part in this many of its width and height."""
_FIXED = 16
"""Bits behind the point in the arithmetic of the colours."""
_GREY = np.array([0.299, 0.587, 0.114])
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_YIQ_INVERSE = np.linalg.inv(_YIQ)
_MID_GREY = 127.5


@dataclass(frozen=True, slots=True)
class Placement:
    """Which part of the image fills which part of the canvas, both in whole pixels, so that boxes follow exactly.

    Attributes:
        source_xyxy: Part of the image, in multiples of ``reduction``.
        target_xyxy: The part of the canvas that it fills before the flip; the rest is grey.
        canvas_wh: Width and height of the canvas.
        flip: Whether the canvas is mirrored left to right afterwards.
        reduction: How much smaller the image may be decoded.
    """

    source_xyxy: tuple[int, int, int, int]
    target_xyxy: tuple[int, int, int, int]
    canvas_wh: tuple[int, int]
    flip: bool
    reduction: int


@dataclass(frozen=True, slots=True)
class View:
    """An augmented picture and what is left of its boxes.

    Attributes:
        pixels: (3,H,W) uint8 RGB.
        boxes_xyxy: (M,4) in pixels of the picture, inside it.
        labels: (M,) index into the class list.
        ignore: (M,) True for regions that are neither object nor background.
    """

    pixels: Tensor
    boxes_xyxy: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignore: NDArray[np.bool_]


def draw_view(
    record: BoxRecord,
    canvas_wh: tuple[int, int],
    resize: ResizeMode,
    config: AugmentConfig,
    generator: np.random.Generator,
) -> View:
    """Draw a view of one image on its own.

    Raises:
        DataError: The image cannot be read, or is not the one that was checked.
    """
    placement = draw_placement(config, Fit.of(record.size_wh, canvas_wh, resize), generator)
    return view_of(record, placement, draw_colour(config, generator))


def draw_placement(config: PictureAugment, fit: Fit, generator: np.random.Generator) -> Placement:
    """Draw flip, zoom and position of one view; without zoom the image lies as in evaluation."""
    flip = bool(generator.random() < config.flip)
    if generator.random() >= config.scale_crop:
        return place(fit.image_wh, (0, 0), fit.placed_wh, fit.canvas_wh, flip)
    zoom = math.exp(generator.uniform(math.log(config.scale[0]), math.log(config.scale[1])))
    return draw_position(fit, zoom, fit.canvas_wh, flip, generator)


def draw_position(
    fit: Fit, zoom: float, canvas_wh: tuple[int, int], flip: bool, generator: np.random.Generator
) -> Placement:
    """Draw where a zoomed image lies: within the canvas where it is smaller, all over it where it is larger."""
    placed_w, placed_h = (max(1, round(side * zoom)) for side in fit.placed_wh)
    room_w, room_h = canvas_wh[0] - placed_w, canvas_wh[1] - placed_h
    corner_xy = round(room_w * generator.random()), round(room_h * generator.random())
    return place(fit.image_wh, corner_xy, (placed_w, placed_h), canvas_wh, flip)


def place(
    image_wh: tuple[int, int],
    corner_xy: tuple[int, int],
    placed_wh: tuple[int, int],
    canvas_wh: tuple[int, int],
    flip: bool,
) -> Placement:
    """Place an image on the canvas.

    Args:
        image_wh: Width and height of the image.
        corner_xy: Canvas position of its upper left corner, before the flip; it may lie outside.
        placed_wh: Width and height of the whole image in canvas pixels.
        canvas_wh: Width and height of the canvas.
        flip: Whether the canvas is mirrored afterwards.
    """
    spare = min(image / (SPARE * placed) for image, placed in zip(image_wh, placed_wh, strict=True))
    reduction = next((part for part in REDUCTIONS if part <= spare), 1)
    columns, rows = (_along(*side, reduction) for side in zip(image_wh, corner_xy, placed_wh, canvas_wh, strict=True))
    (left, right), (x1, x2) = columns
    (top, bottom), (y1, y2) = rows
    return Placement((left, top, right, bottom), (x1, y1, x2, y2), canvas_wh, flip, reduction)


def _along(image: int, corner: int, placed: int, canvas: int, step: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return along one axis which part of the image, in multiples of ``step``, fills which part of the canvas."""
    start, end = max(corner, 0), min(corner + placed, canvas)
    steps, steps_per_pixel = image // step, image / step / placed
    first = min(round((start - corner) * steps_per_pixel), steps - 1)
    last = max(min(round((end - corner) * steps_per_pixel), steps), first + 1)
    return (first * step, last * step), (start, end)


def draw_colour(config: PictureAugment, generator: np.random.Generator) -> NDArray[np.float64] | None:
    """Draw brightness, contrast, saturation and hue as one matrix (3,4) for RGB grey levels; None if all are off."""
    strengths = (config.brightness, config.contrast, config.saturation)
    brightness, contrast, saturation = (1 + strength * generator.uniform(-1, 1) for strength in strengths)
    turn = config.hue * generator.uniform(-1, 1)
    if not any(strengths) and not config.hue:
        return None
    colour = contrast * brightness * _saturation(saturation) @ _hue(turn)
    return np.column_stack([colour, np.full(3, (1 - contrast) * _MID_GREY)])


def _saturation(factor: float) -> NDArray[np.float64]:
    return factor * np.eye(3) + (1 - factor) * np.tile(_GREY, (3, 1))


def _hue(turn: float) -> NDArray[np.float64]:
    """Rotate the chroma plane of YIQ by ``turn`` circles: luma and greys stay as they are."""
    cos, sin = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
    rotation = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    return np.asarray(_YIQ_INVERSE @ rotation @ _YIQ)


def view_of(record: BoxRecord, placement: Placement, colour: NDArray[np.float64] | None) -> View:
    """Read an image and return the view of it.

    Raises:
        DataError: The image cannot be read, or is not the one that was checked.
    """
    image, reduced_by = read_reduced(record, placement.reduction)
    pixels = render(image, reduced_by, placement, colour)
    boxes_xyxy = place_boxes(record.boxes_xyxy, placement)
    clipped, keep = clip_boxes(boxes_xyxy, record.ignore, placement.canvas_wh)
    return View(pixels, clipped[keep], record.labels[keep], record.ignore[keep])


def read_reduced(record: ImageRecord, reduction: int) -> tuple[Image.Image, int]:
    """Read an image, a JPEG at one part in ``reduction`` of its width and height; the decoder averages the pixels.

    Returns:
        The image as upright RGB, and by how much it is smaller than the file says: ``reduction``, or 1.

    Raises:
        DataError: The file cannot be read, or its image has another size than the record.
    """
    try:
        with Image.open(record.path) as image:
            whole_wh, reduced_by = image.size, _reduce(image, reduction)
            upright = _upright(image)
    except IMAGE_ERRORS as error:
        raise DataError("An image cannot be read:", [f"{record.path}: {unreadable_reason(error)}"]) from error
    expected_wh = tuple(math.ceil(side / reduced_by) for side in record.size_wh)
    if upright.size != expected_wh or sorted(whole_wh) != sorted(record.size_wh):
        raise image_changed(record, whole_wh)
    return upright, reduced_by


def _reduce(image: Image.Image, reduction: int) -> int:
    """Have an opened JPEG decoded smaller; returns by how much, 1 where that cannot be done or not exactly."""
    uneven = any(side % reduction for side in image.size)
    if reduction == 1 or (uneven and _is_turned(image)):  # what is cut off on the right would be missing elsewhere
        return 1
    return reduction if image.draft("RGB", (image.width // reduction, image.height // reduction)) else 1


def _upright(image: Image.Image) -> Image.Image:
    """Return what `upright_rgb` does, without its copy where the image is upright RGB already."""
    image.load()
    return upright_rgb(image) if image.mode != "RGB" or _is_turned(image) else image


def _is_turned(image: Image.Image) -> bool:
    return bool(image.getexif().get(ExifTags.Base.Orientation, 1) != 1)


def plain_pixels(record: ImageRecord, canvas_wh: tuple[int, int], resize: ResizeMode) -> tuple[Tensor, Fit]:
    """Return an image on its canvas as evaluation sees it, (3,H,W) uint8, and how it lies there.

    Raises:
        DataError: The image cannot be read, or is not the one that was checked.
    """
    pixels, fit = fit_image(read_image(record.path), canvas_wh, resize)
    if fit.image_wh != record.size_wh:
        raise image_changed(record, fit.image_wh)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))), fit


def image_changed(record: ImageRecord, found_wh: tuple[int, int]) -> DataError:
    """Return the error for an image that is no longer the one that was checked."""
    sizes = f"it has {found_wh} pixels instead of {record.size_wh}"
    return DataError("An image changed after it was checked:", [f"{record.path}: {sizes}"])


def render(image: Image.Image, reduced_by: int, placement: Placement, colour: NDArray[np.float64] | None) -> Tensor:
    """Return the view of an RGB image as (3,H,W) uint8.

    Args:
        image: The image, upright.
        reduced_by: By how much it is smaller than the image that the placement speaks of.
        placement: What goes where.
        colour: (3,4) from `draw_colour`.
    """
    left, top, right, bottom = placement.target_xyxy
    x1, y1, x2, y2 = (side // reduced_by for side in placement.source_xyxy)
    part = image if (x1, y1, x2, y2) == (0, 0, *image.size) else image.crop((x1, y1, x2, y2))
    pixels = _resized(torch.from_numpy(np.array(part)).permute(2, 0, 1), (bottom - top, right - left))
    if colour is not None:
        pixels = recoloured(pixels, colour)
    width, height = placement.canvas_wh
    if pixels.shape[1:] == (height, width):
        canvas = pixels
    else:
        canvas = torch.full((3, height, width), PAD_VALUE, dtype=torch.uint8)
        canvas[:, top:bottom, left:right] = pixels
    return canvas.flip(2) if placement.flip else canvas


def _resized(pixels: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resize (3,h,w) as pillow's bilinear filter does, in a quarter of the time."""
    if pixels.shape[1:] == size_hw:
        return pixels.contiguous()
    return interpolate(pixels[None], size_hw, mode="bilinear", antialias=True)[0]


def recoloured(pixels: Tensor, colour: NDArray[np.float64]) -> Tensor:
    """Apply a colour matrix (3,4) to (3,H,W) uint8, in fixed-point arithmetic."""
    one = 1 << _FIXED
    red, green, blue = pixels.to(torch.int32)
    out = torch.empty_like(pixels)
    for channel, (r, g, b, offset) in zip(out, np.rint(colour * one).astype(int).tolist(), strict=True):
        level = (red * r).add_(green, alpha=g).add_(blue, alpha=b).add_(offset + one // 2)
        channel.copy_(level.clamp_(0, 255 * one) >> _FIXED)
    return out


def place_boxes(boxes_xyxy: NDArray[np.float32], placement: Placement) -> NDArray[np.float32]:
    """Map boxes (M,4) from image pixels to canvas pixels; they may reach over the canvas' edges."""
    source, target = np.array(placement.source_xyxy), np.array(placement.target_xyxy)
    scale = (target[2:] - target[:2]) / (source[2:] - source[:2])
    boxes = (boxes_xyxy - source[[0, 1, 0, 1]]) * scale[[0, 1, 0, 1]] + target[[0, 1, 0, 1]]
    if placement.flip:
        boxes[:, [0, 2]] = placement.canvas_wh[0] - boxes[:, [2, 0]]
    return np.asarray(boxes, dtype=np.float32)


def clip_boxes(
    boxes_xyxy: NDArray[np.float32], ignore: NDArray[np.bool_], canvas_wh: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Clip boxes (M,4) to the canvas.

    Returns:
        The clipped boxes (M,4), and (M,) bool: which of them still count. An object counts if its centre stays on the
        canvas or `MIN_VISIBLE` of its area does; an ignore region counts as long as any part of it is visible.
    """
    limit = np.array([*canvas_wh, *canvas_wh], dtype=np.float32)
    clipped = boxes_xyxy.clip(0, limit)
    visible = _area(clipped) / _area(boxes_xyxy)
    centres = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    centre_inside = ((centres >= 0) & (centres < limit[:2])).all(axis=1)
    return clipped, np.where(ignore, visible > 0, centre_inside | (visible >= MIN_VISIBLE))


def _area(boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((boxes_xyxy[:, 2] - boxes_xyxy[:, 0]) * (boxes_xyxy[:, 3] - boxes_xyxy[:, 1]))
