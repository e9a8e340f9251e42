"""The detections of one class over all frames, best first, and its metrics for frames that are drawn anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.metrics.heading_ap import average_precisions
from limbeck.metrics.nuscenes import (
    AT_ERRORS,
    DISTANCES,
    ERRORS,
    average_precision,
    detection_score,
    mean_errors,
    precision_curve,
)

HIT, MISS, NEITHER = 1, 0, -1
"""What becomes of a detection: it hits an object, it hits none, or it hits one that is to be ignored."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassScores:
    """The metrics of one class, NaN where undefined.

    Attributes:
        aps: (4,) average precision at each of the `nuscenes.DISTANCES`.
        errors: (4,) in the order of `nuscenes.ERRORS`.
        aph: Heading-weighted average precision at level 2.
    """

    aps: NDArray[np.float64]
    errors: NDArray[np.float64]
    aph: float


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The D detections of one class, best first, and how many objects there are in each of I frames.

    Attributes:
        frames: (D,) the place of each one's frame.
        scores: (D,).
        by_distance: (D,4) what becomes of each at each of the `nuscenes.DISTANCES`.
        errors: (D,4) of those that hit at 2 m, in the order of `nuscenes.ERRORS`; NaN where one is not known.
        by_overlap: (D,) what becomes of each where the volumes must overlap.
        accuracies: (D,) heading accuracy of those that hit by overlap.
        objects: (I,) objects to be found.
        moving: (I,) those of them whose velocity is known.
        visible: (I,) those of them that have a point inside.
        has_error: (4,) bool, which errors make sense for the class.
    """

    frames: NDArray[np.int64]
    scores: NDArray[np.float64]
    by_distance: NDArray[np.int8]
    errors: NDArray[np.float64]
    by_overlap: NDArray[np.int8]
    accuracies: NDArray[np.float64]
    objects: NDArray[np.int64]
    moving: NDArray[np.int64]
    visible: NDArray[np.int64]
    has_error: NDArray[np.bool_]

    def measure(self, weights: NDArray[np.int64]) -> ClassScores:
        """Return the metrics for frames weighted by ``weights`` (I,).

        Which of them are defined depends on the objects alone: without a hit, an error is 1.
        """
        rows = np.repeat(np.arange(len(self.frames)), weights[self.frames])
        objects, moving, visible = (int(weights @ counts) for counts in (self.objects, self.moving, self.visible))
        aps, errors, aph = np.full(len(DISTANCES), np.nan), np.full(len(ERRORS), np.nan), np.nan
        if objects:
            for place in range(len(DISTANCES)):
                _, hits = _counted(rows, self.by_distance[:, place])
                aps[place] = average_precision(precision_curve(hits, objects))
            counted, hits = _counted(rows, self.by_distance[:, AT_ERRORS])
            defined = self.has_error & np.array([True, True, True, moving > 0])
            of_hits = self.errors[counted[hits]][:, defined]
            errors[defined] = mean_errors(self.scores[counted], hits, of_hits, objects)
        if visible:
            counted, hits = _counted(rows, self.by_overlap)
            _, aph = average_precisions(hits, self.accuracies[counted], hits, visible)
        return ClassScores(aps, errors, aph)

    def curve(self) -> NDArray[np.float64] | None:
        """Return the precision at the 101 recalls at 2 m, (101,), every frame once; None where there is no object."""
        objects = int(self.objects.sum())
        _, hits = _counted(np.arange(len(self.frames)), self.by_distance[:, AT_ERRORS])
        return precision_curve(hits, objects) if objects else None


def _counted(rows: NDArray[np.int64], fates: NDArray[np.int8]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return those of the rows that count, and whether they are hits."""
    counted = rows[fates[rows] != NEITHER]
    return counted, fates[counted] == HIT


def over_classes(scores: Sequence[ClassScores]) -> dict[str, float]:
    """Return mAP, NDS, mAPH and the mean errors by name, each over the classes in which it is defined; else NaN."""
    mean_ap = mean_of_defined(np.array([found.aps.mean() for found in scores]))
    errors = [mean_of_defined(column) for column in np.array([found.errors for found in scores]).reshape(-1, 4).T]
    return {
        "mAP": mean_ap,
        "NDS": detection_score(mean_ap, np.array(errors)),
        "mAPH": mean_of_defined(np.array([found.aph for found in scores])),
        **{f"m{name}": error for name, error in zip(ERRORS, errors, strict=True)},
    }


def mean_of_defined(values: NDArray[np.float64]) -> float:
    """Return the mean of those values that are not NaN; NaN where all are."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else np.nan
