"""Average precision by the overlap of the volumes, and the same weighted by how well the headings are met (APH).

The definitions are those of Sun et al., "Scalability in Perception for Autonomous Driving: Waymo Open Dataset", CVPR
2020 (arXiv 1912.04838), and of the released code. With h(r) the highest precision at the recall r or more, AP is the
integral of h(r) from 0 to 1; for APH every hit counts in the precision as 1 - |heading error| / pi, and as 1 in the
recall. The curve has a point for every detection, while the release samples it at 101 scores and joins the points.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from limbeck.metrics.pairs3d import IGNORED, Scenes, assign

LEVELS = (1, 2)
"""Level 1 counts the objects with more than five points, level 2 those with fewer as well."""
FEW_POINTS = 5
RANGES = {"0-30 m": (0.0, 30.0), "30-50 m": (30.0, 50.0), "50+ m": (50.0, math.inf)}
"""Metres from the LiDAR to the centre of the box, from the first one up to, not including, the second one."""


def levels_of(num_points: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the level of objects by the points inside, (M,): 1 or 2, and 0 for those without a point.

    Objects without a point are to be ignored. Those whose points were not counted (`UNKNOWN_COUNT`, -1) are
    of level 1.

    >>> levels_of(np.array([-1, 0, 1, 5, 6])).tolist()
    [1, 0, 2, 2, 1]
    """
    few = (num_points > 0) & (num_points <= FEW_POINTS)
    return np.select([few, num_points == 0], [2, 0], 1)


def heading_accuracy(found: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 - |error| / pi of yaws in radians, (...) each; the error is the smaller of the two angles.

    >>> heading_accuracy(np.array([3.5 * math.pi, 1.0]), np.array([math.pi, 1.0])).tolist()
    [0.5, 1.0]
    """
    error = np.abs((found - true + math.pi) % (2 * math.pi) - math.pi)
    return np.asarray(1 - error / math.pi)


def average_precisions(
    hits: NDArray[np.bool_], accuracies: NDArray[np.float64], wanted: NDArray[np.bool_], objects: int
) -> tuple[float, float]:
    """Return AP and APH of one class.

    An object that is not wanted, for it is of a higher level, is a hit where it is found, and is not missed where it is
    not, as in the release: the recall is hits / (hits + wanted objects that are missed).

    Args:
        hits: (D,) whether each detection is a hit, best first.
        accuracies: (D,) the heading accuracies of the hits; the others do not matter.
        wanted: (D,) which hits are wanted objects; the others do not matter.
        objects: Number of wanted objects, at least 1.
    """
    found = hits.cumsum()
    steps = np.diff(found / (found + objects - (hits & wanted).cumsum()), prepend=0)
    count = np.arange(1, len(hits) + 1)
    heights = found / count, np.where(hits, accuracies, 0).cumsum() / count
    areas = [float((steps * np.maximum.accumulate(height[::-1])[::-1]).sum()) for height in heights]
    return areas[0], areas[1]


def owners_by_overlap(
    scenes: Scenes, overlaps: NDArray[np.float64], within: tuple[float, float] = (0.0, math.inf)
) -> NDArray[np.int64]:
    """Give every detection its object by `pairs3d.assign`, the highest overlap first.

    Args:
        scenes: Objects, detections and their pairs.
        overlaps: (K,) the intersection over union of the volumes from which on a detection hits.
        within: Only detections and objects at this distance are looked at.
    """
    pairs, objects, detections = scenes.pairs, scenes.objects, scenes.detections
    keep = pairs.ious_3d >= overlaps[objects.labels[pairs.objects]]
    keep &= at_distance(detections.boxes, within)[pairs.detections] & at_distance(objects.boxes, within)[pairs.objects]
    near = pairs.where(keep)
    ignore = objects.ignore | (levels_of(objects.num_points) == 0)
    return assign(near, -near.ious_3d, ignore, len(detections.scores))


def at_distance(boxes: NDArray[np.float64], within: tuple[float, float]) -> NDArray[np.bool_]:
    """Return which of the boxes (N,7) have their centre at a distance from the LiDAR, (N,)."""
    distance = np.sqrt((boxes[:, :3] ** 2).sum(axis=1))
    return np.asarray((within[0] <= distance) & (distance < within[1]))


def heading_scores(
    scenes: Scenes, overlaps: NDArray[np.float64], level: int, within: tuple[float, float] = (0.0, math.inf)
) -> NDArray[np.float64]:
    """Return AP, APH and the number of objects of every class at a level, (K,3); NaN where there is no object.

    Args:
        scenes: Objects, detections and their pairs.
        overlaps: (K,) the intersection over union of the volumes from which on a detection hits.
        level: One of `LEVELS`.
        within: Only detections and objects at this distance are looked at.
    """
    objects, detections = scenes.objects, scenes.detections
    levels = levels_of(objects.num_points)
    wanted = ~objects.ignore & (levels > 0) & (levels <= level)
    counts = np.bincount(objects.labels[wanted & at_distance(objects.boxes, within)], minlength=len(scenes.classes))
    owners = owners_by_overlap(scenes, overlaps, within)
    hits = owners >= 0
    accuracies, is_wanted = np.zeros(len(owners)), np.zeros(len(owners), np.bool_)
    accuracies[hits] = heading_accuracy(detections.boxes[hits, 6], objects.boxes[owners[hits], 6])
    is_wanted[hits] = wanted[owners[hits]]
    looked_at = at_distance(detections.boxes, within) & (owners != IGNORED)
    scores = np.full((len(counts), 3), np.nan)
    scores[:, 2] = counts
    for k in np.flatnonzero(counts):
        rows = looked_at & (detections.labels == k)
        scores[k, :2] = average_precisions(hits[rows], accuracies[rows], is_wanted[rows], counts[k])
    return scores
