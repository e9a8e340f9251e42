"""What the labels of a part of a data set of point clouds say, in any format, before classes are chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from limbeck.data.cloud_records import UNKNOWN_COUNT, CloudRecord, Sweep

MAX_METRES = 1e5
"""Coordinates and sizes beyond this are no place near a LiDAR; float32 has centimetres up to here."""
SIDES = ("length", "width", "height")


@dataclass(slots=True)
class CloudLabels:
    """What the labels say.

    Attributes:
        records: One per frame; its labels are indices into ``names``.
        names: What objects are called in the label files, in the order in which they are met.
        broken: One sentence for each frame, box or file that is broken.
        left_out: Sentences for what is left out though nothing is wrong with it.
    """

    records: list[CloudRecord] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(
        self,
        id: str,
        path: Path,
        names: Sequence[str],
        boxes: ArrayLike,
        *,
        place: Callable[[int], str],
        ignore: ArrayLike | None = None,
        levels: ArrayLike | None = None,
        num_points: ArrayLike | None = None,
        velocities: ArrayLike | None = None,
        sweeps: tuple[Sweep, ...] = (),
        row: int | None = None,
    ) -> None:
        """Add a frame; boxes that are none go to `broken` instead.

        Args:
            id: Name of the frame.
            path: The file of the points.
            names: What the M objects are called.
            boxes: (M,7), see `CloudRecord`.
            place: Where box number m stands, for sentences.
            ignore: (M,) bool; None for False.
            levels: (M,) int; None for 0.
            num_points: (M,) int; None where it is not known.
            velocities: (M,2), NaN where not known; None where there is none.
            sweeps: Earlier sweeps.
            row: Place of the frame in a file of many.
        """
        given = np.asarray(boxes, np.float64).reshape(-1, 7)
        sound = np.array([self._is_sound(box, place, number) for number, box in enumerate(given)], np.bool_)
        known = [name for name, is_sound in zip(names, sound.tolist(), strict=True) if is_sound]

        def kept(values: ArrayLike | None, default: Any, dtype: Any) -> NDArray[Any]:
            found = np.full(len(given), default, dtype) if values is None else np.asarray(values, dtype)
            return found[sound]

        self.records.append(
            CloudRecord(
                id=id,
                path=path,
                boxes=given[sound].astype(np.float32),
                labels=np.array([self.names.setdefault(name, len(self.names)) for name in known], np.int64),
                ignore=kept(ignore, False, np.bool_),
                levels=kept(levels, 0, np.int64),
                num_points=kept(num_points, UNKNOWN_COUNT, np.int64),
                velocities=None if velocities is None else np.asarray(velocities, np.float32).reshape(-1, 2)[sound],
                sweeps=sweeps,
                row=row,
            )
        )

    def _is_sound(self, box: NDArray[np.float64], place: Callable[[int], str], number: int) -> bool:
        problem = box_problem(box)
        if problem is not None:
            self.broken.append(f"{place(number)} {problem}")
        return problem is None


def box_problem(box: NDArray[np.float64]) -> str | None:
    """Return what is wrong with seven numbers that are no box, as the predicate of a sentence, or None."""
    if not np.isfinite(box).all():
        return f"has the box {_shown(box)}, in which not every number is finite"
    wrong = [name for name, size in zip(SIDES, box[3:6].astype(np.float32), strict=True) if size <= 0]
    if wrong:
        return f"has the box {_shown(box)}, whose {' and '.join(wrong)} is not positive"
    if np.abs(box).max() > MAX_METRES:
        return f"has the box {_shown(box)}, which is not near a LiDAR"
    return None


def _shown(box: NDArray[np.float64]) -> str:
    return f"[{', '.join(f'{number:g}' for number in box.tolist())}]"
