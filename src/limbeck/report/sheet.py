"""A sheet of sample images with their boxes, to be looked at before a training: is this what was meant?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from limbeck.data.config import PARTS, PartName
from limbeck.data.records import BoxData, BoxRecord
from limbeck.data.sampling import Labelled
from limbeck.imaging import Fit, ResizeMode, fit_image, read_image
from limbeck.report.sheet_layout import PAPER, grid, heading, legend, stack

TILES, MAX_TILES = 8, 24
"""Images shown of each part: the first number, and up to the second where it takes more to show every class."""
CLOSE_UPS = 8
"""Smallest boxes shown of each part."""
CONTEXT = 4
"""A close-up shows this many times the box, but at least `MIN_VIEW` pixels of the canvas."""
MIN_VIEW = 24
TILE_WH, CLOSE_UP_WH = (385, 289), (187, 187)
CLASS_COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#d55e00", "#cc79a7", "#ffffff")
"""The bright colours of Okabe and Ito's palette, and white; an eighth class begins again."""
IGNORE_COLOUR = "#d0d0d0"
_LABEL_FONT = ImageFont.load_default(size=12)


def draw_sheet(parts: Mapping[PartName, BoxData], canvas_wh: tuple[int, int], resize: ResizeMode) -> Image.Image:
    """Draw images of every part with their boxes, and the smallest boxes as the network sees them.

    Args:
        parts: What is to be shown; all have the same classes.
        canvas_wh: Width and height of the network's input in pixels.
        resize: ``letterbox`` or ``stretch``.

    Returns:
        An RGB image, `WIDTH` pixels wide.

    Raises:
        DataError: An image cannot be read.
    """
    strips: list[Image.Image] = []
    for part, data in parts.items():
        if not strips:
            strips.append(
                legend(_entries(data.classes, any(r.ignore.any() for d in parts.values() for r in d.records)))
            )
        rows = shown_samples(data.records)
        strips.append(heading(f"{PARTS[part].capitalize()}: {len(rows)} of {len(data.records)} images"))
        strips += grid((_tile(data.records[row], data.classes) for row in rows), TILE_WH)
    for part, data in parts.items():
        if smallest := smallest_boxes(data.records, canvas_wh, resize):
            strips.append(heading(f"{PARTS[part].capitalize()}: the smallest boxes as the network sees them, enlarged"))
            close_ups = (_close_up(data.records[row], box, data.classes, canvas_wh, resize) for row, box in smallest)
            strips += grid(close_ups, CLOSE_UP_WH)
    return stack(strips)


def _entries(classes: Sequence[str], ignored: bool) -> list[tuple[str, str]]:
    entries = [(name, _colour(label)) for label, name in enumerate(classes)]
    return [*entries, *([("hatched: ignored", IGNORE_COLOUR)] if ignored else [])]


def shown_samples(records: Sequence[Labelled], tiles: int = TILES) -> list[int]:
    """Return rows of samples that together show every class and an ignore region; the rest are spread evenly."""
    content = [
        set(record.labels[~record.ignore].tolist()) | ({-1} if record.ignore.any() else set()) for record in records
    ]
    wanted: set[int] = set().union(*content)
    chosen: list[int] = []
    while wanted and len(chosen) < MAX_TILES:
        chosen.append(max(range(len(content)), key=lambda row: len(content[row] & wanted)))
        wanted -= content[chosen[-1]]
    others = [row for row in range(len(records)) if row not in chosen]
    count = min(max(tiles - len(chosen), 0), len(others))
    chosen += [others[at] for at in np.linspace(0, len(others) - 1, count).round().astype(int)]
    return sorted(chosen)


def smallest_boxes(
    records: Sequence[BoxRecord], canvas_wh: tuple[int, int], resize: ResizeMode
) -> list[tuple[int, int]]:
    """Return row and box number of the smallest objects on the canvas, the smallest first, one of each image."""
    found = []
    for row, record in enumerate(records):
        left, top, right, bottom = Fit.of(record.size_wh, canvas_wh, resize).to_canvas(record.boxes_xyxy).T
        areas = np.where(record.ignore, np.inf, (right - left) * (bottom - top))
        if not record.ignore.all():
            found.append((float(areas.min()), row, int(areas.argmin())))
    return [(row, box) for _, row, box in sorted(found)[:CLOSE_UPS]]


def _tile(record: BoxRecord, classes: Sequence[str]) -> tuple[Image.Image, str]:
    image = read_image(record.path)
    scale = min(TILE_WH[0] / image.width, TILE_WH[1] / image.height)
    tile = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    boxes = record.boxes_xyxy * scale
    for box in boxes[record.ignore]:
        _hatch(tile, box.tolist())
    draw = ImageDraw.Draw(tile)
    for box, label in zip(boxes[~record.ignore].tolist(), record.labels[~record.ignore].tolist(), strict=True):
        _outline(draw, box, _colour(label))
        _label(draw, box, classes[label], _colour(label))
    count = len(boxes) - int(record.ignore.sum())
    return tile, f"{record.path.name}  ({count} box{'' if count == 1 else 'es'})"


def _close_up(
    record: BoxRecord, number: int, classes: Sequence[str], canvas_wh: tuple[int, int], resize: ResizeMode
) -> tuple[Image.Image, str]:
    pixels, fit = fit_image(read_image(record.path), canvas_wh, resize)
    left, top, right, bottom = fit.to_canvas(record.boxes_xyxy[number]).tolist()
    view = max(MIN_VIEW, round(CONTEXT * max(right - left, bottom - top)))
    x, y = (  # around the box, but inside the canvas
        min(max(round((first + last - view) / 2), 0), max(side - view, 0))
        for first, last, side in zip((left, top), (right, bottom), canvas_wh, strict=True)
    )
    scale = CLOSE_UP_WH[0] / view
    patch = Image.fromarray(pixels).crop((x, y, x + view, y + view)).resize(CLOSE_UP_WH, Image.Resampling.NEAREST)
    box = [(left - x) * scale, (top - y) * scale, (right - x) * scale, (bottom - y) * scale]
    label = int(record.labels[number])
    _outline(ImageDraw.Draw(patch), box, _colour(label))
    return patch, f"{right - left:.0f} x {bottom - top:.0f} {classes[label]}\n{record.path.name}"


def _colour(label: int) -> str:
    return CLASS_COLOURS[label % len(CLASS_COLOURS)]


def _outline(draw: ImageDraw.ImageDraw, box: Sequence[float], colour: str) -> None:
    """Draw a box with a dark rim outside, which shows on any ground and hides nothing of a small object."""
    left, top, right, bottom = box
    draw.rectangle((left - 2, top - 2, right + 2, bottom + 2), outline="black")
    draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=colour, width=2)


def _label(draw: ImageDraw.ImageDraw, box: Sequence[float], name: str, colour: str) -> None:
    """Write the class into the upper left corner of a box, if the box is large enough; else its colour has to do."""
    left, top, right, bottom = box
    width, height = draw.textlength(name, font=_LABEL_FONT) + 6, 16
    if width <= right - left and 2 * height <= bottom - top:
        draw.rectangle((left, top, left + width, top + height), fill=colour)
        draw.text((left + 3, top + 1), name, fill="black", font=_LABEL_FONT)


def _hatch(tile: Image.Image, box: Sequence[float]) -> None:
    """Hatch an ignore region in place."""
    left, top, right, bottom = (round(side) for side in box)
    region = tile.crop((left, top, max(right, left + 4), max(bottom, top + 4)))
    draw = ImageDraw.Draw(region)
    for shift, colour in enumerate((PAPER, IGNORE_COLOUR)):  # dark beside light shows on any ground
        for start in range(shift - region.height, region.width, 10):
            draw.line((start, region.height, start + region.height, 0), fill=colour)
        draw.rectangle((shift, shift, region.width - 1 - shift, region.height - 1 - shift), outline=colour)
    tile.paste(region, (left, top))
