"""Average precision at 40 recalls by overlap, as KITTI measures it, for volumes and for rectangles seen from above.

The positions are those of Simonelli et al., "Disentangling monocular 3D object detection", ICCV 2019
(arXiv 1905.12365); the matching is that of KITTI's development kit (`evaluate_object.cpp`):

1. Object by object, the free detection of the highest score is taken among those that overlap by more than the
   threshold. The scores of these hits stand for the recalls: at each position c = 0, 1/40, ..., 1 the hit is chosen
   whose recall is nearest to c.
2. At the score of each position, the detections that reach it are matched anew: object by object, the free one of the
   highest overlap is taken. An object to ignore takes one too, which then counts neither as hit nor as false alarm.
3. The precision at a position is the highest one there or further on, 0 where the recall is not reached; AP is the mean
   over the positions 1/40 to 1.

The kit gives each position a hit of its own, so that n <= 40 objects never fill all positions: a perfect detector gets
(n - 1) / 40. Here a hit stands for all the positions up to its recall. Above 40 objects that changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.metrics.pairs3d import Scenes

LEVEL_NAMES = ("easy", "moderate", "hard")
POSITIONS = 40


def num_levels(scenes: Scenes) -> int:
    """Return how many of the `LEVEL_NAMES` the objects have: 1 where all are of level 0."""
    levels = scenes.objects.levels[~scenes.objects.ignore]
    return int(min(levels.max(initial=0) + 1, len(LEVEL_NAMES)))


def kitti_scores(
    scenes: Scenes, ious: NDArray[np.float64], overlaps: NDArray[np.float64], level: int
) -> NDArray[np.float64]:
    """Return the average precision of every class, (K,), NaN where there is no object.

    Args:
        scenes: Objects, detections and their pairs.
        ious: (P,) overlap of every pair.
        overlaps: (K,) above which of them a detection hits.
        level: Objects of a higher one are ignored.
    """
    objects, pairs = scenes.objects, scenes.pairs
    counted = ~objects.ignore & (objects.levels <= level)
    labels = objects.labels[pairs.objects]
    result = np.full(len(scenes.classes), np.nan)
    for k in range(len(scenes.classes)):
        if wanted := int((counted & (objects.labels == k)).sum()):
            mine = np.flatnonzero(scenes.detections.labels == k)
            near = (labels == k) & (ious > overlaps[k])
            places = np.searchsorted(mine, pairs.detections[near])
            contests = _contests(pairs.objects[near], places, ious[near], counted)
            result[k] = _average_precision(contests, scenes.detections.scores[mine], wanted)
    return result


@dataclass(frozen=True, slots=True)
class _Contest:
    """An object and the detections of its class that overlap with it enough.

    Attributes:
        counts: Whether the object is to be found; else it is ignored.
        by_score: The places of the detections among those of their class, best score first.
        by_overlap: The same, highest overlap first.
    """

    counts: bool
    by_score: list[int]
    by_overlap: list[int]


def _contests(
    objects: NDArray[np.int64], places: NDArray[np.int64], ious: NDArray[np.float64], counted: NDArray[np.bool_]
) -> list[_Contest]:
    """Sort pairs (P,) by object, in the order of the objects."""
    by_score, by_overlap = np.lexsort((places, objects)), np.lexsort((places, -ious, objects))
    rows, starts = np.unique(objects[by_score], return_index=True)
    columns = [np.split(places[order], starts[1:]) for order in (by_score, by_overlap)]
    return [
        _Contest(bool(counts), *(part.tolist() for part in parts))
        for counts, *parts in zip(counted[rows], *columns, strict=False)  # splitting nothing gives one empty part
    ]


def _average_precision(contests: list[_Contest], scores: NDArray[np.float64], wanted: int) -> float:
    """Return the average precision of one class with ``wanted`` objects; ``scores`` (D,) are sorted, best first."""
    first = _take_turns((contest.by_score for contest in contests), len(scores))
    hits = sorted(place for place, contest in zip(first, contests, strict=True) if contest.counts and place is not None)
    reaching = np.searchsorted(-scores, -scores[hits], side="right").tolist()
    precisions: list[float] = []
    chosen = chosen_hits(len(hits), wanted)
    for position, hit in enumerate(chosen):
        again = position > 0 and chosen[position - 1] == hit
        precisions.append(precisions[-1] if again else _precision(contests, reaching[hit]))
    highest = np.maximum.accumulate(np.array(precisions[::-1]))[::-1]
    return float(highest[1:].sum() / POSITIONS)


def chosen_hits(num_hits: int, wanted: int) -> list[int]:
    """Return which hit stands for each of the positions 0, 1/40, ... that are reached; see the top of the file.

    With l and r the recalls of a hit and of the next one, the next one is nearer to c = p / 40 if l + r < 2 c.

    >>> chosen_hits(num_hits=1, wanted=10)
    [0, 0, 0, 0, 0]
    >>> chosen_hits(num_hits=50, wanted=100)[:5]
    [0, 1, 4, 6, 9]
    """
    chosen: list[int] = []
    hit = 0
    while hit < num_hits and len(chosen) <= POSITIONS:
        position = len(chosen)
        while hit < num_hits - 1 and POSITIONS * (2 * hit + 3) < 2 * position * wanted:
            hit += 1
        chosen.append(hit)
        if POSITIONS * (hit + 1) < (position + 1) * wanted:
            hit += 1
    return chosen


def _precision(contests: list[_Contest], reaching: int) -> float:
    """Return the precision of the ``reaching`` best detections."""
    taken = _take_turns((contest.by_overlap for contest in contests), reaching)
    ends = [contest.counts for place, contest in zip(taken, contests, strict=True) if place is not None]
    counting = reaching - ends.count(False)
    return ends.count(True) / counting if counting else 0.0


def _take_turns(preferences: Iterable[list[int]], reaching: int) -> list[int | None]:
    """Give every object in turn the first free one of its detections that is among the ``reaching`` best."""
    given: list[int | None] = []
    free = [True] * reaching
    for places in preferences:
        place = next((place for place in places if place < reaching and free[place]), None)
        if place is not None:
            free[place] = False
        given.append(place)
    return given
