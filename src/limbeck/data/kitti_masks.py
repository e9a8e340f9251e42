"""KITTI's road and semantics benchmarks: where their files and cameras are, and what their masks mean."""

from __future__ import annotations

import math
from pathlib import Path

from limbeck.data.checks import TITLE, read_text
from limbeck.data.cityscapes import LEVELS, VOID
from limbeck.data.frames import Layout
from limbeck.data.mask_config import CameraConfig
from limbeck.errors import DataError

PROJECTIONS = ("P2:", "P_rect_02:")
"""The left colour camera's matrix in the calibration files of the road and of the semantics benchmark."""


def road_layout(area: str) -> Layout:
    """Return the layout of the road benchmark.

    Magenta is the area, red everything else that counts and black what does not: the benchmark's own evaluation takes
    the blue channel for the area and the red one for what is valid.

    Args:
        area: ``road``, or ``lane``, which the images of the category um have only.
    """
    levels = {"background": 0xFF0000, area: 0xFF00FF, "void": 0x000000}
    um_only = "((?:.*/)?um)" if area == "lane" else "(.+)"
    return Layout(
        example="um_000000.png",
        image=rf"{um_only}(_\d+)",
        mask=rf"{um_only}_{area}(_\d+)",
        in_colour=True,
        levels=levels,
        void=("void",),
    )


SEMANTICS_LAYOUT = Layout(example="000000_10.png", levels=LEVELS, void=tuple(VOID))
"""The semantics benchmark has the labels of Cityscapes."""


def read_camera(cameras: Path, frame: str) -> CameraConfig:
    """Return the left colour camera of a frame from the text file with its projection matrix.

    Args:
        cameras: The folder of the text files, or one file for all images.
        frame: Name of the frame, such as ``um_000000``, or ``000000_10``, whose file is 000000.txt.

    Raises:
        DataError: The file cannot be read, or has no such matrix.
    """
    path = cameras if cameras.is_file() else cameras / f"{frame}.txt"
    if not path.exists():
        path = path.with_name(f"{path.stem.removesuffix('_10')}.txt")
    for line in read_text(path).splitlines():
        name, *texts = line.split() or [""]
        if name in PROJECTIONS:
            return _camera(texts, path)
    raise DataError(TITLE, [f"{path}: has no line {' or '.join(repr(name) for name in PROJECTIONS)}"])


def _camera(texts: list[str], path: Path) -> CameraConfig:
    try:
        fx, _, cx, _, _, fy, cy, *rest = (float(text) for text in texts)
    except ValueError:
        rest = []
    if len(rest) != 5 or not all(map(math.isfinite, (fx, fy, cx, cy))) or min(fx, fy) <= 0:
        raise DataError(TITLE, [f"{path}: the camera's matrix is not 12 numbers with positive focal lengths"])
    return CameraConfig(fx=fx, fy=fy, cx=cx, cy=cy)
