"""The whole look at data with point clouds before a training: what is wrong, what it holds, and what it holds twice."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from limbeck.data.cloud_config import CloudDataConfig
from limbeck.data.cloud_duplicates import twin_sentences
from limbeck.data.cloud_readers import read_clouds
from limbeck.data.cloud_records import CloudData
from limbeck.data.cloud_survey import CloudSurvey, cloud_concerns, survey_clouds
from limbeck.data.config import OnBroken, PartName
from limbeck.errors import DataError


@dataclass(frozen=True, slots=True)
class CloudAudit:
    """What was found in data with point clouds.

    Attributes:
        problems: A sentence for everything that is broken, and for every cloud that is in two parts.
        warnings: A sentence for everything else that may not be meant.
        data: The parts as far as they are sound; a part that cannot be read at all is missing.
        surveys: What they hold.
    """

    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    data: Mapping[PartName, CloudData]
    surveys: Mapping[PartName, CloudSurvey]

    def to_json(self) -> dict[str, Any]:
        """Return all but the records as plain numbers and texts; what is not known is null."""
        content = {
            "problems": self.problems,
            "warnings": self.warnings,
            "parts": {part: _plain(asdict(survey)) for part, survey in self.surveys.items()},
        }
        plain: dict[str, Any] = json.loads(json.dumps(content, default=str, allow_nan=False))
        return plain


def audit_clouds(config: CloudDataConfig, *, seed: int = 0) -> CloudAudit:
    """Read all parts, every point of them, and look at what is sound.

    Args:
        config: Where the data is.
        seed: Draws the clouds whose boxes are compared with their points.
    """
    data, problems = _read(config)
    surveys = {part: survey_clouds(found, config, seed=seed) for part, found in data.items()}
    leaks, copies = twin_sentences(data)
    known = set(problems)
    left_out = dict.fromkeys(sentence for found in data.values() for sentence in found.skipped if sentence not in known)
    return CloudAudit(
        problems=(*problems, *leaks),
        warnings=(*left_out, *cloud_concerns(surveys), *copies),
        data=data,
        surveys=surveys,
    )


def _read(config: CloudDataConfig) -> tuple[dict[PartName, CloudData], list[str]]:
    """Return what is sound, and all problems in the words of the reader, as in `limbeck.data.audit`."""
    modes: tuple[OnBroken, ...] = ("error", "skip")
    data: dict[PartName, CloudData] = {}
    problems: dict[str, None] = {}
    for part, split in config.parts.items():
        for mode in modes:
            in_mode = config.model_copy(update={"on_broken": mode})
            try:
                data[part] = read_clouds(in_mode, split, need_objects=part == "train", verify=True)
            except DataError as error:
                problems |= dict.fromkeys(error.problems)
            else:
                config = config.model_copy(update={"classes": data[part].classes})
                break
    return data, list(problems)


def _plain(value: Any) -> Any:
    """Return what json can hold: it has no NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
