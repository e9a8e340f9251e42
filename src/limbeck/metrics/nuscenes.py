"""Average precision by the distance of the centres, the errors of what was hit, and the nuScenes detection score (NDS).

The definitions are those of Caesar et al., "nuScenes: A multimodal dataset for autonomous driving", CVPR 2020
(arXiv 1903.11027), and where the paper leaves something open those of the nuScenes devkit 1.2.0, against
which the tests hold them. Unlike there, some objects are to be ignored, classes without an object are left out, and
attributes are not predicted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DISTANCES = (0.5, 1.0, 2.0, 4.0)
"""Metres between the centres below which a detection hits; the average precision is the mean over them."""
AT_ERRORS = 2
"""Where the distance stands at which the errors are measured: 2 m."""
ERRORS = ("ATE", "ASE", "AOE", "AVE")
"""Errors of translation (m), scale (1 - IoU), orientation (radians) and velocity (m/s), in this order."""
RECALLS: NDArray[np.float64] = np.linspace(0, 1, 101)
MIN_PRECISION = 0.1
FIRST = 11
"""Place of the first recall that counts: the first one above 0.1."""
HALF_TURN = frozenset({"barrier"})
"""Classes whose front and back are the same."""
NO_HEADING = frozenset({"cone", "traffic_cone"})
"""Classes that have no orientation error."""
NO_VELOCITY = frozenset({"barrier", "cone", "traffic_cone"})
"""Classes that have no velocity error."""


def precision_curve(hits: NDArray[np.bool_], objects: int) -> NDArray[np.float64]:
    """Return the precision at the 101 recalls, (101,), by straight lines between the points of the curve.

    Args:
        hits: (D,) whether each detection is a hit, best first.
        objects: Number of objects to be found, at least 1.
    """
    if not hits.any():
        return np.zeros(len(RECALLS))
    found = hits.cumsum()
    return np.interp(RECALLS, found / objects, found / np.arange(1, len(found) + 1), right=0)


def average_precision(curve: NDArray[np.float64]) -> float:
    """Return the mean of a `precision_curve` over the recalls above 0.1, as far as it is above 0.1, scaled to 1."""
    return min(1.0, float((curve[FIRST:] - MIN_PRECISION).clip(0).mean() / (1 - MIN_PRECISION)))


def mean_errors(
    scores: NDArray[np.float64], hits: NDArray[np.bool_], errors: NDArray[np.float64], objects: int
) -> NDArray[np.float64]:
    """Return the mean of each error over the recalls above 0.1 that are reached, (E,); 1 where none is.

    At each recall stands the mean error of all hits down to the score there.

    Args:
        scores: (D,) of the detections, best first.
        hits: (D,) whether each of them is a hit.
        errors: (H,E) of the hits, NaN where one is not known. An error that is known of no hit is 1.
        objects: Number of objects to be found, at least 1.
    """
    recalls = hits.cumsum() / objects
    reached = int(np.searchsorted(RECALLS, recalls[-1], side="right")) if hits.any() else 0
    if reached <= FIRST:
        return np.ones(errors.shape[1])
    confidences = np.interp(RECALLS[FIRST:reached], recalls, scores)
    rising = scores[hits][::-1]
    running = _running_mean(errors)[::-1]
    return np.array([np.interp(confidences, rising, column).mean() for column in running.T])


def _running_mean(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each column (H,E) down to every row; 0 before the first that is known, 1 where none is."""
    known = ~np.isnan(errors)
    count = known.cumsum(axis=0)
    mean = np.where(known, errors, 0).cumsum(axis=0) / np.maximum(count, 1)
    return np.where(known.any(axis=0), mean, 1.0)


def hit_errors(
    found: NDArray[np.float64],
    true: NDArray[np.float64],
    found_velocities: NDArray[np.float64],
    true_velocities: NDArray[np.float64],
    half_turn: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return the four errors of hits in the order of `ERRORS`, (H,4); NaN where a velocity is not known.

    Args:
        found: (H,7) boxes that were found.
        true: (H,7) boxes of the objects.
        found_velocities: (H,2).
        true_velocities: (H,2).
        half_turn: (H,) whether a box is the same when it is turned by pi.
    """
    shared = np.minimum(found[:, 3:6], true[:, 3:6]).prod(axis=1)
    union = found[:, 3:6].prod(axis=1) + true[:, 3:6].prod(axis=1) - shared
    period = np.where(half_turn, math.pi, 2 * math.pi)
    turned = (found[:, 6] - true[:, 6] + period / 2) % period - period / 2
    columns = (
        np.linalg.norm(found[:, :2] - true[:, :2], axis=1),
        1 - shared / np.where(union > 0, union, 1),
        np.abs(turned),
        np.linalg.norm(found_velocities - true_velocities, axis=1),
    )
    return np.stack(columns, axis=1)


def named(classes: Sequence[str], names: frozenset[str]) -> NDArray[np.bool_]:
    """Return which of the classes bear one of the names, whatever the case, (K,).

    >>> named(["Barrier", "car"], HALF_TURN).tolist()
    [True, False]
    """
    return np.array([name.casefold() in names for name in classes], np.bool_)


def detection_score(mean_ap: float, errors: NDArray[np.float64]) -> float:
    """Return the NDS: (5 mAP + sum over the errors of (1 - min(1, error))) / (5 + number of errors).

    Args:
        mean_ap: The mean average precision.
        errors: (E,) the errors, each averaged over the classes; NaN where one is not defined.

    >>> detection_score(0.5, np.array([0.25, 0.25, 2.0, np.nan]))
    0.5
    """
    defined = errors[~np.isnan(errors)]
    return float((5 * mean_ap + (1 - defined.clip(max=1)).sum()) / (5 + len(defined)))
