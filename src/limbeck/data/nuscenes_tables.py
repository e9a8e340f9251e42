"""The tables of nuScenes, as far as a LiDAR needs them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from limbeck.data.checks import TITLE, read_text
from limbeck.data.json_lists import read_entries
from limbeck.errors import DataError, nearest

CHANNEL = "LIDAR_TOP"
"""The LiDAR, and the folders of its files."""
TABLES = (
    "scene",
    "sample",
    "sample_data",
    "ego_pose",
    "calibrated_sensor",
    "category",
    "instance",
    "sample_annotation",
)
"""The tables that are read; the others are not needed."""
_NUMBERS: Mapping[str, int] = {"translation": 3, "rotation": 4, "size": 3}
_WHOLE = ("timestamp", "num_lidar_pts")
"""Keys whose values are so many numbers, and whole numbers; the others are texts and marks."""
RowT = TypeVar("RowT", bound=tuple[Any, ...])


class Scan(NamedTuple):
    """A row of sample_data: one turn of the LiDAR; its file is relative to the folder of the data set."""

    token: str
    sample_token: str
    ego_pose_token: str
    calibrated_sensor_token: str
    filename: str
    timestamp: int
    is_key_frame: bool
    prev: str


class Annotation(NamedTuple):
    """A row of sample_annotation: a box in the world, its size as width, length and height."""

    token: str
    sample_token: str
    instance_token: str
    translation: tuple[float, float, float]
    size: tuple[float, float, float]
    rotation: tuple[float, float, float, float]
    num_lidar_pts: int
    prev: str
    next: str


class _Pose(NamedTuple):
    token: str
    translation: tuple[float, float, float]
    rotation: tuple[float, float, float, float]


class _Sample(NamedTuple):
    token: str
    timestamp: int
    scene_token: str


class _Named(NamedTuple):
    token: str
    name: str


class _Instance(NamedTuple):
    token: str
    category_token: str


@dataclass(frozen=True)
class Tables:
    """The rows of the scenes that were chosen, by token.

    Attributes:
        times: Timestamp of each sample in microseconds, in the order of the scenes and of time.
        scans: The keyframes, and the sweeps if they are asked for.
        ego_poses: From the vehicle to the world, (4,4), for all scans.
        calibrations: From a sensor to the vehicle, (4,4).
        annotations: All boxes.
        categories: Name of the category of each instance.
    """

    times: Mapping[str, int]
    scans: Mapping[str, Scan]
    ego_poses: Mapping[str, NDArray[np.float64]]
    calibrations: Mapping[str, NDArray[np.float64]]
    annotations: Mapping[str, Annotation]
    categories: Mapping[str, str]

    @property
    def key_frames(self) -> dict[str, Scan]:
        """The keyframe of each sample that has one."""
        return {scan.sample_token: scan for scan in self.scans.values() if scan.is_key_frame}

    def annotations_by_sample(self) -> Mapping[str, list[Annotation]]:
        """Return the boxes of each sample."""
        found: defaultdict[str, list[Annotation]] = defaultdict(list)
        for annotation in self.annotations.values():
            found[annotation.sample_token].append(annotation)
        return found

    def to_world(self, scan: Scan) -> NDArray[np.float64]:
        """Return the matrix (4,4) from the LiDAR at the time of a scan to the world."""
        return self.ego_poses[scan.ego_pose_token] @ self.calibrations[scan.calibrated_sensor_token]


def read_tables(folder: Path, scenes: Path | None, with_sweeps: bool) -> Tables:
    """Read what there is about the LiDAR in some scenes.

    Args:
        folder: The folder of the tables.
        scenes: Text file that names the scenes, one in a line; None for all.
        with_sweeps: Whether the sweeps between the keyframes are needed.

    Raises:
        DataError: A table cannot be read or does not fit the others, or the list names no scene.
    """
    order = _scene_order(folder, scenes)
    samples = [row for row in _rows(folder, "sample", _Sample) if row.scene_token in order]
    samples.sort(key=lambda row: (order[row.scene_token], row.timestamp))
    times = {row.token: row.timestamp for row in samples}
    scans = _by_token(folder, "sample_data", Scan, lambda row: _is_needed(row, times, with_sweeps))
    poses = {scan.ego_pose_token for scan in scans.values()}
    sensors = {scan.calibrated_sensor_token for scan in scans.values()}
    annotations = _by_token(folder, "sample_annotation", Annotation, lambda row: row.sample_token in times)
    names = {row.token: row.name for row in _rows(folder, "category", _Named)}
    category_of = {row.token: row.category_token for row in _rows(folder, "instance", _Instance)}
    tables = Tables(
        times,
        scans,
        ego_poses=_poses(folder, "ego_pose", poses),
        calibrations=_poses(folder, "calibrated_sensor", sensors),
        annotations=annotations,
        categories={token: names[category] for token, category in category_of.items() if category in names},
    )
    _check_tokens(folder, tables)
    return tables


def _is_needed(scan: Scan, times: Collection[str], with_sweeps: bool) -> bool:
    is_lidar = PurePosixPath(scan.filename).parent.name == CHANNEL
    return is_lidar and (with_sweeps or scan.is_key_frame) and scan.sample_token in times


def _scene_order(folder: Path, scenes: Path | None) -> dict[str, int]:
    """Return the place of each scene, by its token, among those that are chosen."""
    tokens = {row.name: row.token for row in _rows(folder, "scene", _Named)}
    if scenes is None:
        return {token: place for place, token in enumerate(tokens.values())}
    names = list(dict.fromkeys(line.strip() for line in read_text(scenes).splitlines() if line.strip()))
    unknown = [name for name in names if name not in tokens]
    if unknown or not names:
        problems = [f"{scenes}: {folder} has no scene '{name}'{nearest(name, tokens)}" for name in unknown]
        raise DataError(TITLE, problems or [f"{scenes}: names no scene"])
    return {tokens[name]: place for place, name in enumerate(names)}


def _by_token(folder: Path, name: str, kind: type[RowT], is_wanted: Callable[[RowT], bool]) -> dict[str, RowT]:
    found: dict[str, RowT] = {}
    for row in filter(is_wanted, _rows(folder, name, kind)):
        token = row[0]
        if token in found:
            raise DataError(TITLE, [f"{folder / name}.json: the token '{token}' is used more than once"])
        found[token] = row
    return found


def _poses(folder: Path, name: str, tokens: Collection[str]) -> dict[str, NDArray[np.float64]]:
    rows = (row for row in _rows(folder, name, _Pose) if row.token in tokens)
    return {row.token: pose(row.translation, row.rotation) for row in rows}


def _check_tokens(folder: Path, tables: Tables) -> None:
    """Refuse tables that name a token which the others do not have."""
    wanted = {
        "ego_pose": ({scan.ego_pose_token for scan in tables.scans.values()}, tables.ego_poses),
        "calibrated_sensor": ({scan.calibrated_sensor_token for scan in tables.scans.values()}, tables.calibrations),
        "instance": ({row.instance_token for row in tables.annotations.values()}, tables.categories),
    }
    problems = []
    for name, (tokens, there) in wanted.items():
        if missing := sorted(tokens - there.keys()):
            they = f"{len(missing)} tokens that other tables name, the first '{missing[0]}'"
            problems.append(f"{folder / name}.json: lacks {they}")
    if problems:
        raise DataError(TITLE, problems)


def _rows(folder: Path, name: str, kind: type[RowT]) -> Iterator[RowT]:
    """Yield the entries of a table as rows of a kind, whose fields are called as the keys are."""
    path = folder / f"{name}.json"
    if not path.exists():
        raise DataError(TITLE, [f"{path}: the table is missing"])
    keys: tuple[str, ...] = kind._fields  # type: ignore[attr-defined]
    for number, entry in enumerate(read_entries(path), start=1):
        there = entry if isinstance(entry, dict) else {}
        if problem := next(filter(None, (_problem(there, key) for key in keys)), None):
            raise DataError(TITLE, [f"{path}: entry {number} {problem}"])
        yield kind(*(there[key] for key in keys))


def _problem(entry: Mapping[str, Any], key: str) -> str | None:
    if key not in entry:
        return f"has no '{key}'"
    value = entry[key]
    if key in _NUMBERS:
        count = _NUMBERS[key]
        sound = isinstance(value, list) and len(value) == count and all(map(_is_number, value))
        return None if sound else f"has the {key} {value!r}, which is not {count} numbers"
    if key in _WHOLE:
        return None if isinstance(value, int) else f"has the {key} {value!r}, which is not a whole number"
    return None if isinstance(value, str | bool) else f"has the {key} {value!r}, which is not a text"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e12


def pose(translation: Sequence[float], rotation: Sequence[float]) -> NDArray[np.float64]:
    """Return the matrix (4,4) that turns by a quaternion, and then moves."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotations(np.array([rotation], np.float64))[0]
    matrix[:3, 3] = translation
    return matrix


def rotations(quaternions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrices (N,3,3) of quaternions (N,4), the real part first; their length does not matter."""
    w, x, y, z = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows, np.float64), 2, 0)
