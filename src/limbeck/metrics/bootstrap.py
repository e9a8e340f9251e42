"""How sure is an average precision? Confidence intervals by resampling the validation images.

A resample draws as many images as there are, with replacement. An image drawn w times counts w times, so that a
resample is a vector of weights: detections stay matched and sorted, and only weighted cumulative sums are taken anew.

Among equal scores the copies of a detection stay together.

The cost grows with samples x detections x IoU thresholds. 1000 samples take about 0.5 seconds for 20 images with 100
detections each, and 12 seconds for 5000 images with 20 each, on one core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.metrics.coco import IOU_50
from limbeck.metrics.matching import IOU_THRESHOLDS, ClassMatches, Matches

RECALL_POINTS: NDArray[np.float64] = np.linspace(0, 1, 101)
_CELLS_PER_CHUNK = 4_000_000


@dataclass(frozen=True, slots=True)
class Resampled:
    """AP and AP50 of one model, on the images as they are and on every resample of them.

    Attributes:
        as_is: On the images as they are, -1 where undefined.
        values: On the resamples, (S,) each, NaN where undefined.
        objects: (K,I) int, what was to be found; only models with the same truth can be compared.
    """

    as_is: dict[str, float]
    values: dict[str, NDArray[np.float64]]
    objects: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How much better one model is than another on the same images.

    Attributes:
        difference: The difference on the images as they are.
        low: Lower end of its confidence interval.
        high: Upper end.
        share_above_zero: Share of the resamples in which the difference is above zero.
    """

    difference: float
    low: float
    high: float
    share_above_zero: float


def bootstrap_interval(
    matches: Matches, samples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Return the percentile intervals of AP and AP50; (-1, -1) where a metric is undefined.

    Args:
        matches: Of one model, see `matching.match`.
        samples: Number of resamples.
        seed: Seed of the drawing; the same seed draws the same images for every model.
        level: Probability mass inside the interval.
    """
    values = resample(matches, samples, seed).values
    return {name: _interval(values[name], level) for name in values}


def paired_bootstrap(
    matches_a: Matches, matches_b: Matches, samples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, PairedDifference]:
    """Return how much better model a is than model b, for AP and AP50, both measured on the same resamples.

    Args:
        matches_a: Matches of the one model, see `matching.match`.
        matches_b: Matches of the other one, on the same truth.
        samples: Number of resamples.
        seed: Seed of the drawing.
        level: Probability mass inside the interval.

    Raises:
        ValueError: The matches belong to different images.
    """
    return mean_difference([resample(matches_a, samples, seed)], [resample(matches_b, samples, seed)], level)


def mean_difference(
    models_a: Sequence[Resampled], models_b: Sequence[Resampled], level: float = 0.95
) -> dict[str, PairedDifference]:
    """Return how much better the models a are than the models b, pair by pair and on average, for AP and AP50.

    A pair is, for example, the student and the control of one seed. Every resample r of the images is shown to all
    models, and gives the mean over the P pairs, d_r = sum_p (AP(a_p, r) - AP(b_p, r)) / P; the interval holds the
    middle ``level`` of all d_r. So it covers the choice of images, with these models given. It does not cover how
    other trainings would have turned out: for that, look at how the differences of the pairs scatter.

    Args:
        models_a: The ones, all resampled with the same seed.
        models_b: Their counterparts, in the same order.
        level: Probability mass inside the interval.

    Raises:
        ValueError: The models belong to different images, or not all of them have a counterpart.
    """
    if any(not np.array_equal(model.objects, models_a[0].objects) for model in (*models_a, *models_b)):
        raise ValueError("a paired bootstrap needs models that were matched on the same truth")
    pairs = list(zip(models_a, models_b, strict=True))
    return {
        name: _paired(
            float(np.mean([a.as_is[name] - b.as_is[name] for a, b in pairs])),
            np.mean([a.values[name] - b.values[name] for a, b in pairs], axis=0),
            level,
        )
        for name in models_a[0].values
    }


def resample(matches: Matches, samples: int = 1000, seed: int = 0) -> Resampled:
    """Measure a model on resamples of the images.

    Args:
        matches: Of the model, see `matching.match`.
        samples: Number of resamples.
        seed: Seed of the drawing; the same seed draws the same images for every model.
    """
    detections = max((len(c.image) for c in matches.classes), default=0)
    chunk = max(1, _CELLS_PER_CHUNK // max(detections, matches.num_images, 1))
    parts = [_weighted(matches, weights) for weights in _draws(matches.num_images, samples, seed, chunk)]
    values = {name: np.concatenate([part[name] for part in parts]) for name in ("AP", "AP50")}
    objects = np.array([found.objects for found in matches.classes])
    return Resampled(average_precision(matches), values, objects)


def average_precision(matches: Matches) -> dict[str, float]:
    """Return AP and AP50 on the images as they are; the same numbers as `coco.evaluate` gives."""
    once = np.ones((1, matches.num_images), dtype=np.int64)
    return {name: _number(values[0]) for name, values in _weighted(matches, once).items()}


def gap_closed(teacher: float, control: float, student: float) -> float | None:
    """Return the share of the way from the control to the teacher that the student has come.

    None where the teacher is not better than the control: there is no gap to close.

    >>> round(gap_closed(teacher=0.5, control=0.25, student=0.375), 3)
    0.5
    """
    return (student - control) / (teacher - control) if teacher > control else None


def _draws(num_images: int, samples: int, seed: int, chunk: int) -> Iterator[NDArray[np.int64]]:
    """Yield weights (at most ``chunk``, I): how often every image is drawn."""
    generator = np.random.default_rng(seed)
    shares = np.full(num_images, 1 / num_images)
    for start in range(0, samples, chunk):
        yield generator.multinomial(num_images, shares, size=min(chunk, samples - start))


def _weighted(matches: Matches, weights: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return AP and AP50 for images weighted by ``weights`` (S,I): the mean over the classes that have objects."""
    by_class = np.full((len(matches.classes), len(IOU_THRESHOLDS), len(weights)), np.nan)
    for k, found in enumerate(matches.classes):
        for t in range(len(IOU_THRESHOLDS)):
            by_class[k, t] = _class_precision(found, t, weights)
    return {"AP": _mean_of_defined(by_class), "AP50": _mean_of_defined(by_class[:, IOU_50, None])}


def _class_precision(found: ClassMatches, threshold: int, weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the average precision (S,) of one class at one IoU threshold, NaN where a resample has no object.

    Only the columns of hits are looked at: behind a false alarm the precision is never higher than before it.
    """
    objects = weights @ found.objects
    counted = ~found.ignored[threshold]
    hit = found.hit[threshold][counted]
    drawn = weights[:, found.image[counted]]
    detections = drawn.cumsum(axis=1)[:, hit]
    hits = drawn[:, hit].cumsum(axis=1)
    precision = hits / np.maximum(detections, 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    result = np.full(len(weights), np.nan)
    for row in np.flatnonzero(objects):
        result[row] = _at_recall_points(hits[row] / objects[row], envelope[row]).mean()
    return result


def _at_recall_points(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the precision at the first point that reaches each of the 101 recalls, 0 where none does."""
    return np.append(precision, 0.0)[np.searchsorted(recall, RECALL_POINTS, side="left")]


def _mean_of_defined(by_class: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average (K,T,S) over thresholds and over the classes that are not NaN; returns (S,)."""
    values = by_class.mean(axis=1)
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0).sum(axis=0)
    mean: NDArray[np.float64] = np.full(len(total), np.nan)
    np.divide(total, defined.sum(axis=0), out=mean, where=defined.any(axis=0))
    return mean


def _paired(difference: float, resampled: NDArray[np.float64], level: float) -> PairedDifference:
    low, high = _interval(resampled, level)
    defined = resampled[~np.isnan(resampled)]
    share = float((defined > 0).mean()) if defined.size else 0.0
    return PairedDifference(difference, low, high, share)


def _interval(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    if not defined.size:
        return -1.0, -1.0
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _number(value: float) -> float:
    return -1.0 if np.isnan(value) else float(value)
