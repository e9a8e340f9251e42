"""How well the outlines of the classes are met: the boundary pixels of every class, and which of them are matched.

A pixel of class k is a boundary pixel of k if the pixel above, below, left or right of it has another class. Neither
the edge of the image nor an ignored pixel makes a boundary. A boundary pixel is matched if the other map has a boundary
pixel of the same class within a tolerance; 0.75 % of the image diagonal is that of Csurka et al., "What is a good
evaluation measure for semantic segmentation?", BMVC 2013.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from limbeck.core.samples import IGNORED_LABEL

TOLERANCE = 0.0075
"""Distance within which a boundary pixel is matched, as a share of the image diagonal."""
BOUNDARY_COUNTS = ("matched_predicted", "predicted", "matched_truth", "truth")
"""What is counted of the boundary pixels of a class, in this order."""
_BITS = 8


def boundary_counts(
    labels: NDArray[np.uint8], predicted: NDArray[np.uint8], num_classes: int, tolerance: float = TOLERANCE
) -> NDArray[np.int64]:
    """Count the boundary pixels of every class and those that are matched, (K,4) in the order of `BOUNDARY_COUNTS`.

    Args:
        labels: (H,W) the true class of every pixel, or `IGNORED_LABEL`.
        predicted: (H,W) the predicted class of every pixel; what it says of ignored pixels does not count.
        num_classes: Number of classes K.
        tolerance: Share of the image diagonal; a distance of one pixel is always within it.
    """
    pixels = max(1.0, tolerance * math.hypot(*labels.shape))
    truth = _boundary(labels)
    found = _boundary(np.where(labels == IGNORED_LABEL, np.uint8(IGNORED_LABEL), predicted))
    matched_found = found[_matched(found, truth, num_classes, pixels)]
    matched_truth = truth[_matched(truth, found, num_classes, pixels)]
    counted = (matched_found, found, matched_truth, truth)
    return np.stack([np.bincount(part.ravel(), minlength=256)[:num_classes] for part in counted], axis=1)


def boundary_f(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the F-score 2 P R / (P + R) of the boundary pixels, NaN where neither map has any.

    P is the share of the predicted ones that are matched, R that of the true ones; a share of nothing is 0.

    Args:
        counts: (...,4) in the order of `BOUNDARY_COUNTS`, of one image or summed over several.
    """
    matched_predicted, predicted, matched_truth, truth = np.moveaxis(counts, -1, 0)
    precision = matched_predicted / np.maximum(predicted, 1)
    recall = matched_truth / np.maximum(truth, 1)
    both = precision + recall
    score = 2 * precision * recall / np.where(both > 0, both, 1)
    return np.where(predicted + truth > 0, score, np.nan)


def _boundary(classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Keep the class of every boundary pixel of (H,W), and put `IGNORED_LABEL` elsewhere."""
    on_boundary = np.zeros(classes.shape, dtype=bool)
    counts = classes != IGNORED_LABEL
    for before, after in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        differs = (classes[before] != classes[after]) & counts[before] & counts[after]
        on_boundary[before] |= differs
        on_boundary[after] |= differs
    return np.where(on_boundary, classes, np.uint8(IGNORED_LABEL))


def _matched(mine: NDArray[np.uint8], other: NDArray[np.uint8], num_classes: int, pixels: float) -> NDArray[np.bool_]:
    """Return (H,W) bool: the boundary pixels of ``mine`` with one of the same class in ``other`` within ``pixels``."""
    matched = np.zeros(mine.shape, dtype=bool)
    for first in range(0, num_classes, _BITS):  # eight classes at a time, each a bit of every pixel
        bits = np.zeros(256, dtype=np.uint8)
        classes = np.arange(first, min(first + _BITS, num_classes))
        bits[classes] = 1 << (classes - first)
        matched |= (bits[mine] & _spread(bits[other], pixels)) > 0
    return matched


def _spread(bits: NDArray[np.uint8], pixels: float) -> NDArray[np.uint8]:
    """Give every pixel of (H,W) the bits of all pixels within a Euclidean distance.

    A disk is a stack of rows: the row that is dy away from the centre reaches sqrt(pixels^2 - dy^2) to either side.
    """
    height = len(bits)
    spread, row, reach = np.zeros_like(bits), bits.copy(), 0
    for dy in range(min(int(pixels), height - 1), -1, -1):
        wider = int(math.sqrt(pixels**2 - dy**2))
        for dx in range(reach + 1, wider + 1):
            row[:, dx:] |= bits[:, :-dx]
            row[:, :-dx] |= bits[:, dx:]
        reach = wider
        spread[dy:] |= row[: height - dy]
        spread[: height - dy] |= row[dy:]
    return spread
