"""Augmentation of point clouds: objects pasted from other clouds, flips, rotation, scaling, points left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from limbeck.data.cloud_config import CloudAugment
from limbeck.data.cloud_points import inside
from limbeck.rectangles import BEV, overlap_areas

PASTE_SOURCES = 4
"""Objects are taken from so many other clouds at most: each has to be read."""
PASTE_POINTS = 5
"""Objects with fewer points are not worth pasting."""
CLEARED = 0.2
"""Metres by which the room of a pasted object is cleared on every side."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A point cloud with its objects, as it is augmented.

    Attributes:
        points: (P,F) float32.
        boxes: (M,7) float32.
        labels: (M,) int64.
        ignore: (M,) bool.
        velocities: (M,2) float32; None where the data has none.
    """

    points: NDArray[np.float32]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignore: NDArray[np.bool_]
    velocities: NDArray[np.float32] | None


def augmented(
    scene: Scene,
    config: CloudAugment,
    wanted: dict[int, int],
    other: Callable[[], Scene],
    generator: np.random.Generator,
) -> Scene:
    """Return an augmented scene; its points come in random order, so that a pillar's first ones are any of its.

    Args:
        scene: The scene.
        config: Strengths.
        wanted: How many objects of each class are to be pasted, by label.
        other: Reads another scene of the training part.
        generator: Where all random numbers come from.
    """
    if wanted:
        scene = _pasted(scene, wanted, other, generator)
    scene = _flipped(scene, (generator.random() < config.flip_front_back, generator.random() < config.flip_left_right))
    scene = _turned(scene, generator.uniform(-config.rotation, config.rotation))
    scene = _scaled(scene, generator.uniform(*config.scale))
    count = len(scene.points)
    kept = count - int(count * generator.uniform(0, config.dropout))
    return replace(scene, points=scene.points[generator.permutation(count)[:kept]])


def _pasted(scene: Scene, wanted: dict[int, int], other: Callable[[], Scene], generator: np.random.Generator) -> Scene:
    """Put objects of other scenes where they stood there, if nothing stands there yet."""
    left = dict(wanted)
    for _ in range(PASTE_SOURCES):
        if not any(left.values()):
            break
        source = other()
        for row in generator.permutation(len(source.boxes)).tolist():
            label = int(source.labels[row])
            if left.get(label, 0) > 0 and not source.ignore[row] and (found := _with_object(scene, source, row)):
                scene, left[label] = found, left[label] - 1
    return scene


def _with_object(scene: Scene, source: Scene, row: int) -> Scene | None:
    """Return the scene with an object of another one, or None where it has too few points or does not fit in."""
    box = source.boxes[row : row + 1]
    if overlap_areas(np, box[:, BEV].astype(np.float64), scene.boxes[:, BEV].astype(np.float64)).any():
        return None
    own = source.points[inside(source.points, box[0])]
    if len(own) < PASTE_POINTS:
        return None
    room = box[0].copy()
    room[3:6] += 2 * CLEARED
    velocities = scene.velocities
    if velocities is not None:
        unknown = np.full((1, 2), np.nan, np.float32)
        new = unknown if source.velocities is None else source.velocities[row : row + 1]
        velocities = np.concatenate([velocities, new])
    return Scene(
        np.concatenate([scene.points[~inside(scene.points, room)], own]),
        np.concatenate([scene.boxes, box]),
        np.append(scene.labels, source.labels[row]),
        np.append(scene.ignore, False),
        velocities,
    )


def _flipped(scene: Scene, axes: tuple[bool, bool]) -> Scene:
    """Return the scene with x, y or both turned to their opposite."""
    points, boxes = scene.points.copy(), scene.boxes.copy()
    velocities = None if scene.velocities is None else scene.velocities.copy()
    for axis, flip in enumerate(axes):
        if flip:
            points[:, axis] *= -1
            boxes[:, axis] *= -1
            boxes[:, 6] = (np.pi if axis == 0 else 0) - boxes[:, 6]
            if velocities is not None:
                velocities[:, axis] *= -1
    return replace(scene, points=points, boxes=boxes, velocities=velocities)


def _turned(scene: Scene, angle: float) -> Scene:
    """Return the scene turned about z, counter-clockwise."""
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]], np.float32)  # of rows
    points, boxes = scene.points.copy(), scene.boxes.copy()
    points[:, :2], boxes[:, :2] = points[:, :2] @ turn, boxes[:, :2] @ turn
    boxes[:, 6] = (boxes[:, 6] + angle + np.pi) % (2 * np.pi) - np.pi
    velocities = None if scene.velocities is None else scene.velocities @ turn
    return replace(scene, points=points, boxes=boxes, velocities=velocities)


def _scaled(scene: Scene, factor: float) -> Scene:
    """Return the scene with all lengths multiplied."""
    points, boxes = scene.points.copy(), scene.boxes.copy()
    points[:, :3] *= np.float32(factor)
    boxes[:, :6] *= np.float32(factor)
    velocities = None if scene.velocities is None else scene.velocities * np.float32(factor)
    return replace(scene, points=points, boxes=boxes, velocities=velocities)
