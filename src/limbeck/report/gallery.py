"""Validation pictures on which the models differ, the student's worst first: which are shown, and what a panel is."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limbeck.errors import DataError
from limbeck.roles import Role

MAX_PICTURES = 8
PANEL_SIDE = 420
"""Longest side of a panel in pixels."""
MAX_BYTES = 1_600_000
"""All panels together; the page stays below 3 MB."""
DRAWN_COLOURS = 128
"""Colours of a drawing."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One drawn copy of an image, or a drawing of a cloud; ``who`` is truth or the role of a model."""

    who: str
    caption: str
    content: bytes
    alt: str
    kind: Literal["jpeg", "png"] = "jpeg"

    @classmethod
    def of(cls, who: str, caption: str, image: Image.Image, alt: str) -> Panel:
        """Compress an RGB image that has been drawn on."""
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=78, optimize=True)
        return cls(who, caption, buffer.getvalue(), alt)

    @classmethod
    def drawn(cls, who: str, caption: str, image: Image.Image, alt: str) -> Panel:
        """Compress a drawing of points and thin lines in few colours, which JPEG would blur."""
        buffer = io.BytesIO()
        few = image.quantize(DRAWN_COLOURS, Image.Quantize.MAXCOVERAGE)  # the rarest colours are those of the mistakes
        few.save(buffer, "PNG", optimize=True)
        return cls(who, caption, buffer.getvalue(), alt, "png")

    @property
    def uri(self) -> str:
        """The panel as a data URI."""
        return f"data:image/{self.kind};base64," + base64.b64encode(self.content).decode()


@dataclass(frozen=True, slots=True)
class Picture:
    """One image or cloud with its panels: for every model, and for the truth where that has one of its own."""

    file_name: str
    panels: tuple[Panel, ...]

    @property
    def num_bytes(self) -> int:
        """How much the picture adds to the page."""
        return sum(len(panel.content) for panel in self.panels)


@dataclass(frozen=True, slots=True)
class Gallery:
    """The pictures, on how many images the models differ at all, and those that could not be opened."""

    pictures: tuple[Picture, ...]
    differing: int
    missing: tuple[str, ...]


def hang(order: Sequence[int], names: Sequence[str], draw: Callable[[int], Picture]) -> Gallery:
    """Draw pictures in an order until there are enough; what cannot be opened any more is named.

    Args:
        order: The positions of the images or clouds that may be shown.
        names: The names of all of them.
        draw: Draws the picture at a position; raises DataError where the file is gone or does not fit what is known of
            it.
    """
    pictures: list[Picture] = []
    missing: list[str] = []
    room = MAX_BYTES
    for position in order:
        try:
            picture = draw(position)
        except DataError:
            missing.append(names[position])
            continue
        room -= picture.num_bytes
        if room < 0 or len(pictures) == MAX_PICTURES:
            break
        pictures.append(picture)
    return Gallery(tuple(pictures), len(order), tuple(missing))


def worst_first(scores: Mapping[Role, NDArray[np.float64]]) -> list[int]:
    """Return the positions of the images on which the models differ, the student's worst first.

    The student is held against the teacher, or against the control where there is no teacher.

    Args:
        scores: What each model reaches on every image, (I,); NaN where an image has nothing to be measured on.
    """
    judge = scores.get("teacher", scores["control"])
    stacked = np.stack(list(scores.values()))
    differing = np.flatnonzero(stacked.max(axis=0) > stacked.min(axis=0))
    return sorted(differing.tolist(), key=lambda i: (scores["student"][i] - judge[i], scores["student"][i]))


def panel_size(image_wh: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of an image's panel: at most `PANEL_SIDE` pixels, and never enlarged."""
    scale = min(1.0, PANEL_SIDE / max(image_wh))
    return max(1, round(image_wh[0] * scale)), max(1, round(image_wh[1] * scale))
