"""What the points of a model's clouds consist of."""

from __future__ import annotations

from dataclasses import dataclass

TIME = "time"
"""The value of a point that says how many seconds before the frame it was measured; it is made from the sweeps."""


@dataclass(frozen=True, slots=True)
class PointFormat:
    """What points consist of.

    Attributes:
        columns: The values of a point in bin and npy files, in this order; ply and pcd files name theirs.
        features: The values that the network reads, in this order; x, y and z in metres first.
        drop_invalid: Whether points that are not finite are left out; else they are an error.
    """

    columns: tuple[str, ...]
    features: tuple[str, ...]
    drop_invalid: bool = False
