"""What a detector finds image by image, or cloud by cloud: hits, false alarms and what is missed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.report.formats import counted


@dataclass(frozen=True, slots=True)
class Tally:
    """What one model finds in every image: hits, false alarms and missed objects, (I,) each."""

    hits: NDArray[np.int64]
    false_alarms: NDArray[np.int64]
    missed: NDArray[np.int64]

    @property
    def f1(self) -> NDArray[np.float64]:
        """Harmonic mean of precision and recall per image; 1 where there is nothing to find and nothing found."""
        mistakes = self.false_alarms + self.missed
        score: NDArray[np.float64] = 2 * self.hits / np.maximum(2 * self.hits + mistakes, 1)
        return np.where((self.hits == 0) & (mistakes == 0), 1.0, score)

    def sentence(self, image: int) -> str:
        """Say what the model finds in one image."""
        objects = self.hits[image] + self.missed[image]
        return f"{self.hits[image]} of {objects} found, {counted(self.false_alarms[image], 'false alarm')}"
