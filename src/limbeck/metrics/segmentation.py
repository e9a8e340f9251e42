"""Metrics of semantic segmentation, from one confusion matrix over the whole set.

With the pixels of the set that count, of which class k has T_k in the truth, P_k in the predictions and H_k in both,

    IoU_k = H_k / (T_k + P_k - H_k),   F_k = 2 H_k / (T_k + P_k) = 2 IoU_k / (1 + IoU_k),
    precision_k = H_k / P_k,   recall_k = H_k / T_k,

mIoU and mF are the means over the classes that occur in the truth or in the predictions, so that a class which is only
predicted counts with 0; the mean class accuracy is the mean recall over the classes in the truth. The pixel accuracy is
sum_k H_k / sum_k T_k and the frequency weighted IoU sum_k T_k IoU_k / sum_k T_k (Long et al., CVPR 2015,
arXiv 1411.4038). The F-score of the boundaries is in `limbeck.metrics.boundary`.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.core.samples import IGNORED_LABEL
from limbeck.errors import RunFolderError
from limbeck.files import write_bytes
from limbeck.metrics.boundary import BOUNDARY_COUNTS, boundary_counts, boundary_f

METRIC_NAMES = ("mIoU", "mF", "pixel_accuracy", "mean_accuracy", "fwIoU", "boundary_F")
"""The metrics of a set in the order in which they are listed."""
RESAMPLED = ("mIoU", "mF", "pixel_accuracy", "boundary_F")
"""Those that are resampled, beside the IoU of every class."""


def confusion_matrix(labels: NDArray[np.uint8], predicted: NDArray[np.uint8], num_classes: int) -> NDArray[np.int64]:
    """Count the pixels of one image by class, (K,K): rows are the truth, columns the prediction.

    Args:
        labels: (H,W) the true class of every pixel, or `IGNORED_LABEL`; such pixels are left out.
        predicted: (H,W) the predicted class of every pixel.
        num_classes: Number of classes K, at most 255.

    Raises:
        ValueError: The maps differ in size, or hold a class that there is not.
    """
    if labels.shape != predicted.shape:
        raise ValueError(f"the labels are of shape {labels.shape} and the prediction is of shape {predicted.shape}")
    pairs = labels.ravel().astype(np.uint16) * 256 + predicted.ravel()
    counts = np.bincount(pairs, minlength=256**2).reshape(256, 256)[:IGNORED_LABEL]
    if counts[num_classes:].any() or counts[:, num_classes:].any():
        highest = int(np.argwhere(counts).max())
        raise ValueError(f"there are {num_classes} classes, counted from 0, and a map holds class {highest}")
    return counts[:num_classes, :num_classes].astype(np.int64)


@dataclass(frozen=True, slots=True)
class SegmentationCounts:
    """What was counted of the class maps of one model, image by image; see `bootstrap.ImageCounts`.

    Attributes:
        classes: Names of the K classes.
        confusion: (I,K,K) int64, pixels by true class (rows) and predicted class (columns).
        boundary: (I,K,4) int64, boundary pixels in the order of `BOUNDARY_COUNTS`.
    """

    classes: tuple[str, ...]
    confusion: NDArray[np.int64]
    boundary: NDArray[np.int64]

    @classmethod
    def of(
        cls, classes: Sequence[str], maps: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]]
    ) -> SegmentationCounts:
        """Count over pairs of maps (true labels, predicted classes), (H,W) each; an image's two maps are of one size.

        Raises:
            ValueError: The maps of an image differ in size, or hold a class that there is not.
        """
        count = len(classes)
        images = [(confusion_matrix(*pair, count), boundary_counts(*pair, count)) for pair in maps]
        confusion = np.array([matrix for matrix, _ in images], dtype=np.int64).reshape(-1, count, count)
        boundary = np.array([pixels for _, pixels in images], dtype=np.int64)
        return cls(tuple(classes), confusion, boundary.reshape(-1, count, len(BOUNDARY_COUNTS)))

    @property
    def num_images(self) -> int:
        """The number of images I."""
        return len(self.confusion)

    @property
    def truth(self) -> NDArray[np.int64]:
        """The pixels of every image and true class, (I,K)."""
        pixels: NDArray[np.int64] = self.confusion.sum(axis=2)
        return pixels

    @property
    def cells(self) -> int:
        """The sums of one resample, or its images where these are more."""
        return max(self.num_images, len(self.classes) * (3 + len(BOUNDARY_COUNTS)))

    def weighted(self, weights: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Return the metrics `RESAMPLED` and ``IoU/<class>`` of every class, for images weighted by ``weights`` (S,I).

        The IoU of a class is undefined where the class is not in the truth.
        """
        totals = _Totals.of(self, weights)
        of_set, by_class = totals.of_set(), totals.by_class()
        iou = np.where(totals.truth > 0, by_class["IoU"], np.nan)
        return {name: of_set[name] for name in RESAMPLED} | {
            f"IoU/{name}": iou[:, k] for k, name in enumerate(self.classes)
        }

    def save(self, path: Path) -> None:
        """Write the counts into an npz file."""
        content = io.BytesIO()
        np.savez_compressed(content, classes=np.array(self.classes), confusion=self.confusion, boundary=self.boundary)
        write_bytes(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> SegmentationCounts:
        """Read what `save` has written; nothing in the file is executed.

        Raises:
            RunFolderError: The file is missing, cut off, or does not hold what it should.
        """
        try:
            with np.load(path, allow_pickle=False) as content:
                names, confusion, boundary = (content[name] for name in ("classes", "confusion", "boundary"))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise RunFolderError(f"{path} cannot be read: {error}.") from error
        classes, count = tuple(map(str, names)), len(names)
        if confusion.shape[1:] != (count, count) or boundary.shape != (len(confusion), count, len(BOUNDARY_COUNTS)):
            raise RunFolderError(
                f"{path} has {count} classes, but counts of the shapes {confusion.shape} and {boundary.shape}."
            )
        return cls(classes, confusion.astype(np.int64), boundary.astype(np.int64))


@dataclass(frozen=True, slots=True)
class SegmentationMetrics:
    """The metrics of one set of class maps; -1 where there is nothing to measure.

    Attributes:
        metrics: mIoU, mF, pixel_accuracy, mean_accuracy, fwIoU, boundary_F.
        per_class: IoU, F, precision, recall, boundary_F and the number of true pixels, by class name.
        confusion: (K,K) int64, the pixels of the set by true class (rows) and predicted class (columns).
    """

    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]]
    confusion: NDArray[np.int64]


def evaluate(counts: SegmentationCounts) -> SegmentationMetrics:
    """Return the metrics of the set, each image once."""
    totals = _Totals.of(counts, np.ones((1, counts.num_images), dtype=np.int64))
    of_set, by_class = totals.of_set(), totals.by_class()
    return SegmentationMetrics(
        metrics={name: _number(of_set[name][0]) for name in METRIC_NAMES},
        per_class={
            name: {metric: _number(values[0, k]) for metric, values in by_class.items()}
            | {"pixels": int(totals.truth[0, k])}
            for k, name in enumerate(counts.classes)
        },
        confusion=counts.confusion.sum(axis=0),
    )


@dataclass(frozen=True, slots=True)
class _Totals:
    """Pixels summed over the images of S resamples, by class.

    Attributes:
        hits: (S,K) pixels of a class that were predicted as such.
        truth: (S,K) pixels of a class.
        predicted: (S,K) pixels that were predicted as a class.
        boundary: (S,K,4) boundary pixels in the order of `BOUNDARY_COUNTS`.
    """

    hits: NDArray[np.float64]
    truth: NDArray[np.float64]
    predicted: NDArray[np.float64]
    boundary: NDArray[np.float64]

    @classmethod
    def of(cls, counts: SegmentationCounts, weights: NDArray[np.int64]) -> _Totals:
        """Sum up in float64: matrix products of whole numbers are slow, and up to 2^53 pixels the sums are exact."""
        hits = counts.confusion.diagonal(axis1=1, axis2=2)
        parts = hits, counts.truth, counts.confusion.sum(axis=1), *np.moveaxis(counts.boundary, 2, 0)
        sums = weights.astype(np.float64) @ np.concatenate(parts, axis=1).astype(np.float64)
        summed = sums.reshape(len(weights), len(parts), len(counts.classes))
        return cls(summed[:, 0], summed[:, 1], summed[:, 2], np.moveaxis(summed[:, 3:], 1, 2))

    def by_class(self) -> dict[str, NDArray[np.float64]]:
        """Return the metrics of every class by name, (S,K) each, NaN where undefined."""
        return {
            "IoU": _ratio(self.hits, self.truth + self.predicted - self.hits),
            "F": _ratio(2 * self.hits, self.truth + self.predicted),
            "precision": _ratio(self.hits, self.predicted),
            "recall": _ratio(self.hits, self.truth),
            "boundary_F": boundary_f(self.boundary),
        }

    def of_set(self) -> dict[str, NDArray[np.float64]]:
        """Return the metrics over all classes by name, (S,) each, NaN where undefined.

        The mean boundary F-score is undefined where the truth has no boundary, whatever was predicted.
        """
        by_class, pixels = self.by_class(), self.truth.sum(axis=1)
        has_boundary = self.boundary[:, :, BOUNDARY_COUNTS.index("truth")].any(axis=1)
        return {
            "mIoU": _mean_of_defined(by_class["IoU"]),
            "mF": _mean_of_defined(by_class["F"]),
            "pixel_accuracy": _ratio(self.hits.sum(axis=1), pixels),
            "mean_accuracy": _mean_of_defined(by_class["recall"]),
            "fwIoU": _ratio(np.nansum(self.truth * by_class["IoU"], axis=1), pixels),
            "boundary_F": np.where(has_boundary, _mean_of_defined(by_class["boundary_F"]), np.nan),
        }


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide, NaN where the whole is 0."""
    ratio: NDArray[np.float64] = np.full(whole.shape, np.nan)
    return np.divide(part, whole, out=ratio, where=whole > 0)


def _mean_of_defined(by_class: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average (S,K) over the classes that are not NaN, (S,); NaN where all are."""
    return _ratio(np.nansum(by_class, axis=1), (~np.isnan(by_class)).sum(axis=1))


def _number(value: float) -> float:
    return -1.0 if np.isnan(value) else float(value)
