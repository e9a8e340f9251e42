"""The whole look at a data set before a training: what is wrong with it, what it holds, and what it holds twice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from limbeck.data.config import PARTS, DataConfig, OnBroken, PartName
from limbeck.data.duplicates import (
    MAX_IMAGES,
    Identical,
    Pair,
    Thumbnails,
    draw_images,
    group_pairs,
    identical_images,
    near_duplicates,
)
from limbeck.data.readers import read_boxes
from limbeck.data.records import BoxData
from limbeck.data.survey import PartSurvey, concerns, survey_part
from limbeck.errors import DataError


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
    thumbnails = {part: _thumbnails(data.get(part), max_images, seed) for part in config.parts}
    train, val = thumbnails["train"], thumbnails["val"]
    identical = identical_images(train, val)
    leaked = {path for group in identical if group.train for path in group.val}
    near = group_pairs(pair for pair in near_duplicates(train, val) if pair.val not in leaked)
    test_problems, test_warnings = _test_leaks(thumbnails)
    known = set(problems)
    left_out = [sentence for found in data.values() for sentence in found.skipped if sentence not in known]
    return Audit(
        problems=(*problems, *_leaks(identical, "train"), *test_problems),
        warnings=(
            *left_out,
            *concerns(surveys),
            *_repeats([group.train for group in identical], "train"),
            *_repeats([group.val for group in identical], "val"),
            *_alike([pair for group in near for pair in group], len(val.paths), "train", "val"),
            *test_warnings,
        ),
        data=data,
        surveys=surveys,
        compared={part: len(images.paths) for part, images in thumbnails.items()},
        identical=tuple(identical),
        near=tuple(tuple(group) for group in near),
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


def _thumbnails(data: BoxData | None, max_images: int, seed: int) -> Thumbnails:
    paths = [] if data is None else [record.path for record in data.records]
    return Thumbnails.read(draw_images(paths, max_images, seed))


def _test_leaks(thumbnails: Mapping[PartName, Thumbnails]) -> tuple[list[str], list[str]]:
    """Return problems and warnings for test images that are in another part too, or twice in their own."""
    problems: list[str] = []
    warnings: list[str] = []
    if (test := thumbnails.get("test")) is None:
        return problems, warnings
    others: tuple[PartName, ...] = ("train", "val")
    for part in others:
        identical = identical_images(thumbnails[part], test)
        problems += _leaks(identical, part)
        if part == others[0]:  # once is enough
            warnings += _repeats([group.val for group in identical], "test")
        leaked = {path for group in identical if group.train for path in group.val}
        near = [pair for pair in near_duplicates(thumbnails[part], test) if pair.val not in leaked]
        warnings += _alike(near, len(test.paths), part, "test")
    return problems, warnings


def _leaks(identical: Sequence[Identical], earlier: PartName) -> list[str]:
    return [
        f"{path}: the same pixels as the {PARTS[earlier]} image {group.train[0]}"
        for group in identical
        if group.train
        for path in group.val
    ]


def _repeats(groups: Sequence[Sequence[Path]], part: PartName) -> list[str]:
    repeats = [paths for paths in groups if len(paths) > 1]
    if not repeats:
        return []
    count = sum(len(paths) - 1 for paths in repeats)
    first = f"the first are {repeats[0][0]} and {repeats[0][1]}"
    return [f"{count} {PARTS[part]} images have the same pixels as another one; {first}"]


def _alike(near: Sequence[Pair], images: int, earlier: PartName, later: PartName) -> list[str]:
    if not near:
        return []
    count = len({pair.val for pair in near})
    what = PARTS[later]
    they = f"1 {what} image shows" if count == 1 else f"{count} of {images} {what} images show"
    return [f"{they} the same picture as a {PARTS[earlier]} image, and scores on them are too good"]
