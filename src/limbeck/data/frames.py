"""Which image, mask and X maps belong to one frame, by their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from limbeck.data.checks import TITLE
from limbeck.data.image_folder import files_in, listed, quoted, without_suffix
from limbeck.data.mask_config import MaskPartConfig
from limbeck.errors import DataError
from limbeck.imaging import IMAGE_SUFFIXES

MASK_SUFFIXES = frozenset({".bmp", ".png", ".tif", ".tiff"})
"""Endings of masks: the formats that keep every level as it is."""
X_SUFFIXES = frozenset({".npy", ".png", ".tif", ".tiff"})


@dataclass(frozen=True)
class Layout:
    """How the files of a frame are called in a format, and what the levels of its masks are called.

    A pattern is held against the name of a file relative to its folder and without its ending. What its groups hold,
    joined, is the name of the frame: files with the same belong together.

    Attributes:
        example: The name of an image.
        image: Pattern of the images.
        mask: Pattern of the masks.
        x: Pattern of the X maps; ``{kind}`` in it stands for the folder of one modality inside that of all.
        in_colour: Whether the masks are in colour, see `limbeck.data.mask_records.MaskCode`.
        levels: The level of each name, where the format has names for them; classes are in this order.
        void: Names of the levels that stand for no class.
    """

    example: str = "a.png"
    image: str = "(.+)"
    mask: str = "(.+)"
    x: str = "(.+)"
    in_colour: bool = False
    levels: Mapping[str, int] = field(default_factory=dict)
    void: Collection[str] = ()


@dataclass(frozen=True)
class FrameFiles:
    """The files of one frame.

    Attributes:
        name: Name of the frame.
        image: Name of the image relative to the folder of images.
        mask: The mask; None where there is none.
        x: The map of each X modality by name; None where there is none.
    """

    name: str
    image: str
    mask: Path | None
    x: Mapping[str, Path | None]


def find_frames(
    split: MaskPartConfig, layout: Layout, x_patterns: Mapping[str, str], broken: list[str]
) -> list[FrameFiles]:
    """Find the frames of a part, one for each image.

    Args:
        split: Where the files are.
        layout: How they are called.
        x_patterns: Pattern of the maps of each X modality.
        broken: Gets one sentence for each line of the list that names no image, for files that cannot be told apart,
            and, where there is no list, for each mask without an image.

    Returns:
        The frames in order of the list, else of their names.

    Raises:
        DataError: There is no image, or the list cannot be read.
    """
    images = find_files(split.images, layout.image, IMAGE_SUFFIXES)
    if not images:
        endings = ", ".join(sorted(IMAGE_SUFFIXES))
        what = f"the folder has no image in it that is called like '{layout.example}'; looked for {endings}"
        raise DataError(TITLE, [f"{split.images}: {what}"])
    masks = find_files(split.masks, layout.mask, MASK_SUFFIXES)
    if split.list is None:
        orphans = [names[0] for frame, names in masks.items() if frame not in images]
        broken += [f"{split.masks / name}: there is no image of this frame in {split.images}" for name in orphans]
    else:
        images = _chosen(split, split.list, images, broken)
    image_of = _single(split.images, images, broken)
    mask_of = _single(split.masks, _of_frames(masks, image_of), broken)
    x_of = {
        name: _single(split.x[name], _of_frames(find_files(split.x[name], pattern, X_SUFFIXES), image_of), broken)
        for name, pattern in x_patterns.items()
    }
    return [
        FrameFiles(frame, path.relative_to(split.images).as_posix(), mask_of.get(frame), _pick(x_of, frame))
        for frame, path in image_of.items()
    ]


def find_files(folder: Path, pattern: str, suffixes: Collection[str]) -> dict[str, list[str]]:
    """Return the files whose names fit a pattern of `Layout`, by the name of their frame."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name in files_in(folder, suffixes):
        if match := re.fullmatch(pattern, without_suffix(name)):
            found["".join(match.groups())].append(name)
    return found


def _chosen(
    split: MaskPartConfig, where: Path, images: Mapping[str, Sequence[str]], broken: list[str]
) -> dict[str, list[str]]:
    frame_of = {name: frame for frame, names in images.items() for name in names}
    chosen: defaultdict[str, list[str]] = defaultdict(list)
    for name in listed(where, split.images, list(frame_of), broken):
        chosen[frame_of[name]].append(name)
    return chosen


def _of_frames(files: Mapping[str, Sequence[str]], images: Mapping[str, Path]) -> dict[str, Sequence[str]]:
    """Return the files of the frames that there are images of; a folder may hold those of several parts."""
    return {frame: names for frame, names in files.items() if frame in images}


def _single(folder: Path, files: Mapping[str, Sequence[str]], broken: list[str]) -> dict[str, Path]:
    same = [names for names in files.values() if len(names) > 1]
    broken += [f"{folder}: {quoted(names)} belong to one frame, and there should be one of them" for names in same]
    return {frame: folder / names[0] for frame, names in files.items() if len(names) == 1}


def _pick(files: Mapping[str, Mapping[str, Path]], frame: str) -> dict[str, Path | None]:
    return {name: by_frame.get(frame) for name, by_frame in files.items()}
