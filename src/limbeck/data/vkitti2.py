"""Virtual KITTI 2: where its files are, its colours and its cameras."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from limbeck.data.checks import TITLE, read_text
from limbeck.data.frames import Layout
from limbeck.data.mask_config import CameraConfig
from limbeck.errors import DataError

COLOURS = "colors.txt"
VOID = {"Undefined": 0x000000}
"""Black stands for no class, whether or not the file of colours says so."""
CATEGORY = re.compile(r"(\w+)\s+(\d+)\s+(\d+)\s+(\d+)\s*")

LAYOUT = Layout(
    example="Scene01/clone/frames/rgb/Camera_0/rgb_00000.jpg",
    image=r"(.*?)frames/rgb/(Camera_\d+)/rgb(_\d+)",
    mask=r"(.*?)frames/class[sS]egmentation/(Camera_\d+)/classgt(_\d+)",
    x=r"(.*?)frames/{kind}/(Camera_\d+)/[^/]*?(_\d+)",
    in_colour=True,
    void=tuple(VOID),
)


def read_colours(folder: Path, frames: Iterable[str]) -> dict[str, int]:
    """Return the level of every class from the files of colours, which say the same in all sequences.

    Args:
        folder: Folder of the scenes with their text files.
        frames: Names of frames, such as ``Scene01/clone/Camera_0_00000``.

    Raises:
        DataError: A file cannot be read, or two say different things.
    """
    sequences = dict.fromkeys(frame.rpartition("Camera_")[0] for frame in frames)
    tables = {folder / sequence / COLOURS: _table(folder / sequence / COLOURS) for sequence in sequences}
    first = next(iter(tables))
    other = [path for path, table in tables.items() if table != tables[first]]
    if other:
        raise DataError(TITLE, [f"{other[0]}: has other classes or colours than {first}"])
    return {name: level for name, level in tables[first].items() if name not in VOID} | VOID


def _table(path: Path) -> dict[str, int]:
    header, *lines = [line for line in read_text(path).splitlines() if line.strip()] or [""]
    if header.split() != ["Category", "r", "g", "b"]:
        raise DataError(TITLE, [f"{path}: the first line is '{header.strip()}', not 'Category r g b'"])
    levels: dict[str, int] = {}
    for line in lines:
        match = CATEGORY.fullmatch(line)
        colour = [int(number) for number in match.groups()[1:]] if match else [256]
        if match is None or max(colour) > 255:
            raise DataError(TITLE, [f"{path}: the line '{line.strip()}' is not a name and three numbers up to 255"])
        levels[match[1]] = colour[0] << 16 | colour[1] << 8 | colour[2]
    if len(set(levels.values())) < len(lines):
        raise DataError(TITLE, [f"{path}: a class or a colour stands twice"])
    return levels


def read_camera(cameras: Path, frame: str) -> CameraConfig:
    """Return the camera of a frame from the file intrinsic.txt of its sequence.

    Args:
        cameras: Folder of the scenes with their text files.
        frame: Name of the frame, such as ``Scene01/clone/Camera_0_00000``.

    Raises:
        DataError: The file cannot be read, or does not have the frame.
    """
    sequence, _, rest = frame.rpartition("Camera_")
    path = cameras / sequence / "intrinsic.txt"
    camera, _, number = rest.partition("_")
    found = _intrinsics(path).get((int(number), int(camera)))
    if found is None:
        raise DataError(TITLE, [f"{path}: has no line for frame {int(number)} of camera {camera}"])
    return found


@lru_cache(maxsize=64)  # a line of it is asked for once for every frame
def _intrinsics(path: Path) -> dict[tuple[int, int], CameraConfig]:
    """Return the camera by frame and number; its columns are frame, camera, fx, fy, cx and cy."""
    cameras = {}
    for line in read_text(path).splitlines()[1:]:
        try:
            frame, camera, fx, fy, cx, cy = (float(text) for text in line.split())
            cameras[int(frame), int(camera)] = CameraConfig(fx=fx, fy=fy, cx=cx, cy=cy)
        except ValueError as error:  # pydantic's is one too
            raise DataError(TITLE, [f"{path}: the line '{line}' is not frame, camera, fx, fy, cx, cy"]) from error
    return cameras
