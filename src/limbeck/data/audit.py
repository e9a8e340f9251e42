"""The whole look at a data set before a training: what is wrong with it, what it holds, and what it holds twice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from limbeck.data.config import DataConfig, OnBroken, SplitConfig
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
from limbeck.data.survey import PARTS, PartName, PartSurvey, concerns, survey_part
from limbeck.errors import DataError


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found in a data set.

    Attributes:
        problems: A sentence for everything that is broken, and for every image that is in both parts.
        warnings: A sentence for everything else that may not be meant.
        data: The parts as far as they are sound; a part that cannot be read at all is missing.
        surveys: What they hold.
        compared: How many images of each part were looked at for duplicates.
        identical: Images with the same pixels.
        near: Validation images that show the same picture as a training image, in groups that share images, without
            those that are identical.
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
    """Read both parts, decoding every image, and look at what is sound.

    Args:
        config: Where the data is, and the canvas that the boxes are measured on.
        seed: Draws the images that are looked at for duplicates where there are more than ``max_images``.
        max_images: How many of each part are looked at.
    """
    data, problems = _read(config)
    surveys = {
        part: survey_part(found.records, found.classes, config.size, config.resize) for part, found in data.items()
    }
    train, val = (_thumbnails(data.get(part), max_images, seed) for part in PARTS)
    identical = identical_images(train, val)
    leaked = {path for group in identical if group.train for path in group.val}
    near = group_pairs(pair for pair in near_duplicates(train, val) if pair.val not in leaked)
    known = set(problems)
    left_out = [sentence for found in data.values() for sentence in found.skipped if sentence not in known]
    return Audit(
        problems=(*problems, *_leaks(identical)),
        warnings=(*left_out, *concerns(surveys), *_repeats(identical), *_alike(near, len(val.paths))),
        data=data,
        surveys=surveys,
        compared={"train": len(train.paths), "val": len(val.paths)},
        identical=tuple(identical),
        near=tuple(tuple(group) for group in near),
    )


def _read(config: DataConfig) -> tuple[dict[PartName, BoxData], list[str]]:
    """Return what is sound, and all problems in the words of the readers.

    What is broken is decoded twice: with ``error`` the reader tells the problems, with ``skip`` it returns the rest.
    """
    modes: tuple[OnBroken, ...] = ("error", "skip")
    splits: dict[PartName, SplitConfig] = {"train": config.train, "val": config.val}
    data: dict[PartName, BoxData] = {}
    problems: dict[str, None] = {}
    classes = config.classes
    for part, split in splits.items():
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


def _leaks(identical: Sequence[Identical]) -> list[str]:
    return [
        f"{path}: the same pixels as the training image {group.train[0]}"
        for group in identical
        if group.train
        for path in group.val
    ]


def _repeats(identical: Sequence[Identical]) -> list[str]:
    found = []
    for part, what in PARTS.items():
        groups = [group.train if part == "train" else group.val for group in identical]
        if repeats := [paths[:2] for paths in groups if len(paths) > 1]:
            count = sum(len(paths) - 1 for paths in groups if paths)
            first = f"the first are {repeats[0][0]} and {repeats[0][1]}"
            found.append(f"{count} {what} images have the same pixels as another one; {first}")
    return found


def _alike(near: Sequence[Sequence[Pair]], images: int) -> list[str]:
    if not near:
        return []
    count = len({pair.val for group in near for pair in group})
    they = "1 validation image shows" if count == 1 else f"{count} of {images} validation images show"
    return [f"{they} the same picture as a training image, and scores on them are too good"]
