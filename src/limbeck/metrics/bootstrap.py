"""How sure is a metric? Confidence intervals by resampling the validation images.

A resample draws as many images as there are, with replacement. An image drawn w times counts w times, so that a
resample is a vector of weights. What was counted image by image (`ImageCounts`: the matches of a detector, the
confusion matrices of a segmenter) gives the metrics for any such weights, and no image is looked at anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_CELLS_PER_CHUNK = 4_000_000


class ImageCounts(Protocol):
    """What was counted of the answers of one model, image by image.

    Whether a metric is defined on a resample depends on the truth alone, so that models which are compared miss it in
    the same resamples.

    Attributes:
        num_images: Number of images I.
        truth: What was to be found, as an array of whole numbers; only models with the same truth can be compared.
        cells: Numbers that one resample takes up while it is measured; resamples are measured in chunks accordingly.
    """

    @property
    def num_images(self) -> int: ...  # noqa: D102
    @property
    def truth(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def cells(self) -> int: ...  # noqa: D102

    def weighted(self, weights: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Return the metrics by name for images weighted by ``weights`` (S,I), (S,) each, NaN where undefined."""
        ...


@dataclass(frozen=True, slots=True)
class Resampled:
    """The metrics of one model by name, on the images as they are and on every resample of them.

    Attributes:
        as_is: On the images as they are, -1 where undefined.
        values: On the resamples, (S,) each, NaN where undefined.
        truth: What was to be found; only models with the same truth can be compared.
    """

    as_is: dict[str, float]
    values: dict[str, NDArray[np.float64]]
    truth: NDArray[np.int64]


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
    counts: ImageCounts, samples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Return the percentile intervals of the metrics; (-1, -1) where one is undefined.

    Args:
        counts: Of one model.
        samples: Number of resamples.
        seed: Seed of the drawing; the same seed draws the same images for every model.
        level: Probability mass inside the interval.
    """
    values = resample(counts, samples, seed).values
    return {name: _interval(values[name], level) for name in values}


def paired_bootstrap(
    counts_a: ImageCounts, counts_b: ImageCounts, samples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, PairedDifference]:
    """Return how much better model a is than model b, metric by metric, both measured on the same resamples.

    Args:
        counts_a: Of the one model.
        counts_b: Of the other one, on the same truth.
        samples: Number of resamples.
        seed: Seed of the drawing.
        level: Probability mass inside the interval.

    Raises:
        ValueError: The counts belong to different images.
    """
    return mean_difference([resample(counts_a, samples, seed)], [resample(counts_b, samples, seed)], level)


def mean_difference(
    models_a: Sequence[Resampled], models_b: Sequence[Resampled], level: float = 0.95
) -> dict[str, PairedDifference]:
    """Return how much better the models a are than the models b, pair by pair and on average, metric by metric.

    A pair is, for example, the student and the control of one seed. Every resample r of the images is shown to all
    models, and gives the mean over the P pairs, d_r = sum_p (m(a_p, r) - m(b_p, r)) / P of a metric m; the interval
    holds the middle ``level`` of all d_r. So it covers the choice of images, with these models given. It does not cover
    how other trainings would have turned out: for that, look at how the differences of the pairs scatter.

    Args:
        models_a: The ones, all resampled with the same seed.
        models_b: Their counterparts, in the same order.
        level: Probability mass inside the interval.

    Raises:
        ValueError: The models belong to different images, or not all of them have a counterpart.
    """
    if any(not np.array_equal(model.truth, models_a[0].truth) for model in (*models_a, *models_b)):
        raise ValueError("a paired bootstrap needs models that were measured on the same truth")
    pairs = list(zip(models_a, models_b, strict=True))
    return {
        name: _paired(
            float(np.mean([a.as_is[name] - b.as_is[name] for a, b in pairs])),
            np.mean([a.values[name] - b.values[name] for a, b in pairs], axis=0),
            level,
        )
        for name in models_a[0].values
    }


def resample(counts: ImageCounts, samples: int = 1000, seed: int = 0) -> Resampled:
    """Measure a model on resamples of the images.

    Args:
        counts: Of the model.
        samples: Number of resamples.
        seed: Seed of the drawing; the same seed draws the same images for every model.
    """
    chunk = max(1, _CELLS_PER_CHUNK // max(counts.cells, 1))
    parts = [counts.weighted(weights) for weights in _draws(counts.num_images, samples, seed, chunk)]
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Resampled(as_it_is(counts), values, counts.truth)


def as_it_is(counts: ImageCounts) -> dict[str, float]:
    """Return the metrics on the images as they are, every image once; -1 where one is undefined."""
    once = np.ones((1, counts.num_images), dtype=np.int64)
    return {name: _number(values[0]) for name, values in counts.weighted(once).items()}


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
