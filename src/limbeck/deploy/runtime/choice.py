"""Which of the boxes of a network are left, with numpy alone: just what `limbeck.core.detection3d.choose` leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck import rectangles


class Candidates(NamedTuple):
    """The boxes among which is chosen, group by group, in each best first.

    Attributes:
        boxes: (D,7) float32.
        scores: (D,) float32.
        labels: (D,) int64.
        velocities: (D,2) float32; None where the network does not say.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    velocities: NDArray[np.float32] | None = None

    def take(self, places: NDArray[np.int64]) -> Candidates:
        """Return those in some places."""
        velocities = None if self.velocities is None else self.velocities[places]
        return Candidates(self.boxes[places], self.scores[places], self.labels[places], velocities)


@dataclass(frozen=True, slots=True)
class Choice:
    """How is chosen among boxes; see `limbeck.core.detection3d.Postprocess3D`.

    Attributes:
        group_boxes: How many boxes there are of each group.
        score_threshold: Boxes with a lower score are left out.
        nms: ``rotated`` or ``circle``.
        nms_iou: Overlap seen from above beyond which a box falls to a better one (rotated).
        circle: Squared distance in square metres up to which a box falls, of each group (circle).
        post_range: Boxes whose centre is outside are left out: least x, y, z and largest x, y, z in metres.
        max_detections: So many boxes of a group are left at most.
    """

    group_boxes: tuple[int, ...]
    score_threshold: float
    nms: Literal["rotated", "circle"]
    nms_iou: float
    circle: tuple[float, ...]
    post_range: tuple[float, ...] | None
    max_detections: int

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Choice:
        """Take the settings from the description of a bundle.

        Raises:
            KeyError: One is missing.
            TypeError: One is of another kind.
            ValueError: ``nms`` is no such way.
        """
        groups, circle, post_range = tuple(settings["group_boxes"]), settings["circle"], settings["post_range"]
        if settings["nms"] not in ("rotated", "circle"):
            raise ValueError(f"nms is {settings['nms']!r}")
        return cls(
            group_boxes=groups,
            score_threshold=float(settings["score_threshold"]),
            nms=settings["nms"],
            nms_iou=float(settings["nms_iou"]),
            circle=tuple(circle) if isinstance(circle, list | tuple) else (float(circle),) * len(groups),
            post_range=None if post_range is None else tuple(post_range),
            max_detections=int(settings["max_detections"]),
        )


def choose(found: Candidates, choice: Choice) -> NDArray[np.int64]:
    """Return the places of the boxes that are left, best first, (K,)."""
    kept, start = [np.zeros(0, np.int64)], 0
    for group, count in enumerate(choice.group_boxes):
        end = start + count
        kept.append(start + _of_group(found.boxes[start:end], found.scores[start:end], choice, group))
        start = end
    places = np.concatenate(kept)
    return places[np.argsort(-found.scores[places], kind="stable")]


def _of_group(boxes: NDArray[np.float32], scores: NDArray[np.float32], choice: Choice, group: int) -> NDArray[np.int64]:
    """Return the places of the boxes of one group that are left."""
    enough = scores > np.float32(choice.score_threshold)
    if choice.post_range is not None:
        low, high = np.reshape(np.asarray(choice.post_range, np.float32), (2, 3))
        enough &= ((boxes[:, :3] >= low) & (boxes[:, :3] <= high)).all(axis=1)
    places = np.flatnonzero(enough)
    boxes = boxes[places]
    if choice.nms == "rotated":
        kept = rectangles.left_by_overlap(np, boxes[:, rectangles.BEV].astype(np.float64), choice.nms_iou)
    else:
        kept = rectangles.left_by_distance(np, boxes[:, :2], choice.circle[group])
    left: NDArray[np.int64] = places[kept]
    return left[: choice.max_detections]
