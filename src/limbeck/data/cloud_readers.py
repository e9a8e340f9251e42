"""Reading data with point clouds in any of its formats: the one place that knows which reader reads which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from limbeck.data.checks import TITLE, data_error
from limbeck.data.cloud_boxes import read_box_labels
from limbeck.data.cloud_check import checked
from limbeck.data.cloud_classes import choose_classes, unknown_classes, unmet_names, with_classes
from limbeck.data.cloud_config import CloudDataConfig, CloudFormat, CloudPartConfig
from limbeck.data.cloud_folder import folder_problems
from limbeck.data.cloud_frames import read_frame_labels
from limbeck.data.cloud_index import CloudIndex
from limbeck.data.cloud_labels import CloudLabels
from limbeck.data.cloud_records import CloudData, CloudRecord
from limbeck.data.config import PartName
from limbeck.data.kitti_lidar import CLASSES as KITTI_CLASSES
from limbeck.data.kitti_lidar import NEIGHBOURS as KITTI_NEIGHBOURS
from limbeck.data.kitti_lidar import read_kitti_labels
from limbeck.data.nuscenes import CLASS_MAP as NUSCENES_CLASS_MAP
from limbeck.data.nuscenes import read_nuscenes_labels
from limbeck.errors import DataError
from limbeck.point_files.point_format import PointFormat

_SKIP_HINT = "set data.on_broken to 'skip' to leave broken clouds and boxes out"


def read_cloud_parts(config: CloudDataConfig, verify: bool = False) -> dict[PartName, CloudData]:
    """Read all parts of a data set that there are, the others with the classes of the training part.

    Args:
        config: Where the data is.
        verify: Read every point of every file; else only as much as the number of points in each box needs, and
            nothing where an index has it, see `limbeck.data.cloud_index`.

    Raises:
        DataError: A part is broken; the problems of all are reported.
    """
    problems: list[str] = []
    hint: str | None = None
    parts: dict[PartName, CloudData] = {}
    for name, split in config.parts.items():
        try:
            parts[name] = read_clouds(config, split, need_objects=name == "train", verify=verify)
        except DataError as error:
            problems += [problem for problem in error.problems if problem not in problems]
            hint = hint or error.hint
        else:
            config = config.model_copy(update={"classes": parts[name].classes})
    if problems:
        raise data_error(TITLE, problems, hint)
    return parts


def read_clouds(
    config: CloudDataConfig, split: CloudPartConfig, *, need_objects: bool = False, verify: bool = False
) -> CloudData:
    """Read one part of a data set.

    Args:
        config: How it is to be read; ``on_broken: skip`` leaves broken frames and boxes out and lists them in
            `CloudData.skipped`.
        split: Where the files are.
        need_objects: Whether a part without a single object is an error; also a class that has none, if there are
            objects of a class that is not in ``classes``, as one of the two is mostly a slip of the pen.
        verify: See `read_cloud_parts`.

    Raises:
        DataError: Something is missing, broken or does not fit together; all problems at once.
    """
    if problems := folder_problems(split):
        raise DataError(TITLE, problems)
    where = split.clouds if split.labels is None else split.labels
    labels = _known_labels(config, split, verify)
    if labels.broken and config.on_broken == "error":
        raise data_error(TITLE, labels.broken, _SKIP_HINT)
    class_of = _class_of(config, labels)
    classes = choose_classes(config, labels.names, class_of, _usual_order(config))
    records, left_out = with_classes(labels, class_of, _ignored_as(config, class_of, classes), classes, where)
    _check_not_empty(records, where, need_objects)
    has_own_names = config.class_map is None and config.format != "nuscenes"
    if need_objects and has_own_names and (problems := unknown_classes(classes, labels.names, where)):
        raise data_error(TITLE, problems)
    unmet = unmet_names(config, labels.names, class_of, classes, where) if need_objects else []
    return CloudData(
        tuple(_with_velocities(records)),
        classes,
        (*labels.broken, *labels.left_out, *left_out, *unmet),
        PointFormat(config.point_columns, config.point_features, config.drop_invalid),
    )


def _known_labels(config: CloudDataConfig, split: CloudPartConfig, verify: bool) -> CloudLabels:
    """Return what the labels of a part say and its clouds hold: what the index knows, or what is read now."""
    index = CloudIndex.of(config, split)
    known = None if verify else index.load()
    if known is None:
        known = checked(_read_labels(config, split, verify), config, verify)
        index.store(known)
    return known


def _read_labels(config: CloudDataConfig, split: CloudPartConfig, verify: bool) -> CloudLabels:
    if config.format == "kitti":
        return read_kitti_labels(split, config.label_frame)
    if config.format == "nuscenes":
        return read_nuscenes_labels(split, config.sweeps)
    if config.format == "frames":
        return read_frame_labels(config, split, verify)
    return read_box_labels(split)


def _class_of(config: CloudDataConfig, labels: CloudLabels) -> Mapping[str, str]:
    """Return the class that each name in the label files stands for."""
    if config.class_map is None and config.format != "nuscenes":
        ignored = _turned(config.ignore_map or {})
        return {name: name for name in labels.names if name not in ignored}
    return _turned(NUSCENES_CLASS_MAP if config.class_map is None else config.class_map)


def _ignored_as(config: CloudDataConfig, class_of: Mapping[str, str], classes: Sequence[str]) -> Mapping[str, str]:
    """Return as which class the names near one are ignored."""
    if config.ignore_map is not None or config.format != "kitti":
        return _turned(config.ignore_map or {})
    near = {name: class_of.get(beside, "") for name, beside in KITTI_NEIGHBOURS.items()}
    return {name: beside for name, beside in near.items() if beside in classes and class_of.get(name) not in classes}


def _turned(names_of: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
    return {name: class_name for class_name, names in names_of.items() for name in names}


def _usual_order(config: CloudDataConfig) -> Sequence[str]:
    """Return the classes of a benchmark in its order."""
    orders: Mapping[CloudFormat, Sequence[str]] = {"kitti": KITTI_CLASSES, "nuscenes": tuple(NUSCENES_CLASS_MAP)}
    return orders.get(config.format, ())


def _check_not_empty(records: Sequence[CloudRecord], where: Path, need_objects: bool) -> None:
    if not records:
        raise DataError(TITLE, [f"{where}: the data set is empty; it has no usable cloud"])
    if need_objects and all(record.ignore.all() for record in records):
        raise DataError(TITLE, [f"{where}: the data set is empty; none of its {len(records)} clouds has an object"])


def _with_velocities(records: Sequence[CloudRecord]) -> Sequence[CloudRecord]:
    """Return the frames all with velocities, NaN where none is known, if one has them."""
    if all(record.velocities is None for record in records):
        return records
    return [
        replace(record, velocities=np.full((len(record.boxes), 2), np.nan, np.float32))
        if record.velocities is None
        else record
        for record in records
    ]
