"""What a part of a data set of point clouds holds: its clouds, its objects by class, and what looks odd."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.data.cloud_config import CloudDataConfig
from limbeck.data.cloud_fit import NEAR_METRES, CloudFit, measure_fit
from limbeck.data.cloud_ignore import ignored_objects
from limbeck.data.cloud_records import CloudData
from limbeck.data.config import PARTS, PartName

MANY = 0.5
"""A larger share of boxes without points, or far from all points, is worth a look."""
ODD_FACTOR, ODD_METRES = 2.0, 0.5
"""A side that is so many times the median of its class, or the median of it, and so much off, makes a box odd ..."""
ODD_SHARE = 0.1
"""... unless more than this share of the class are: then its objects just differ."""
ENOUGH_OBJECTS = 10
"""A median of fewer objects says little."""


@dataclass(frozen=True, slots=True)
class OddSizes:
    """Boxes whose sizes are far from those of their class.

    Attributes:
        count: How many.
        swapped: How many of them would not be odd with length and width swapped.
        first: The cloud of the first of them.
    """

    count: int
    swapped: int
    first: Path


@dataclass(frozen=True, slots=True)
class ClassObjects:
    """The objects of one class in one part. Lengths are in metres; the median of nothing is NaN.

    Attributes:
        name: The class.
        objects: How many there are.
        clouds: Clouds that show one.
        size: Median length, width and height.
        median_range: Median distance from the LiDAR along the ground.
        farthest: Largest distance.
        empty: Objects without a point inside.
        ignored: Objects that do not count, by the labels or by the settings.
        odd: Objects of an odd size; None where there is none.
    """

    name: str
    objects: int
    clouds: int
    size: tuple[float, float, float]
    median_range: float
    farthest: float
    empty: int
    ignored: int
    odd: OddSizes | None


@dataclass(frozen=True, slots=True)
class CloudSurvey:
    """One part in numbers.

    Attributes:
        clouds: Number of clouds.
        without_objects: Clouds in which nothing is to be found.
        objects: All objects.
        empty: Objects without a point inside.
        marked: Objects that the labels say not to count.
        too_far: Objects beyond ``max_range``.
        too_few: Objects with fewer points than ``min_points``.
        classes: By class, in the order of the labels.
        largest_yaw: In radians, either way.
        fit: How boxes and points fit together in some of the clouds.
    """

    clouds: int
    without_objects: int
    objects: int
    empty: int
    marked: int
    too_far: int
    too_few: int
    classes: tuple[ClassObjects, ...]
    largest_yaw: float
    fit: CloudFit

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the classes without an object."""
        return tuple(found.name for found in self.classes if not found.objects)


def survey_clouds(data: CloudData, config: CloudDataConfig, *, seed: int = 0) -> CloudSurvey:
    """Count and measure what is labelled in one part; some of its clouds are read.

    Args:
        data: The part.
        config: Says which objects are ignored.
        seed: Draws the clouds that are read.

    Raises:
        DataError: A cloud cannot be read any more.
    """
    everything = (data.classes, config.max_range, config.min_points)
    ignored = [ignored_objects(record, *everything) for record in data.records]
    far = [ignored_objects(record, data.classes, config.max_range, 0) & ~record.ignore for record in data.records]
    few = [ignored_objects(record, data.classes, None, config.min_points) & ~record.ignore for record in data.records]
    objects = _Objects(
        boxes=np.concatenate([record.boxes for record in data.records]).astype(np.float64),
        labels=np.concatenate([record.labels for record in data.records]),
        empty=np.concatenate([record.num_points for record in data.records]) == 0,
        ignored=np.concatenate(ignored),
        frame=np.repeat(np.arange(len(data.records)), [len(record.boxes) for record in data.records]),
    )
    return CloudSurvey(
        clouds=len(data.records),
        without_objects=sum(bool(found.all()) for found in ignored),
        objects=len(objects.labels),
        empty=int(objects.empty.sum()),
        marked=sum(int(record.ignore.sum()) for record in data.records),
        too_far=sum(int(found.sum()) for found in far),
        too_few=sum(int(found.sum()) for found in few),
        classes=tuple(objects.of_class(label, data) for label in range(len(data.classes))),
        largest_yaw=float(np.abs(objects.boxes[:, 6]).max(initial=0)),
        fit=measure_fit(data, seed=seed),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Objects:
    """All M objects of a part in one table; ``frame`` is the place of each one's cloud."""

    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    empty: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    frame: NDArray[np.int64]

    def of_class(self, label: int, data: CloudData) -> ClassObjects:
        rows = np.flatnonzero(self.labels == label)
        sizes, ranges = self.boxes[rows, 3:6], np.hypot(self.boxes[rows, 0], self.boxes[rows, 1])
        length, width, height = np.median(sizes, axis=0).tolist() if len(rows) else (math.nan,) * 3
        return ClassObjects(
            name=data.classes[label],
            objects=len(rows),
            clouds=len(np.unique(self.frame[rows])),
            size=(length, width, height),
            median_range=float(np.median(ranges)) if len(rows) else math.nan,
            farthest=float(ranges.max()) if len(rows) else math.nan,
            empty=int(self.empty[rows].sum()),
            ignored=int(self.ignored[rows].sum()),
            odd=_odd_sizes(sizes, [data.records[place].path for place in self.frame[rows].tolist()]),
        )


def _odd_sizes(sizes: NDArray[np.float64], paths: Sequence[Path]) -> OddSizes | None:
    if len(sizes) < ENOUGH_OBJECTS:
        return None
    median = np.median(sizes, axis=0)
    odd = np.flatnonzero(_are_odd(sizes, median))
    if not len(odd) or len(odd) > ODD_SHARE * len(sizes):
        return None
    swapped = int((~_are_odd(sizes[odd][:, [1, 0, 2]], median)).sum())
    return OddSizes(len(odd), swapped, paths[odd[0]])


def _are_odd(sizes: NDArray[np.float64], median: NDArray[np.float64]) -> NDArray[np.bool_]:
    is_odd = (np.abs(np.log(sizes / median)) > math.log(ODD_FACTOR)) & (np.abs(sizes - median) > ODD_METRES)
    return np.asarray(is_odd.any(axis=1))


def cloud_concerns(parts: Mapping[PartName, CloudSurvey]) -> list[str]:
    """Return a plain sentence for everything that can be read but may not be meant."""
    return [sentence for part, survey in parts.items() for sentence in _concerns(part, survey)]


def _concerns(part: PartName, survey: CloudSurvey) -> Iterator[str]:
    what = PARTS[part]
    if not survey.objects:
        yield f"the {what} clouds have no object at all"
        return
    then = "cannot be learnt" if part == "train" else "cannot be measured"
    for found in survey.classes:
        if not found.objects:
            yield f"no {what} cloud has an object of '{found.name}': it {then}"
        elif found.ignored == found.objects:
            yield f"all {what} objects of '{found.name}' are ignored: it {then}"
        if found.odd is not None:
            yield _about_odd(what, found, found.odd)
    if survey.largest_yaw > 2 * math.pi + 0.01:
        yield f"a {what} box has a yaw of {survey.largest_yaw:.1f}, more than a turn; yaw is in radians"
    if survey.empty > MANY * survey.objects:
        share = f"{100 * survey.empty / survey.objects:.0f} %"
        yield f"{share} of the {what} boxes have no point inside: they can neither be learnt nor found"
    yield from _about_fit(what, survey.fit)


def _about_odd(what: str, found: ClassObjects, odd: OddSizes) -> str:
    size = " x ".join(f"{side:.2f}" for side in found.size)
    they = "1 box" if odd.count == 1 else f"{odd.count} boxes"
    swapped = f"; with length and width swapped, {odd.swapped} would not be" if odd.swapped else ""
    return (
        f"{they} of {found.objects} of the {what} class '{found.name}', the first in {odd.first}, differ from its "
        f"median of {size} m by a factor of more than {ODD_FACTOR:g}{swapped}"
    )


def _about_fit(what: str, fit: CloudFit) -> Iterator[str]:
    if fit.far > MANY * fit.boxes:
        share = f"{100 * fit.far / fit.boxes:.0f} %"
        yield (
            f"{share} of the {what} boxes are more than {NEAR_METRES:g} m from any point: clouds and labels may not "
            "belong together, or be in different frames or units"
        )
    for reading, count in fit.better.items():
        clouds = "1 cloud" if fit.clouds == 1 else f"{fit.clouds} clouds"
        yield f"the boxes of {clouds} of the {what} part hold {fit.inside} points, and would hold {count} if {reading}"
