"""Are the X maps what the settings say? What they measure, and what points to a wrong unit, offset or camera.

Only what can be told from the numbers is: depth in 1/256 m that is read in millimetres is 3.9 times too small, which is
a plausible depth as well. It is told where a road is labelled, by the height of the camera above it, and by KITTI's own
sparse maps, which are known by their size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.data.camera_height import camera_height
from limbeck.data.config import PARTS, PartName
from limbeck.data.mask_config import UNITS, XConfig
from limbeck.data.mask_records import MaskData, MaskRecord
from limbeck.data.x_maps import measure, read_levels, stored_vectors

MAX_MAPS = 50
"""So many maps of each modality are looked at."""
MAX_VALUES = 20_000
"""So many values of each are kept."""
POSSIBLE_DEPTH, USUAL_DEPTH = (0.3, 300.0), (1.0, 150.0)
"""Metres: a median depth outside the first is suspicious, and a unit that brings it into the second may be meant."""
POSSIBLE_HEIGHT, USUAL_HEIGHT = (0.7, 3.5), (1.0, 2.5)
"""The same for the height of a camera above the road: those of cars and lorries, and one that is held in the hand."""
MIN_DISPARITY = 1.0
"""Pixels: if no disparity is larger, nothing can be seen in them."""
FEW = 0.01
"""A smaller share of measured pixels is suspicious."""
LENGTH_SLACK = 0.1
"""The median length of stored normals may differ from 1 by this; rounding to 8 bits makes it differ by 0.01."""
CENTRAL = (0.25, 0.75)
"""Where the principal point of a camera lies, as a share of width and height, unless it is that of other images."""
KITTI_WIDTHS, KITTI_HEIGHTS = (1216, 1242), (352, 376)
KITTI_SPARSE = 0.4
"""KITTI's depth benchmark measures a smaller share of the pixels; its maps come in 1/256 m only."""


@dataclass(frozen=True, slots=True)
class XSurvey:
    """What a sample of the maps of one modality holds.

    Attributes:
        name: The modality.
        maps: How many maps were looked at.
        unit: ``m``, ``px``, or nothing for other quantities. For stored normals the numbers are lengths of vectors.
        measured: Share of the pixels that were measured.
        least: Smallest value; NaN if nothing was measured.
        median: Median value.
        most: Largest value.
        camera_height: Metres from the camera to the road, where that can be told; see `limbeck.data.camera_height`.
        suspicions: A sentence for everything that may not be meant.
    """

    name: str
    maps: int
    unit: str
    measured: float
    least: float
    median: float
    most: float
    camera_height: float | None
    suspicions: tuple[str, ...]


def survey_x(data: MaskData, *, max_maps: int = MAX_MAPS, seed: int = 0) -> tuple[XSurvey, ...]:
    """Look at some maps of every X modality of a part.

    Args:
        data: The part.
        max_maps: How many maps of each modality are decoded.
        seed: Draws them where there are more.

    Raises:
        DataError: A map cannot be read.
    """
    records = data.records
    if len(records) > max_maps:
        drawn = np.random.default_rng(seed).choice(len(records), max_maps, replace=False)
        records = tuple(data.records[row] for row in np.sort(drawn))
    return tuple(_survey(records, name, data) for name in data.x)


def x_concerns(parts: Mapping[PartName, Sequence[XSurvey]]) -> list[str]:
    """Return all suspicions as sentences that say which part and modality they are about."""
    return [
        f"{PARTS[part]} maps '{survey.name}': {suspicion}"
        for part, surveys in parts.items()
        for survey in surveys
        for suspicion in survey.suspicions
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """The values (V,) of some maps, the share of pixels that were measured, and that of normals that look away."""

    values: NDArray[np.float32]
    measured: float
    look_away: float = 0.0

    @property
    def median(self) -> float:
        return float(np.median(self.values))

    @property
    def least(self) -> float:
        return float(self.values.min())

    @property
    def most(self) -> float:
        return float(self.values.max())


def _survey(records: Sequence[MaskRecord], name: str, data: MaskData) -> XSurvey:
    config = data.x[name]
    sample = _look(records, name, config)
    unit = {"depth": "m", "disparity": "px"}.get(config.holds, "")
    if not len(sample.values):
        nothing = ("none of its pixels was measured",)
        return XSurvey(name, len(records), unit, 0.0, math.nan, math.nan, math.nan, None, nothing)
    height = camera_height(records, name, config, data.code, data.classes)
    numbers = (sample.measured, sample.least, sample.median, sample.most)
    suspicions = (*_suspicions(sample, records, name, config), *_height_suspicions(height, config))
    return XSurvey(name, len(records), unit, *numbers, height, suspicions)


def _look(records: Sequence[MaskRecord], name: str, config: XConfig) -> _Sample:
    samples, look_away = [np.empty(0, np.float32)], [0.0]
    measured = pixels = 0
    for record in records:
        levels = read_levels(record, name)
        if config.holds == "normals":
            vectors, valid = stored_vectors(levels, config)
            values = vectors.square().sum(dim=0).sqrt()
            look_away.append(float((vectors[2] > 0)[valid].sum()))
        else:
            values, valid = measure(levels, config)
        known = values[valid].numpy()
        measured, pixels = measured + len(known), pixels + valid.numel()
        samples.append(known[:: 1 + len(known) // MAX_VALUES])
    return _Sample(np.concatenate(samples), measured / pixels, sum(look_away) / max(measured, 1))


def _suspicions(sample: _Sample, records: Sequence[MaskRecord], name: str, config: XConfig) -> Iterator[str]:
    if sample.measured < FEW:
        yield f"only {100 * sample.measured:.2g} % of the pixels were measured"
    if sample.least == sample.most and config.holds != "normals":
        yield f"all that was measured is {_number(sample.most)}"
    if config.holds == "depth":
        yield from _depth_suspicions(sample, records, config)
    if config.holds == "disparity":
        yield from _disparity_suspicions(sample, records, config)
    if config.holds == "normals":
        yield from _normals_suspicions(sample)
    if config.gives == "normals":
        yield from _camera_suspicions(records[0], name)


def _depth_suspicions(sample: _Sample, records: Sequence[MaskRecord], config: XConfig) -> Iterator[str]:
    if not _within(sample.median, POSSIBLE_DEPTH):
        yield f"the median depth is {_number(sample.median)} m {_or_rather(sample.median, config, USUAL_DEPTH)}"
    kitti = all(_within(r.size_wh[0], KITTI_WIDTHS) and _within(r.size_wh[1], KITTI_HEIGHTS) for r in records)
    if kitti and sample.measured < KITTI_SPARSE and config.level_value != UNITS["depth"]["m/256"]:
        sparse = f"the images have KITTI's size and {100 * sample.measured:.2g} % of the pixels were measured"
        yield f"{sparse}, as in KITTI's depth benchmark, whose unit is 'm/256' and not {_unit_text(config)}"


def _height_suspicions(height: float | None, config: XConfig) -> Iterator[str]:
    if height is not None and not _within(height, POSSIBLE_HEIGHT):
        rather = _or_rather(height, config, USUAL_HEIGHT)
        yield f"the camera is {_number(height)} m above what is labelled as road {rather}"


def _or_rather(value: float, config: XConfig, usual: tuple[float, float]) -> str:
    """Say which unit a number of metres comes from, and the others that make it a usual one."""
    others = _in_other_units(value, config).items()
    better = [f"with '{unit}' it would be {_number(metres)} m" for unit, metres in others if _within(metres, usual)]
    return f"with the unit {_unit_text(config)}; {', '.join(better) or 'no unit makes it a usual one'}"


def _disparity_suspicions(sample: _Sample, records: Sequence[MaskRecord], config: XConfig) -> Iterator[str]:
    width = max(record.size_wh[0] for record in records)
    others = _in_other_units(sample.most, config).items()
    better = [f"; with '{unit}' it would be {_number(value)} px" for unit, value in others if 1 < value <= width]
    largest = f"the largest disparity is {_number(sample.most)} px with the unit {_unit_text(config)}"
    if sample.most > width:
        yield f"{largest}, in images {width} pixels wide{''.join(better)}"
    elif sample.most < MIN_DISPARITY:
        yield f"{largest}, so that nothing can be told apart{''.join(better)}"


def _normals_suspicions(sample: _Sample) -> Iterator[str]:
    if abs(sample.median - 1) > LENGTH_SLACK:
        yield f"the vectors have the median length {_number(sample.median)}, and normals have 1"
    if sample.look_away > 0.5:
        share = f"{100 * sample.look_away:.0f} % of the normals have z above 0"
        yield f"{share}; those that limbeck computes, and fills gaps with, look at the camera with z below 0"


def _camera_suspicions(record: MaskRecord, name: str) -> Iterator[str]:
    camera, (width, height) = record.cameras[name], record.size_wh
    if not (_within(camera.cx / width, CENTRAL) and _within(camera.cy / height, CENTRAL)):
        where = f"the camera's principal point ({_number(camera.cx)}, {_number(camera.cy)})"
        yield f"{where} is far from the middle of {record.path} with {width} x {height} pixels"


def _in_other_units(value: float, config: XConfig) -> dict[str, float]:
    """Return what a value would be with the other units; the offset is the same in all of them."""
    levels = value / config.level_value
    return {unit: levels * worth for unit, worth in UNITS[config.holds].items() if worth != config.level_value}


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def _unit_text(config: XConfig) -> str:
    return f"'{config.unit}'" if isinstance(config.unit, str) else f"{config.level_value:g}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
