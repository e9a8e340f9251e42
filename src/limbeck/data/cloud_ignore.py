"""Which labelled objects of a point cloud are neither to be found nor background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from limbeck.data.cloud_records import CloudRecord


def ignored_objects(
    record: CloudRecord, classes: Sequence[str], max_range: float | Mapping[str, float] | None, min_points: int
) -> NDArray[np.bool_]:
    """Return which objects of a frame do not count, (M,) bool: marked so, too far away, or with too few points.

    Args:
        record: The frame.
        classes: Class names.
        max_range: See `limbeck.data.cloud_config.CloudDataConfig`.
        min_points: See there; boxes whose points were not counted have enough.
    """
    few = (record.num_points >= 0) & (record.num_points < min_points)
    return record.ignore | few | beyond(record.boxes, record.labels, classes, max_range)


def beyond(
    boxes: NDArray[np.float32],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    max_range: float | Mapping[str, float] | None,
) -> NDArray[np.bool_]:
    """Return which boxes (M,7) have their centre farther away along the ground than their class is looked for, (M,).

    Args:
        boxes: The boxes.
        labels: (M,) their classes.
        classes: Class names.
        max_range: See `limbeck.data.cloud_config.CloudDataConfig`.
    """
    by_class = max_range if isinstance(max_range, Mapping) else dict.fromkeys(classes, max_range or np.inf)
    reach = np.array([by_class.get(name, np.inf) for name in classes])
    found: NDArray[np.bool_] = np.hypot(boxes[:, 0], boxes[:, 1]) > reach[labels]
    return found
