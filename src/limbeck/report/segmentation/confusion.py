"""Confusion matrices: what is taken for what, as shares of the pixels of the true class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, sqrt

import numpy as np
from numpy.typing import NDArray

HIT, MISTAKE = (0, 114, 178), (213, 94, 0)
"""The colours of what is right and of what is not; the stronger, the larger the share."""
DARK = 0.62
"""Strength above which white is easier to read on a cell than black."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A share of the pixels of a class, as text and as the strength of the cell's colour."""

    text: str
    strength: float
    hit: bool

    @property
    def dark(self) -> bool:
        """Whether white is easier to read on it than black."""
        return self.strength > DARK

    @property
    def colour(self) -> str:
        """The colour of the cell on white."""
        return "rgb({} {} {})".format(*_mixed(self.strength, self.hit))


def shares(confusion: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Divide every row (K,K) by its sum; a row without pixels is NaN."""
    counts = np.array(confusion, dtype=np.float64)
    total = counts.sum(axis=1, keepdims=True)
    result: NDArray[np.float64] = np.full_like(counts, np.nan)
    np.divide(counts, total, out=result, where=total > 0)
    return result


def cells(confusion: Sequence[Sequence[int]]) -> list[list[Cell]]:
    """Return a confusion matrix as cells, in per cent."""
    return [
        [Cell(_per_cent(share), _strength(share), row == column) for column, share in enumerate(line)]
        for row, line in enumerate(shares(confusion).tolist())
    ]


def painted(confusion: Sequence[Sequence[int]]) -> NDArray[np.uint8]:
    """Return a confusion matrix as an image with a pixel per cell, (K,K,3)."""
    return np.array([[_mixed(cell.strength, cell.hit) for cell in line] for line in cells(confusion)], dtype=np.uint8)


def _per_cent(share: float) -> str:
    """Write a share as a whole number of per cent; a dot stands for less than half of one, nothing for none."""
    if isnan(share) or share == 0:
        return ""
    return f"{100 * share:.0f}" if share >= 0.005 else "·"


def _strength(share: float) -> float:
    """Return the root of a share, so that small mistakes show."""
    return 0.0 if isnan(share) else sqrt(share)


def _mixed(strength: float, hit: bool) -> tuple[int, ...]:
    return tuple(round(255 + strength * (part - 255)) for part in (HIT if hit else MISTAKE))
