"""Images that a data set holds twice: with the same pixels, or as a copy that was encoded, scaled, cropped or mirrored.

A validation image that the model was trained on makes every score too good. Three steps find it, and none of them
compares decoded images pairwise: every image becomes a grey thumbnail (a JPEG file is decoded at a fraction of its size
for that); a product of matrices finds the nearest coarse sketches, also of mirrored images; and the thumbnails of these
few are compared closely, see `limbeck.data.likeness`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limbeck.data.likeness import SIDE, likeness, sketches
from limbeck.errors import DataError
from limbeck.imaging import IMAGE_ERRORS, read_image, unreadable_reason, upright_rgb

MIN_LIKENESS = 0.92
"""Details that correlate at least this much are of one picture. On photographs of wagons, welds, roads and blood cells,
copies of low JPEG quality, other size or brightness, mirrored or cropped by 3 % reached 0.95, but for a few that were
overexposed or almost without details; the same kind of object at the same place before one camera stayed below 0.90."""
MIN_SKETCH_LIKENESS = 0.8
"""Pairs whose sketches agree less are not looked at. Copies cropped by 3 % reached 0.92."""
NEAREST = 4
"""So many training images are compared closely with a validation image."""
MAX_IMAGES = 50_000
"""So many images of each part are looked at; their thumbnails take 9 kB each."""
_VAL_BLOCK, _PAIR_BLOCK = 128, 128


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnails:
    """Small grey copies of images.

    Attributes:
        paths: The image files.
        grey: (I,S,S) uint8, S being `limbeck.data.likeness.SIDE`.
    """

    paths: tuple[Path, ...]
    grey: NDArray[np.uint8]

    @classmethod
    def read(cls, paths: Iterable[Path]) -> Thumbnails:
        """Decode images one after the other.

        Raises:
            DataError: An image cannot be read.
        """
        files = tuple(paths)
        grey = np.empty((len(files), SIDE, SIDE), dtype=np.uint8)
        for index, path in enumerate(files):
            grey[index] = _thumbnail(path)
        return cls(files, grey)


@dataclass(frozen=True, slots=True)
class Pair:
    """A validation image and a training image of the same picture.

    Attributes:
        train: The training image.
        val: The validation image.
        likeness: Correlation of their details, `MIN_LIKENESS` to 1.
        mirrored: Whether one is the other's mirror image, left to right.
    """

    train: Path
    val: Path
    likeness: float
    mirrored: bool


@dataclass(frozen=True, slots=True)
class Identical:
    """Images with exactly the same pixels; there is a leak if both parts have one."""

    train: tuple[Path, ...]
    val: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Shared:
    """What two parts have in common.

    Attributes:
        identical: Images with the same pixels, within a part or across the parts.
        leaked: The images of the later part that the earlier one has too, each with the first such image there.
        near: Pairs of the same picture, the most alike first, without those that leaked.
    """

    identical: tuple[Identical, ...]
    leaked: dict[Path, Path]
    near: tuple[Pair, ...]


def draw_images(paths: Sequence[Path], limit: int = MAX_IMAGES, seed: int = 0) -> list[Path]:
    """Return all images, or ``limit`` of them drawn by the seed, in their order."""
    if len(paths) <= limit:
        return list(paths)
    drawn = np.random.default_rng(seed).choice(len(paths), limit, replace=False)
    return [paths[index] for index in np.sort(drawn)]


def shared_images(earlier: Thumbnails, later: Thumbnails) -> Shared:
    """Compare two parts; in what is found the earlier one's images are called ``train``, the later one's ``val``."""
    identical = identical_images(earlier, later)
    leaked = {path: group.train[0] for group in identical if group.train for path in group.val}
    near = [pair for pair in near_duplicates(earlier, later) if pair.val not in leaked]
    return Shared(tuple(identical), leaked, tuple(near))


def identical_images(train: Thumbnails, val: Thumbnails) -> list[Identical]:
    """Return the groups of images with the same pixels, within a part or across the parts.

    Files are compared pixel by pixel if their thumbnails are equal. That is certain for files of one format; the same
    pixels in a png and in a jpg file may be told by `near_duplicates` only.
    """
    alike: defaultdict[bytes, list[tuple[bool, Path]]] = defaultdict(list)
    for is_val, part in enumerate((train, val)):
        for path, grey in zip(part.paths, part.grey, strict=True):
            alike[hashlib.sha256(grey.tobytes()).digest()].append((bool(is_val), path))
    groups: list[Identical] = []
    for members in alike.values():
        if len(members) > 1:
            groups += _same_pixels(members)
    return groups


def _same_pixels(members: Sequence[tuple[bool, Path]]) -> Iterator[Identical]:
    same: defaultdict[bytes, list[tuple[bool, Path]]] = defaultdict(list)
    for is_val, path in members:
        image = read_image(path)
        same[hashlib.sha256(repr(image.size).encode() + image.tobytes()).digest()].append((is_val, path))
    for group in same.values():
        if len(group) > 1:
            yield Identical(
                tuple(path for is_val, path in group if not is_val), tuple(path for is_val, path in group if is_val)
            )


def near_duplicates(train: Thumbnails, val: Thumbnails) -> list[Pair]:
    """Return the pairs of a training and a validation image that show the same picture, the most alike first.

    Each validation image is compared closely with at most `NEAREST` training images, so the pairs never outnumber the
    validation images by more than that, also in a video that stands still.

    Args:
        train: Thumbnails of the training images.
        val: Thumbnails of the validation images.
    """
    pairs: list[Pair] = []
    for train_rows, val_rows, mirrored in _candidates(train, val):
        moving, fixed = train.grey[train_rows].astype(np.float32), val.grey[val_rows].astype(np.float32)
        fixed[mirrored] = fixed[mirrored, :, ::-1]
        found = likeness(moving, fixed)
        pairs += [
            Pair(train.paths[train_rows[k]], val.paths[val_rows[k]], float(found[k]), bool(mirrored[k]))
            for k in np.flatnonzero(found >= MIN_LIKENESS)
        ]
    return sorted(pairs, key=lambda pair: (-pair.likeness, pair.val, pair.train))


def group_pairs(pairs: Iterable[Pair]) -> list[list[Pair]]:
    """Return pairs in groups that share images, directly or through others: one scene each, the largest first."""
    leader: dict[tuple[str, Path], tuple[str, Path]] = {}

    def find(image: tuple[str, Path]) -> tuple[str, Path]:
        leader.setdefault(image, image)
        while leader[image] != image:
            leader[image] = image = leader[leader[image]]
        return image

    ordered = list(pairs)
    for pair in ordered:
        leader[find(("train", pair.train))] = find(("val", pair.val))
    groups: defaultdict[tuple[str, Path], list[Pair]] = defaultdict(list)
    for pair in ordered:
        groups[find(("val", pair.val))].append(pair)
    return sorted(groups.values(), key=len, reverse=True)


def _thumbnail(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            image.draft("L", (2 * SIDE, 2 * SIDE))
            grey = upright_rgb(image).convert("L")
    except IMAGE_ERRORS as error:
        raise DataError("An image cannot be read:", [f"{path}: {unreadable_reason(error)}"]) from error
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _candidates(
    train: Thumbnails, val: Thumbnails
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]]:
    """Yield pairs with similar sketches in blocks: rows of train, rows of val, and whether val is to be mirrored."""
    if not train.paths:
        return
    train_sketches = sketches(train.grey)
    count = min(NEAREST, len(train.paths))
    for start in range(0, len(val.paths), _VAL_BLOCK):
        block = val.grey[start : start + _VAL_BLOCK]
        plain = sketches(block) @ train_sketches.T
        mirrored = sketches(block[:, :, ::-1]) @ train_sketches.T
        best = np.maximum(plain, mirrored)
        nearest = np.argpartition(-best, count - 1, axis=1)[:, :count]
        rows = np.broadcast_to(np.arange(len(block))[:, None], nearest.shape)
        keep = best[rows, nearest] >= MIN_SKETCH_LIKENESS
        val_rows, train_rows = rows[keep], nearest[keep]
        is_mirrored = mirrored[val_rows, train_rows] > plain[val_rows, train_rows]
        for at in range(0, len(val_rows), _PAIR_BLOCK):
            piece = slice(at, at + _PAIR_BLOCK)
            yield train_rows[piece], start + val_rows[piece], is_mirrored[piece]
