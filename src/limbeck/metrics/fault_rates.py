"""Image-level rates of the railway field: correct, missing and false detections.

An image counts as detected where its best detection scores above a threshold. It is a false detection F if there is
nothing to find in it, and a missing one M if there is something and it is not detected. With N images

    FDR = F / N,  MDR = M / N,  CDR = 1 - FDR - MDR,

after the evaluation script of MVME-HBUT/HSD-FTI-FDet (arXiv 2307.00701). Where in the image the detection lies does not
matter; average precision is for that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.metrics.coco import CocoResult, CocoTruth, check_predictions

RATES = ("CDR", "MDR", "FDR")
SWEEP: NDArray[np.float64] = np.linspace(0, 1, 51)
"""Thresholds of a sweep curve."""


@dataclass(frozen=True, slots=True)
class ImageScores:
    """What the rates look at.

    Attributes:
        has_object: (N,) bool, there is something to find.
        top_score: (N,) score of the best detection, 0 where there is none.
        left_out: Images that hold nothing but regions to ignore, and count neither way.
    """

    has_object: NDArray[np.bool_]
    top_score: NDArray[np.float64]
    left_out: int


def image_scores(truth: CocoTruth, predictions: Sequence[CocoResult]) -> ImageScores:
    """Return the best score of every image and whether there is something to find in it.

    Raises:
        DataError: A prediction names an unknown image or class, or its numbers are not finite.
    """
    check_predictions(truth, predictions)
    objects = {box.image_id for box in truth.boxes if not box.crowd}
    ignored = {box.image_id for box in truth.boxes} - objects
    best: dict[int | str, float] = defaultdict(float)
    for result in predictions:
        best[result["image_id"]] = max(best[result["image_id"]], result["score"])
    kept = [image.id for image in truth.images if image.id not in ignored]
    return ImageScores(
        np.array([image in objects for image in kept], dtype=bool),
        np.array([best[image] for image in kept], dtype=np.float64),
        len(truth.images) - len(kept),
    )


def rates_at(scores: ImageScores, thresholds: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return CDR, MDR and FDR at every threshold, (S,3).

    Args:
        scores: Of N images, at least one.
        thresholds: (S,); a score must lie above one, not at it.
    """
    with_object, without = (np.sort(scores.top_score[shown]) for shown in (scores.has_object, ~scores.has_object))
    values = np.asarray(thresholds, dtype=np.float64)
    missing = np.searchsorted(with_object, values, side="right")
    false = len(without) - np.searchsorted(without, values, side="right")
    count = len(scores.top_score)
    return np.stack([count - missing - false, missing, false], axis=1) / count


def operating_threshold(scores: ImageScores) -> float:
    """Return the threshold of the highest CDR. Choose it on validation images, never on those that are reported.

    Between two neighbouring scores every threshold gives the same rates, so that the middles between them are all there
    is to try, with one below the least score and one above the highest. Of several with the highest CDR those
    with the fewest missing detections are left, and of these the one in the widest gap between two scores, which is the
    least likely to be off on other images.

    Args:
        scores: Of N validation images, at least one.
    """
    edges = np.unique(np.concatenate([[0.0], scores.top_score, [1.0]]))
    tried = np.append((edges[1:] + edges[:-1]) / 2, 1.0)  # at 1 nothing is detected, not even a score of 1
    gaps = np.append(np.diff(edges), 0.0)
    correct, missing, _ = rates_at(scores, tried).T
    order = np.lexsort((-gaps, missing.round(12), -correct.round(12)))
    return float(tried[order[0]])


def rate_intervals(
    scores: ImageScores, threshold: float, samples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Return the percentile intervals of CDR, MDR and FDR over resamples of the images, by name.

    As an image is either correct, missing or false, how many of each a resample holds is multinomial, and the three
    numbers are drawn without the images.

    Args:
        scores: Of N images, at least one.
        threshold: What the best score of an image must exceed; it is held fixed.
        samples: Number of resamples.
        seed: Seed of the drawing.
        level: Probability mass inside an interval.
    """
    count, shares = len(scores.top_score), rates_at(scores, [threshold])[0]
    drawn = np.random.default_rng(seed).multinomial(count, shares, size=samples) / count
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {name: (float(low[n]), float(high[n])) for n, name in enumerate(RATES)}
