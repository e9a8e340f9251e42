"""What masks hold: how many pixels of which class on how many images, and what looks odd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from limbeck.data.config import PARTS, PartName
from limbeck.data.mask_records import MaskData
from limbeck.data.masks import count_pixels

MANY_IGNORED = 0.5
"""A larger share of ignored pixels is worth a look: a level may be missing in the settings."""


@dataclass(frozen=True, slots=True)
class ClassPixels:
    """How often a class occurs in one part.

    Attributes:
        name: The class.
        pixels: Its pixels.
        images: Images that show it.
    """

    name: str
    pixels: int
    images: int


@dataclass(frozen=True, slots=True)
class MaskSurvey:
    """The masks of one part in numbers.

    Attributes:
        images: Number of images.
        pixels: Pixels that count.
        ignored: Pixels that do not.
        classes: Counts by class, in the order of the labels.
        unlabelled: The masks without a pixel that counts.
    """

    images: int
    pixels: int
    ignored: int
    classes: tuple[ClassPixels, ...]
    unlabelled: tuple[Path, ...]

    @property
    def ignored_share(self) -> float:
        """Share of all pixels that do not count."""
        return self.ignored / (self.pixels + self.ignored)

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the classes without a pixel."""
        return tuple(found.name for found in self.classes if not found.pixels)


def survey_masks(data: MaskData) -> MaskSurvey:
    """Count the pixels of one part; every mask is decoded.

    Raises:
        DataError: A mask cannot be read, or has a level that stands for nothing.
    """
    counts = count_pixels(data.records, data.code, len(data.classes))
    labelled, ignored = counts[:, :-1], counts[:, -1]
    pixels, images = labelled.sum(axis=0).tolist(), (labelled > 0).sum(axis=0).tolist()
    rows = zip(data.records, labelled.sum(axis=1).tolist(), strict=True)
    return MaskSurvey(
        images=len(data.records),
        pixels=sum(pixels),
        ignored=int(ignored.sum()),
        classes=tuple(ClassPixels(*row) for row in zip(data.classes, pixels, images, strict=True)),
        unlabelled=tuple(record.mask for record, count in rows if not count),
    )


def mask_concerns(parts: Mapping[PartName, MaskSurvey]) -> list[str]:
    """Return a plain sentence for everything that can be read but may not be meant."""
    found: list[str] = []
    for part, survey in parts.items():
        what = PARTS[part]
        then = "cannot be learnt" if part == "train" else "cannot be measured"
        found += [f"no {what} mask has a pixel of '{name}': it {then}" for name in survey.missing]
        if survey.unlabelled:
            count, first = len(survey.unlabelled), survey.unlabelled[0]
            they = f"1 {what} mask, {first}, has" if count == 1 else f"{count} {what} masks, the first {first}, have"
            found.append(f"{they} no pixel that counts")
        if survey.ignored_share > MANY_IGNORED:
            found.append(f"{100 * survey.ignored_share:.0f} % of the pixels of the {what} masks are ignored")
    return found
