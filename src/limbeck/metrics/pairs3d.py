"""Which detection could be which object, and who gets whom: what the metrics of 3D detection share.

A pair is a detection and an object of the same class in the same frame that are near one another. All metrics start
from the same list of pairs, so that distances and overlaps are computed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.metrics.boxes3d import Found3D, FoundBoxes, TrueBoxes, Truth3D, check_found
from limbeck.metrics.nuscenes import DISTANCES
from limbeck.ops.boxes3d import paired_bev_iou, paired_iou_3d

FALSE_ALARM, IGNORED = -1, -2
"""Stand in the place of an object: the detection hits none, or it hits one that is to be ignored."""


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """The N objects of all frames; see `boxes3d.TrueBoxes`.

    Attributes:
        frame: (N,) the place of each one's frame.
        boxes: (N,7).
        labels: (N,).
        ignore: (N,).
        levels: (N,).
        num_points: (N,).
        velocities: (N,2) NaN where not known.
    """

    frame: NDArray[np.int64]
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    ignore: NDArray[np.bool_]
    levels: NDArray[np.int64]
    num_points: NDArray[np.int64]
    velocities: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The D detections of all frames, best first; of equal scores the one that was given first.

    Attributes:
        frame: (D,) the place of each one's frame.
        boxes: (D,7).
        scores: (D,).
        labels: (D,).
        velocities: (D,2) NaN where the model does not say.
    """

    frame: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    velocities: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """P pairs of a detection and an object.

    Attributes:
        detections: (P,) their places.
        objects: (P,) their places.
        distances: (P,) metres between the centres along the ground.
        ious_bev: (P,) intersection over union seen from above.
        ious_3d: (P,) intersection over union of the volumes.
    """

    detections: NDArray[np.int64]
    objects: NDArray[np.int64]
    distances: NDArray[np.float64]
    ious_bev: NDArray[np.float64]
    ious_3d: NDArray[np.float64]

    def where(self, keep: NDArray[np.bool_]) -> Pairs:
        """Return the pairs that ``keep`` (P,) marks."""
        return Pairs(
            self.detections[keep], self.objects[keep], self.distances[keep], self.ious_bev[keep], self.ious_3d[keep]
        )


@dataclass(frozen=True, slots=True, eq=False)
class Scenes:
    """The objects and detections of all frames, and the pairs of them that are near one another."""

    classes: tuple[str, ...]
    num_frames: int
    objects: Objects
    detections: Detections
    pairs: Pairs

    def per_frame(self, counted: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Count those of the objects that ``counted`` (N,) marks, by frame and class, (I,K)."""
        counts = np.zeros((self.num_frames, len(self.classes)), np.int64)
        np.add.at(counts, (self.objects.frame[counted], self.objects.labels[counted]), 1)
        return counts


def pair_up(truth: Truth3D, found: Found3D) -> Scenes:
    """Put the frames together and find the pairs whose centres are within 4 m or whose boxes may overlap.

    Raises:
        DataError: The detections do not belong to the truth.
    """
    check_found(truth, found)
    objects, (detections, places) = _objects(truth.frames), _detections(found.frames)
    found_at, true_at = (_starts(frame.boxes for frame in side.frames) for side in (found, truth))
    rows, columns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for frame in range(len(truth.frames)):
        there = places[found_at[frame] : found_at[frame + 1]]
        true = slice(true_at[frame], true_at[frame + 1])
        near = _near(
            detections.boxes[there], detections.labels[there], objects.boxes[true], objects.labels[true]
        ).nonzero()
        rows.append(there[near[0]])
        columns.append(true_at[frame] + near[1])
    pairs = _measured(detections.boxes, objects.boxes, np.concatenate(rows), np.concatenate(columns))
    return Scenes(truth.classes, len(truth.frames), objects, detections, pairs)


def _objects(frames: Sequence[TrueBoxes]) -> Objects:
    return Objects(
        frame=_frame_of(frames),
        boxes=_joined((frame.boxes for frame in frames), np.float64, 7),
        labels=_joined((frame.labels for frame in frames), np.int64),
        ignore=_joined((frame.ignore for frame in frames), np.bool_),
        levels=_joined((frame.levels for frame in frames), np.int64),
        num_points=_joined((frame.num_points for frame in frames), np.int64),
        velocities=_joined(map(_velocities, frames), np.float64, 2),
    )


def _detections(frames: Sequence[FoundBoxes]) -> tuple[Detections, NDArray[np.int64]]:
    """Return the detections best first, and the place there of each of them, in the order in which they were given."""
    scores = _joined((frame.scores for frame in frames), np.float64)
    order = np.argsort(-scores, kind="stable")
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    detections = Detections(
        frame=_frame_of(frames)[order],
        boxes=_joined((frame.boxes for frame in frames), np.float64, 7)[order],
        scores=scores[order],
        labels=_joined((frame.labels for frame in frames), np.int64)[order],
        velocities=_joined(map(_velocities, frames), np.float64, 2)[order],
    )
    return detections, places


def _joined(parts: Iterable[NDArray[Any]], dtype: type[Any], *width: int) -> NDArray[Any]:
    return np.concatenate([np.zeros((0, *width), dtype), *parts]).astype(dtype)


def _frame_of(frames: Sequence[TrueBoxes] | Sequence[FoundBoxes]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(frames)), [len(frame.boxes) for frame in frames])


def _starts(parts: Iterable[NDArray[Any]]) -> NDArray[np.int64]:
    return np.cumsum([0, *(len(part) for part in parts)])


def _velocities(frame: TrueBoxes | FoundBoxes) -> NDArray[Any]:
    return np.full((len(frame.boxes), 2), np.nan) if frame.velocities is None else frame.velocities


def _near(
    a: NDArray[np.float64], a_labels: NDArray[np.int64], b: NDArray[np.float64], b_labels: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which of the boxes (A,7) and (B,7) are of one class and so near that a metric may pair them, (A,B)."""
    apart = a[:, None, :2] - b[None, :, :2]
    reach = [np.hypot(boxes[:, 3], boxes[:, 4]) / 2 for boxes in (a, b)]
    within = np.maximum(reach[0][:, None] + reach[1], DISTANCES[-1])
    near: NDArray[np.bool_] = (a_labels[:, None] == b_labels) & ((apart**2).sum(axis=2) < within**2)
    return near


def _measured(
    a: NDArray[np.float64], b: NDArray[np.float64], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> Pairs:
    found, true = a[rows], b[columns]
    distances = np.sqrt(((found[:, :2] - true[:, :2]) ** 2).sum(axis=1))
    both = torch.from_numpy(found), torch.from_numpy(true)
    return Pairs(rows, columns, distances, paired_bev_iou(*both).numpy(), paired_iou_3d(*both).numpy())


def assign(
    pairs: Pairs, costs: NDArray[np.float64], ignore: NDArray[np.bool_], num_detections: int
) -> NDArray[np.int64]:
    """Give every detection its object, (D,): the place of the object, `FALSE_ALARM` or `IGNORED`.

    The detections take turns, best first, and each takes the object of the lowest cost that is still free. One whose
    object of the lowest cost, free or not, is to be ignored takes none: what is nearest to it is what it has seen. An
    object belongs to one frame, so that this gives the same as taking turns frame by frame.

    Args:
        pairs: Those that are near enough for a hit.
        costs: (P,) of every pair.
        ignore: (N,) which objects are to be ignored.
        num_detections: Number of detections D.
    """
    order = np.lexsort((pairs.objects, costs, pairs.detections))
    detections, objects = pairs.detections[order], pairs.objects[order]
    owner = np.full(num_detections, FALSE_ALARM, np.int64)
    seers, first = np.unique(detections, return_index=True)
    owner[seers[ignore[objects[first]]]] = IGNORED
    open_ = ~ignore[objects] & (owner[detections] != IGNORED)
    partners: dict[int, int] = {}
    taken: set[int] = set()
    for detection, obj in zip(detections[open_].tolist(), objects[open_].tolist(), strict=True):
        if detection not in partners and obj not in taken:
            partners[detection] = obj
            taken.add(obj)
    owner[list(partners)] = list(partners.values())
    return owner
