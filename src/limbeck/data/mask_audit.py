"""The whole look at data with masks before a training: what is wrong, what it holds, and what it holds twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from limbeck.data.audit import Comparison, compare_parts
from limbeck.data.config import OnBroken, PartName
from limbeck.data.duplicates import MAX_IMAGES
from limbeck.data.mask_config import MaskDataConfig
from limbeck.data.mask_readers import read_masks
from limbeck.data.mask_records import MaskData
from limbeck.data.mask_survey import MaskSurvey, mask_concerns, survey_masks
from limbeck.data.x_check import XSurvey, survey_x, x_concerns
from limbeck.errors import DataError


@dataclass(frozen=True, slots=True)
class MaskAudit:
    """What was found in data with masks.

    Attributes:
        problems: A sentence for everything that is broken, and for every image that is in two parts.
        warnings: A sentence for everything else that may not be meant.
        data: The parts as far as they are sound; a part that cannot be read at all is missing.
        surveys: What their masks hold.
        x_surveys: What a sample of their X maps holds.
        images: Images that the parts have in common.
    """

    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    data: Mapping[PartName, MaskData]
    surveys: Mapping[PartName, MaskSurvey]
    x_surveys: Mapping[PartName, tuple[XSurvey, ...]]
    images: Comparison

    def to_json(self) -> dict[str, Any]:
        """Return all but the records as plain numbers and texts."""
        content = {
            "problems": self.problems,
            "warnings": self.warnings,
            "parts": {part: asdict(survey) for part, survey in self.surveys.items()},
            "x": {part: [asdict(survey) for survey in surveys] for part, surveys in self.x_surveys.items()},
            "compared": dict(self.images.compared),
            "identical": [asdict(group) for group in self.images.identical],
            "near_duplicates": [[asdict(pair) for pair in group] for group in self.images.near],
        }
        plain: dict[str, Any] = json.loads(json.dumps(content, default=str))
        return plain


def audit_masks(config: MaskDataConfig, *, seed: int = 0, max_images: int = MAX_IMAGES) -> MaskAudit:
    """Read all parts, decoding every file, and look at what is sound.

    Args:
        config: Where the data is.
        seed: Draws the X maps that are measured, and the images that are looked at for duplicates where there are more
            than ``max_images``.
        max_images: How many images of each part are looked at for duplicates.
    """
    data, problems = _read(config)
    surveys = {part: survey_masks(found) for part, found in data.items()}
    x_surveys = {part: survey_x(found, seed=seed) for part, found in data.items()}
    paths = {part: [record.path for record in data[part].records] if part in data else [] for part in config.parts}
    images = compare_parts(paths, seed=seed, max_images=max_images)
    known = set(problems)
    left_out = dict.fromkeys(sentence for found in data.values() for sentence in found.skipped if sentence not in known)
    return MaskAudit(
        problems=(*problems, *images.leaks),
        warnings=(*left_out, *mask_concerns(surveys), *x_concerns(x_surveys), *images.copies),
        data=data,
        surveys=surveys,
        x_surveys=x_surveys,
        images=images,
    )


def _read(config: MaskDataConfig) -> tuple[dict[PartName, MaskData], list[str]]:
    """Return what is sound, and all problems in the words of the reader, as in `limbeck.data.audit`."""
    modes: tuple[OnBroken, ...] = ("error", "skip")
    data: dict[PartName, MaskData] = {}
    problems: dict[str, None] = {}
    for part, split in config.parts.items():
        for mode in modes:
            in_mode = config.model_copy(update={"on_broken": mode})
            try:
                data[part] = read_masks(in_mode, split, need_labels=part == "train", verify_pixels=True)
            except DataError as error:
                problems |= dict.fromkeys(error.problems)
            else:
                break
    return data, list(problems)
