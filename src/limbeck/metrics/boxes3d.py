"""What there is to find in a set of point clouds, and what was found: boxes in space, frame by frame.

A box is coded as in `limbeck.core.samples.Boxes3D`: x, y, z of its centre, length along the heading, width, height in
metres, and the yaw in radians, counter-clockwise about z from the x axis; all in the frame of the LiDAR.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import ConfigError, DataError, nearest

UNKNOWN_COUNT = -1
"""Stands in `TrueBoxes.num_points` where the points in a box were not counted."""
VEHICLES = frozenset({"bus", "car", "construction_vehicle", "trailer", "tram", "truck", "van", "vehicle"})
"""Classes that must overlap by 0.7 in KITTI or Waymo, or are of their size; every other class must by 0.5."""
_LISTED = 20


@dataclass(frozen=True, slots=True, eq=False)
class TrueBoxes:
    """The labelled boxes of one frame.

    Attributes:
        boxes: (M,7) float.
        labels: (M,) int, index into the classes.
        ignore: (M,) bool, objects that are neither to be found nor background.
        levels: (M,) int, how hard an object is to find, 0 for the easiest (KITTI's easy, moderate, hard).
        num_points: (M,) int, points inside; `UNKNOWN_COUNT` where they were not counted.
        velocities: (M,2) float, metres per second along x and y, NaN where not known; None where the data has none.
    """

    boxes: NDArray[np.floating[Any]]
    labels: NDArray[np.integer[Any]]
    ignore: NDArray[np.bool_]
    levels: NDArray[np.integer[Any]]
    num_points: NDArray[np.integer[Any]]
    velocities: NDArray[np.floating[Any]] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FoundBoxes:
    """The detections of one frame, in any order.

    Attributes:
        boxes: (D,7) float.
        scores: (D,) float.
        labels: (D,) int, index into the classes.
        velocities: (D,2) float, metres per second along x and y, NaN where not known; None where the model says none.
    """

    boxes: NDArray[np.floating[Any]]
    scores: NDArray[np.floating[Any]]
    labels: NDArray[np.integer[Any]]
    velocities: NDArray[np.floating[Any]] | None = None


class LabelledCloud(Protocol):
    """What a data reader knows of a frame; the arrays are those of `TrueBoxes`."""

    @property
    def id(self) -> int | str: ...  # noqa: D102
    @property
    def boxes(self) -> NDArray[np.floating[Any]]: ...  # noqa: D102
    @property
    def labels(self) -> NDArray[np.integer[Any]]: ...  # noqa: D102
    @property
    def ignore(self) -> NDArray[np.bool_]: ...  # noqa: D102
    @property
    def levels(self) -> NDArray[np.integer[Any]]: ...  # noqa: D102
    @property
    def num_points(self) -> NDArray[np.integer[Any]]: ...  # noqa: D102
    @property
    def velocities(self) -> NDArray[np.floating[Any]] | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True, eq=False)
class Truth3D:
    """What should be found in a set of frames.

    Attributes:
        classes: Class names.
        frame_ids: One per frame.
        frames: The labelled boxes of every frame, of those without an object too.
    """

    classes: tuple[str, ...]
    frame_ids: tuple[int | str, ...]
    frames: tuple[TrueBoxes, ...]

    @classmethod
    def from_records(cls, records: Iterable[LabelledCloud], classes: Sequence[str]) -> Truth3D:
        """Take the truth from a data reader.

        Args:
            records: One per frame, see `LabelledCloud`.
            classes: Class names; the labels count in them.
        """
        records = tuple(records)
        frames = [TrueBoxes(r.boxes, r.labels, r.ignore, r.levels, r.num_points, r.velocities) for r in records]
        return cls(tuple(classes), tuple(record.id for record in records), tuple(frames))


@dataclass(frozen=True, slots=True, eq=False)
class Found3D:
    """What was found; ``frames`` are in the order of those of the truth."""

    frames: tuple[FoundBoxes, ...]


def check_found(truth: Truth3D, found: Found3D) -> None:
    """Refuse detections that do not belong to ``truth``.

    Raises:
        DataError: The frames are not as many, arrays of a frame do not fit together, a label is no class, or a number
            is not finite; each problem names its frame.
    """
    if len(found.frames) != len(truth.frames):
        raise DataError(
            "The detections do not fit the labels:",
            [f"there are detections for {len(found.frames)} frames, and labels for {len(truth.frames)}"],
        )
    problems = [
        f"frame {frame_id!r}: {problem}"
        for frame_id, frame in zip(truth.frame_ids, found.frames, strict=True)
        for problem in _problems(frame, truth.classes)
    ]
    if problems:
        raise DataError("The detections do not fit the labels:", problems, shown=_LISTED)


def _problems(frame: FoundBoxes, classes: Sequence[str]) -> Iterator[str]:
    count = len(frame.boxes)
    wanted = {"boxes": (count, 7), "scores": (count,), "labels": (count,)}
    if frame.velocities is not None:
        wanted["velocities"] = (count, 2)
    misshapen = [name for name, shape in wanted.items() if getattr(frame, name).shape != shape]
    for name in misshapen:
        yield f"{name} must be of shape {wanted[name]}, not {getattr(frame, name).shape}"
    if misshapen:
        return
    unknown = sorted({int(label) for label in frame.labels if not 0 <= label < len(classes)})
    if unknown:
        yield f"there are {len(classes)} classes, counted from 0, and the detections have {unknown}"
    usable = np.isfinite(frame.boxes).all(axis=1) & np.isfinite(frame.scores) & (frame.boxes[:, 3:6] >= 0).all(axis=1)
    for row in np.flatnonzero(~usable).tolist():
        yield f"box {frame.boxes[row].tolist()} with score {frame.scores[row]} is not usable"
    if frame.velocities is not None:
        for row in np.flatnonzero(np.isinf(frame.velocities).any(axis=1)).tolist():
            yield f"velocity {frame.velocities[row].tolist()} of box {frame.boxes[row].tolist()} is not usable"


def overlaps_wanted(classes: Sequence[str], given: Mapping[str, float] | None = None) -> NDArray[np.float64]:
    """Return the intersection over union from which on a detection hits, for every class, (K,).

    Args:
        classes: Class names.
        given: By class name; the others have 0.7 if they are `VEHICLES` and else 0.5, as in KITTI and Waymo.

    Raises:
        ConfigError: A name is no class, or a number is not above 0 and at most 1.

    >>> overlaps_wanted(["Car", "Cyclist", "barrier"], {"barrier": 0.25}).tolist()
    [0.7, 0.5, 0.25]
    """
    given = given or {}
    problems = [f"there is no class '{name}'{nearest(name, classes)}" for name in given if name not in classes]
    problems += [
        f"{given[name]} for '{name}' is not above 0 and at most 1" for name in given if not 0 < given[name] <= 1
    ]
    if problems:
        raise ConfigError("The overlaps that are asked for cannot be used:", problems)
    return np.array([given.get(name, 0.7 if name.casefold() in VEHICLES else 0.5) for name in classes], np.float64)
