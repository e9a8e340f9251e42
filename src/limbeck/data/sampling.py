"""Rare classes: how often an image is shown and how much an object or a pixel counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import ConfigError, DataError, nearest


class Labelled(Protocol):
    """What all readers of boxes say of a sample: the classes of its objects, (M,), and which are ignored, (M,)."""

    @property
    def labels(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def ignore(self) -> NDArray[np.bool_]: ...  # noqa: D102


def repeat_factors(records: Sequence[Labelled], threshold: float) -> NDArray[np.float64]:
    """Return how often each image is shown per epoch, (I,), at least 1 (LVIS, arXiv 1908.03195).

    With f(c) the share of the images that show class c, r(c) = max(1, sqrt(threshold / f(c))), and an image is shown
    as often as the rarest of its classes asks for. Ignore regions show nothing.

    Args:
        records: The I images.
        threshold: Classes that a smaller share of the images shows are shown more often.
    """
    return _factors([np.unique(record.labels[~record.ignore]) for record in records], threshold)


def mask_repeat_factors(pixels: NDArray[np.int64], threshold: float) -> NDArray[np.float64]:
    """Return how often each image is shown per epoch, (I,), by the rule of `repeat_factors`.

    Args:
        pixels: (I,K+1) from `limbeck.data.masks.count_pixels`; an image shows the classes that it has pixels of.
        threshold: Classes that a smaller share of the images shows are shown more often.
    """
    return _factors([np.flatnonzero(row) for row in pixels[:, :-1]], threshold)


def _factors(shown: Sequence[NDArray[np.int64]], threshold: float) -> NDArray[np.float64]:
    count = np.bincount(np.concatenate([*shown, np.zeros(0, dtype=np.int64)]))
    share = np.maximum(count, 1) / len(shown)
    factors = np.maximum(1.0, np.sqrt(threshold / share))
    return np.array([factors[labels].max(initial=1.0) for labels in shown])


def resample(factors: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw the images of an epoch in random order, each as often as its factor says, on average.

    Systematic resampling: the images in random order lie side by side on a line, each as long as its factor, and are
    taken where equally spaced points fall. An image thus comes as often as its factor, rounded down or up, and the
    length is the same in every epoch: the sum of the factors, rounded.

    Args:
        factors: (I,), at least 1.
        generator: Where all random numbers come from.

    Returns:
        (E,) indices of images.
    """
    order = generator.permutation(len(factors))
    length = epoch_length(factors)
    ends = np.cumsum(factors[order]) * (length / factors.sum())
    points = generator.random() + np.arange(length)
    taken = np.searchsorted(ends[:-1], points, side="right")
    return generator.permutation(order[taken])


def epoch_length(factors: NDArray[np.float64]) -> int:
    """Return the number of images of an epoch."""
    return round(float(factors.sum()))


def class_weights(
    records: Sequence[Labelled], classes: Sequence[str], wanted: Literal["auto"] | Mapping[str, float]
) -> NDArray[np.float32]:
    """Return the weight of the objects of each class, (K,).

    Args:
        records: The images.
        classes: Class names in the order of the labels.
        wanted: Weights by class name, 1 for the others; ``auto`` for the inverse square root of the number of objects,
            scaled to a mean of 1 over the objects.

    Raises:
        ConfigError: A name is no class of the data.
    """
    labels = np.concatenate([record.labels[~record.ignore] for record in records])
    return _weights(np.bincount(labels, minlength=len(classes)), classes, wanted)


def pixel_weights(
    pixels: NDArray[np.int64], classes: Sequence[str], wanted: Literal["auto"] | Mapping[str, float]
) -> NDArray[np.float32]:
    """Return the weight of the pixels of each class, (K,).

    Args:
        pixels: (I,K+1) from `limbeck.data.masks.count_pixels`.
        classes: Class names in the order of the labels.
        wanted: Weights by class name, 1 for the others; ``auto`` for the inverse square root of the number of pixels,
            scaled to a mean of 1 over the pixels that count.

    Raises:
        ConfigError: A name is no class of the data.
        DataError: No pixel counts.
    """
    count = pixels[:, :-1].sum(axis=0)
    if not count.any():
        raise DataError("The classes cannot be weighed:", ["no pixel of the training masks counts"])
    return _weights(count, classes, wanted)


def _weights(
    count: NDArray[np.int64], classes: Sequence[str], wanted: Literal["auto"] | Mapping[str, float]
) -> NDArray[np.float32]:
    if wanted == "auto":
        weights = 1 / np.sqrt(np.maximum(count, 1))
        return np.asarray(weights / np.average(weights, weights=count), dtype=np.float32)
    unknown = [name for name in wanted if name not in classes]
    if unknown:
        problems = [f"data.class_weights: no class is called '{name}'{nearest(name, classes)}" for name in unknown]
        raise ConfigError("The run file weighs classes that the data does not have:", problems)
    return np.array([wanted.get(name, 1.0) for name in classes], dtype=np.float32)
