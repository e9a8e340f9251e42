"""Cityscapes: what its labels are called, and where its files and cameras are."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from limbeck.data.checks import TITLE, read_text
from limbeck.data.frames import Layout
from limbeck.data.mask_config import CameraConfig
from limbeck.errors import DataError, first_detail

CLASSES = {
    "road": 7,
    "sidewalk": 8,
    "building": 11,
    "wall": 12,
    "fence": 13,
    "pole": 17,
    "traffic light": 19,
    "traffic sign": 20,
    "vegetation": 21,
    "terrain": 22,
    "sky": 23,
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}
"""Label ids of the 19 classes that Cityscapes evaluates, in the order of its train ids."""
VOID = {
    "unlabeled": 0,
    "ego vehicle": 1,
    "rectification border": 2,
    "out of roi": 3,
    "static": 4,
    "dynamic": 5,
    "ground": 6,
    "parking": 9,
    "rail track": 10,
    "guard rail": 14,
    "bridge": 15,
    "tunnel": 16,
    "polegroup": 18,
    "caravan": 29,
    "trailer": 30,
    "license plate": 255,
}
"""Ids of the labels that Cityscapes does not evaluate; that of the license plate is -1, which a mask holds as 255."""
LEVELS = CLASSES | VOID

LAYOUT = Layout(
    example="aachen/aachen_000000_000019_leftImg8bit.png",
    image=r"(.+)_leftImg8bit",
    mask=r"(.+)_gt(?:Fine|Coarse)_labelIds",
    x=r"(.+?_\d+_\d+)_[^/]+",
    levels=LEVELS,
    void=tuple(VOID),
)


def read_camera(cameras: Path, frame: str) -> CameraConfig:
    """Return the camera of a frame from its json file.

    Args:
        cameras: The folder of the json files, or one file for all images.
        frame: Name of the frame, such as ``aachen/aachen_000000_000019``.

    Raises:
        DataError: The file cannot be read, or does not say focal lengths and principal point.
    """
    path = cameras if cameras.is_file() else cameras / f"{frame}_camera.json"
    text = read_text(path)
    try:
        content = json.loads(text)
    except ValueError as error:
        raise DataError(TITLE, [f"{path}: not valid json; {error}"]) from error
    intrinsic = content.get("intrinsic") if isinstance(content, dict) else None
    if not isinstance(intrinsic, dict):
        raise DataError(TITLE, [f"{path}: has no 'intrinsic' with fx, fy, u0 and v0"])
    try:
        return CameraConfig.model_validate(
            {name: intrinsic.get(key) for name, key in (("fx", "fx"), ("fy", "fy"), ("cx", "u0"), ("cy", "v0"))}
        )
    except ValidationError as error:
        raise DataError(TITLE, [f"{path}: the camera cannot be used; {first_detail(error.errors())}"]) from error
