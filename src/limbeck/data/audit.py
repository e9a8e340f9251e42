"""The whole look at a data set before a training: what is wrong with it, what it holds, and what it holds twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from limbeck.data.config import PAIRS, PARTS, DataConfig, OnBroken, PartName
from limbeck.data.duplicates import (
    MAX_IMAGES,
    Identical,
    Pair,
    Shared,
    Thumbnails,
    draw_images,
    group_pairs,
    shared_images,
)
from limbeck.data.readers import read_boxes
from limbeck.data.records import BoxData
from limbeck.data.survey import PartSurvey, concerns, survey_part
from limbeck.errors import DataError


@dataclass(frozen=True, slots=True)
class Comparison:
    """The images that the parts of a data set have in common.

    Attributes:
        leaks: A sentence for every image that is in two parts.
        copies: Sentences for images that come twice in a part, or show the same picture as one of another part.
        compared: As in `Audit`.
        identical: As in `Audit`.
        near: As in `Audit`.
    """

    leaks: tuple[str, ...]
    copies: tuple[str, ...]
    compared: Mapping[PartName, int]
    identical: tuple[Identical, ...]
    near: tuple[tuple[Pair, ...], ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found in a data set.

    Attributes:
        problems: A sentence for everything that is broken, and for every image that is in two parts.
        warnings: A sentence for everything else that may not be meant.
        data: The parts as far as they are sound; a part that cannot be read at all is missing.
        surveys: What they hold.
        compared: How many images of each part were looked at for duplicates.
        identical: Training and validation images with the same pixels.
        near: Validation images that show the same picture as a training image, in groups that share images, without
            those that are identical. Of a test part only the sentences tell.
    """

    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    data: Mapping[PartName, BoxData]
    surveys: Mapping[PartName, PartSurvey]
    compared: Mapping[PartName, int]
    identical: tuple[Identical, ...]
    near: tuple[tuple[Pair, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Return all but the records as plain numbers and texts."""
        content = {
            "problems": self.problems,
            "warnings": self.warnings,
            "parts": {part: asdict(survey) for part, survey in self.surveys.items()},
            "compared": dict(self.compared),
            "identical": [asdict(group) for group in self.identical],
            "near_duplicates": [[asdict(pair) for pair in group] for group in self.near],
        }
        plain: dict[str, Any] = json.loads(json.dumps(content, default=str))
        return plain


def audit(config: DataConfig, *, seed: int = 0, max_images: int = MAX_IMAGES) -> Audit:
    """Read all parts, decoding every image, and look at what is sound.

    Args:
        config: Where the data is, and the canvas that the boxes are measured on.
        seed: Draws the images that are looked at for duplicates where there are more than ``max_images``.
        max_images: How many of each part are looked at.
    """
    data, problems = _read(config)
    surveys = {
        part: survey_part(found.records, found.classes, config.size, config.resize) for part, found in data.items()
    }
    paths = {part: [record.path for record in data[part].records] if part in data else [] for part in config.parts}
    images = compare_parts(paths, seed=seed, max_images=max_images)
    known = set(problems)
    left_out = [sentence for found in data.values() for sentence in found.skipped if sentence not in known]
    return Audit(
        problems=(*problems, *images.leaks),
        warnings=(*left_out, *concerns(surveys), *images.copies),
        data=data,
        surveys=surveys,
        compared=images.compared,
        identical=images.identical,
        near=images.near,
    )


def _read(config: DataConfig) -> tuple[dict[PartName, BoxData], list[str]]:
    """Return what is sound, and all problems in the words of the readers.

    What is broken is decoded twice: with ``error`` the reader tells the problems, with ``skip`` it returns the rest.
    """
    modes: tuple[OnBroken, ...] = ("error", "skip")
    data: dict[PartName, BoxData] = {}
    problems: dict[str, None] = {}
    classes = config.classes
    for part, split in config.parts.items():
        for mode in modes:
            try:
                data[part] = read_boxes(
                    split,
                    config.format,
                    classes,
                    mode,
                    names=config.names,
                    need_objects=part == "train",
                    verify_pixels=True,
                )
            except DataError as error:
                problems |= dict.fromkeys(error.problems)
            else:
                classes = data[part].classes
                break
    return data, list(problems)


def compare_parts(
    paths: Mapping[PartName, Sequence[Path]], *, seed: int = 0, max_images: int = MAX_IMAGES
) -> Comparison:
    """Find the images that a data set has twice.

    Args:
        paths: The sound images of every part.
        seed: Draws the images that are looked at where there are more than ``max_images``.
        max_images: How many of each part are looked at.
    """
    thumbnails = {part: Thumbnails.read(draw_images(images, max_images, seed)) for part, images in paths.items()}
    shared = {
        (earlier, later): shared_images(thumbnails[earlier], thumbnails[later])
        for earlier, later in PAIRS
        if later in thumbnails
    }
    train_and_val = shared["train", "val"]
    return Comparison(
        leaks=tuple(_leaks(shared)),
        copies=tuple(_copies(shared, thumbnails)),
        compared={part: len(images.paths) for part, images in thumbnails.items()},
        identical=train_and_val.identical,
        near=tuple(tuple(group) for group in group_pairs(train_and_val.near)),
    )


def _leaks(shared: Mapping[tuple[PartName, PartName], Shared]) -> Iterator[str]:
    for (earlier, _), found in shared.items():
        for path, twin in found.leaked.items():
            yield f"{path}: the same pixels as the {PARTS[earlier]} image {twin}"


def _copies(
    shared: Mapping[tuple[PartName, PartName], Shared], thumbnails: Mapping[PartName, Thumbnails]
) -> Iterator[str]:
    yield from _repeats([group.train for group in shared["train", "val"].identical], "train")
    for (earlier, later), found in shared.items():
        if earlier == "train":  # once for each other part
            yield from _repeats([group.val for group in found.identical], later)
        yield from _alike(found.near, len(thumbnails[later].paths), earlier, later)


def _repeats(groups: Sequence[Sequence[Path]], part: PartName) -> Iterator[str]:
    if repeats := [paths for paths in groups if len(paths) > 1]:
        count = sum(len(paths) - 1 for paths in repeats)
        first = f"the first are {repeats[0][0]} and {repeats[0][1]}"
        yield f"{count} {PARTS[part]} images have the same pixels as another one; {first}"


def _alike(near: Sequence[Pair], images: int, earlier: PartName, later: PartName) -> Iterator[str]:
    if near:
        count, what = len({pair.val for pair in near}), PARTS[later]
        they = f"1 {what} image shows" if count == 1 else f"{count} of {images} {what} images show"
        yield f"{they} the same picture as a {PARTS[earlier]} image, and scores on them are too good"
