"""What the doctor says of the intensities of points, which every LiDAR gives in a range of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.core.model import ModelConfig
from limbeck.training.doctor.findings import Finding

INTENSITY = 3
"""Where a model with the setting `intensity` reads it, counted from 0."""
UNIT = 2.0
"""Intensities up to this are taken as they are."""
BYTE = 255.0


def intensity_finding(points: NDArray[np.float32], features: Sequence[str], settings: ModelConfig) -> Iterator[Finding]:
    """Yield a warning where a model would take intensities by the wrong setting.

    Args:
        points: (P,F) of a few clouds.
        features: What their values are called.
        settings: Of the model; of one that has no setting `intensity` nothing is said.
    """
    chosen = getattr(settings, "intensity", None)
    if chosen is None or len(features) <= INTENSITY:
        return
    check, name = "intensity", features[INTENSITY]
    if name != "intensity":
        if chosen != "raw":
            text = f"student.intensity is {chosen}, but value {INTENSITY + 1} of a point is '{name}'"
            yield Finding("warn", check, f"{text}: name intensity as value {INTENSITY + 1} in data.features")
        return
    values = points[:, INTENSITY]
    fitting = fitting_setting(values)
    if fitting == chosen or (fitting, chosen) == ("raw", "tanh"):
        return
    text = f"is {values.min():.4g} to {values.max():.4g} in the training clouds, and student.intensity is {chosen}"
    mend = (
        "divide it by its usual largest value in the files"
        if fitting is None
        else f"set student.intensity to {fitting}"
    )
    yield Finding("warn", check, f"{text}: the network is made for about 0 to 1; {mend}")


def fitting_setting(values: NDArray[np.float32]) -> Literal["raw", "tanh", "byte"] | None:
    """Return by which setting intensities (P,) come to about 0 to 1; None where by none.

    ``tanh`` is for those of which hardly any is large.
    """
    if values.max() <= UNIT:
        return "raw"
    if np.percentile(values, 99) <= UNIT:
        return "tanh"
    return "byte" if values.max() <= BYTE else None
