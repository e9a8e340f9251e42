"""How far the camera is from the road, by the depth of the pixels that are labelled as road.

With x = (u - cx) / fx and y = (v - cy) / fy, the inverse depth of a plane is 1/Z = a x + b y + c, where (a, b, c) is
the plane's normal divided by the distance of the camera, however the camera is turned.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from limbeck.data.mask_config import XConfig
from limbeck.data.mask_records import MaskCode, MaskRecord
from limbeck.data.masks import read_labels
from limbeck.data.x_maps import measure, read_levels

ROAD = "road"
"""The class that is looked at, in upper or lower case."""
MAX_FRAMES = 10
"""So many frames are looked at."""
FEW = 0.02
"""A frame in which a smaller share of the pixels is road, and was measured, says nothing."""
MAX_PIXELS = 20_000
"""So many pixels of a frame are fitted."""


def camera_height(
    records: Sequence[MaskRecord], name: str, config: XConfig, code: MaskCode, classes: Sequence[str]
) -> float | None:
    """Return the median distance of the camera from the road in metres.

    None where no class is called road, where the maps hold no depth or have no camera, or where hardly any road was
    measured.

    Args:
        records: Frames.
        name: The modality.
        config: What its files hold.
        code: What the levels of the masks stand for.
        classes: Class names in the order of the labels.

    Raises:
        DataError: A file cannot be read.
    """
    roads = [label for label, known in enumerate(classes) if known.casefold() == ROAD]
    if not roads or config.holds != "depth":
        return None
    frames = [record for record in records if name in record.cameras][:MAX_FRAMES]
    found = [_height(record, name, config, read_labels(record, code) == roads[0]) for record in frames]
    heights = [height for height in found if height is not None]
    return float(np.median(heights)) if heights else None


def _height(record: MaskRecord, name: str, config: XConfig, road: NDArray[np.bool_]) -> float | None:
    values, valid = measure(read_levels(record, name), config)
    rows, columns = np.nonzero(road & valid.numpy())
    if len(rows) < FEW * road.size:
        return None
    every = 1 + len(rows) // MAX_PIXELS
    rows, columns = rows[::every], columns[::every]
    camera = record.cameras[name]
    x, y = (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
    inverse = 1 / values.numpy()[rows, columns].astype(np.float64)
    plane = np.linalg.lstsq(np.stack([x, y, np.ones_like(x)], axis=1), inverse)[0]
    return float(1 / np.linalg.norm(plane))
