"""The format boxes: point clouds with a json file of boxes each, under the cloud's name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from limbeck.data.checks import TITLE, read_text
from limbeck.data.cloud_config import CloudPartConfig
from limbeck.data.cloud_folder import find_clouds, find_labels
from limbeck.data.cloud_labels import CloudLabels
from limbeck.data.cloud_records import UNKNOWN_COUNT
from limbeck.errors import BrokenEntryError, DataError
from limbeck.point_files.reading import CLOUD_SUFFIXES


class _Entry(NamedTuple):
    name: str
    box: tuple[float, ...]
    ignore: bool
    level: int
    points: int
    velocity: tuple[float, float] | None


def read_box_labels(split: CloudPartConfig) -> CloudLabels:
    """Return what the json files of a part say.

    Raises:
        DataError: There is no cloud, or the list cannot be read.
    """
    labels = CloudLabels()
    folder = split.clouds if split.labels is None else split.labels
    clouds = find_clouds(split, CLOUD_SUFFIXES, labels.broken)
    for stem, file in find_labels(split, clouds, folder, ".json", labels.broken).items():
        try:
            entries = _load(file)
        except DataError as error:
            labels.broken += error.problems
        else:
            _add(labels, stem, clouds[stem], file, entries)
    return labels


def _add(labels: CloudLabels, stem: str, cloud: Path, file: Path, entries: list[Any]) -> None:
    found: list[_Entry] = []
    places: list[str] = []
    for number, entry in enumerate(entries, start=1):
        place = f"{file}: box {number}"
        try:
            found.append(_parse(entry))
            places.append(place)
        except BrokenEntryError as error:
            labels.broken.append(f"{place} {error}")
    has_velocity = any(entry.velocity is not None for entry in found)
    labels.add(
        stem,
        cloud,
        [entry.name for entry in found],
        [entry.box for entry in found],
        place=places.__getitem__,
        ignore=[entry.ignore for entry in found],
        levels=[entry.level for entry in found],
        num_points=[entry.points for entry in found],
        velocities=[entry.velocity or (math.nan, math.nan) for entry in found] if has_velocity else None,
    )


def _load(file: Path) -> list[Any]:
    try:
        content = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno} ({error.msg})"
        raise DataError(TITLE, [f"{file}: not valid json; it breaks off or is wrong at {place}"]) from error
    boxes = content.get("boxes") if isinstance(content, dict) else None
    if not isinstance(boxes, list):
        raise DataError(TITLE, [f"{file}: has no list 'boxes'"])
    return boxes


def _parse(entry: Any) -> _Entry:
    if not isinstance(entry, dict):
        raise BrokenEntryError(f"is not an object but {entry!r:.40}")
    name = _value(entry, "class")
    if not isinstance(name, str) or not name:
        raise BrokenEntryError(f"has the class {name!r}, which is not a text")
    yaw = _value(entry, "yaw")
    if not _is_number(yaw):
        raise BrokenEntryError(f"has the yaw {yaw!r}, which is not a number")
    box = (*_numbers(entry, "centre", 3), *_numbers(entry, "size", 3), float(yaw))
    velocity = entry.get("velocity")
    return _Entry(
        name,
        box,
        _flag(entry, "ignore"),
        _count(entry, "level", 0),
        _count(entry, "points", UNKNOWN_COUNT),
        None if velocity is None else _pair(entry),
    )


def _value(entry: Mapping[str, Any], name: str) -> Any:
    if name not in entry:
        raise BrokenEntryError(f"has no '{name}'; it has {', '.join(map(repr, entry)) or 'nothing'}")
    return entry[name]


def _numbers(entry: Mapping[str, Any], name: str, count: int) -> tuple[float, ...]:
    values = _value(entry, name)
    if not isinstance(values, list) or len(values) != count or not all(map(_is_number, values)):
        raise BrokenEntryError(f"has the {name} {values!r}, which is not {count} numbers")
    return tuple(map(float, values))


def _pair(entry: Mapping[str, Any]) -> tuple[float, float]:
    x, y = _numbers(entry, "velocity", 2)
    if math.isinf(x) or math.isinf(y):
        raise BrokenEntryError(f"has the velocity {[x, y]}, in which not every number is finite")
    return x, y


def _flag(entry: Mapping[str, Any], name: str) -> bool:
    value = entry.get(name, False)
    if not isinstance(value, bool):
        raise BrokenEntryError(f"has the {name} {value!r}, which is neither true nor false")
    return value


def _count(entry: Mapping[str, Any], name: str, default: int) -> int:
    value = entry.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BrokenEntryError(f"has the {name} {value!r}, which is not a whole number of 0 or more")
    return value


def _is_number(value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**300  # what a float can hold
    return whole or isinstance(value, float)
