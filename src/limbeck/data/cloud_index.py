"""An index of what is known about a part of a data set of point clouds, so that it is found out once.

Parsing the labels of a large data set takes minutes, and counting the points in its boxes reads every cloud. The result
is kept in a file, which may be deleted at any time. It is used as long as all files of the part have the same names,
sizes and times of change; else, and if it is broken, it is made anew.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import uuid
from collections.abc import Iterator, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.cloud_config import CloudDataConfig, CloudPartConfig
from limbeck.data.cloud_labels import CloudLabels
from limbeck.data.cloud_records import CloudRecord, Sweep, no_boxes
from limbeck.data.cloud_sources import cloud_files, label_files

VERSION = 1
"""Goes up whenever the readers come to another result on the same files."""
FOLDER = ".limbeck"
"""The folder of the index, beside that of the labels."""
ANY_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_PER_BOX = ("boxes", "labels", "ignore", "levels", "num_points")
_NO_ROW = -1


@dataclass(frozen=True)
class CloudIndex:
    """The index of one part.

    Attributes:
        places: Files that it may be in: beside the labels, and in the user's cache for data that cannot be written to.
        key: Hash of all that the result depends on.
        clouds: The folder of the clouds.
    """

    places: tuple[Path, ...]
    key: str
    clouds: Path

    @classmethod
    def of(cls, config: CloudDataConfig, split: CloudPartConfig) -> CloudIndex:
        """Return the index of a part; its files must be there."""
        where = split.clouds if split.labels is None else split.labels
        settings = _settings(config, split)
        name = f"{where.name}-{hashlib.sha256(settings.encode()).hexdigest()[:16]}.npz"
        key = hashlib.sha256(settings.encode())
        for line in _states(config, split):
            key.update(line.encode())
        places = tuple(folder / name for folder in (where.parent / FOLDER, *_cache_folders()))
        return cls(places, key.hexdigest(), split.clouds)

    def load(self) -> CloudLabels | None:
        """Return what is known, or None if there is no index that fits."""
        for place in self.places:
            try:
                with place.open("rb") as file, np.load(file, allow_pickle=False) as content:
                    if content["key"].item() == self.key:
                        return _unpack(dict(content), self.clouds)
            except Exception:
                continue  # whatever is wrong with it, it is made anew
        return None

    def store(self, labels: CloudLabels) -> None:
        """Keep what is known, in the first place that can be written to, if there is one."""
        content = {"key": np.array(self.key), **_pack(labels, self.clouds)}
        for place in self.places:
            try:
                _write(place, content)
            except OSError:
                continue
            return


def _write(place: Path, content: Mapping[str, Any]) -> None:
    """Write a file that has a name of its own until it is whole, so that processes which do the same do no harm.

    A folder that nobody may write to is left alone by the superuser too, who could.

    Raises:
        OSError: It cannot be written.
    """
    beside = place.parent.parent
    if not place.parent.exists() and beside.exists() and not beside.stat().st_mode & ANY_WRITE:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(beside))
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{place.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            np.savez(file, **content)
        os.replace(part, place)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _cache_folders() -> Iterator[Path]:
    """Yield the user's cache folder, if there is one."""
    home = os.environ.get("XDG_CACHE_HOME")
    try:
        yield (Path(home) if home else Path.home() / ".cache") / "limbeck"
    except RuntimeError:  # a user without a home
        return


def _settings(config: CloudDataConfig, split: CloudPartConfig) -> str:
    """Return the settings that the result depends on; classes are chosen later."""
    paths = [split.clouds, split.labels, split.calib, split.list]
    return json.dumps(
        {
            "version": VERSION,
            "format": config.format,
            "columns": config.point_columns,
            "features": config.point_features,
            "sweeps": config.sweeps,
            "label_frame": config.label_frame,
            "drop_invalid": config.drop_invalid,
            "paths": [None if path is None else [str(path), str(path.absolute())] for path in paths],
        }
    )


def _states(config: CloudDataConfig, split: CloudPartConfig) -> Iterator[str]:
    """Yield a line for each file: a file that changes, or may be read now, changes its line."""
    groups = [*label_files(config, split).items(), (split.clouds, cloud_files(config, split))]
    paths = [f"{folder}{os.sep}{name}" for folder, names in groups for name in names]
    for path in paths if split.list is None else [*paths, str(split.list)]:
        try:
            state = os.stat(path)
        except OSError:
            yield f"{path}\0\n"
        else:
            yield f"{path}\0{state.st_size}\0{state.st_mtime_ns}\0{state.st_mode}\0{state.st_uid}\n"


def _pack(labels: CloudLabels, clouds: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of all frames one after the other, and the texts as json."""
    records = labels.records
    sweeps = [sweep for record in records for sweep in record.sweeps]
    texts = {
        "ids": [record.id for record in records],
        "paths": [_relative(record.path, clouds) for record in records],
        "sweep_paths": [_relative(sweep.path, clouds) for sweep in sweeps],
        "names": list(labels.names),
        "broken": labels.broken,
        "left_out": labels.left_out,
    }
    empty = no_boxes()
    speeds = [record.velocities for record in records if record.velocities is not None]
    return {
        **{name: np.concatenate([empty[name], *(getattr(record, name) for record in records)]) for name in _PER_BOX},
        "counts": np.array([len(record.boxes) for record in records], np.int64),
        "velocities": np.concatenate([np.zeros((0, 2), np.float32), *speeds]),
        "has_velocities": np.array([record.velocities is not None for record in records], np.bool_),
        "rows": np.array([_NO_ROW if record.row is None else record.row for record in records], np.int64),
        "sweeps": np.array([len(record.sweeps) for record in records], np.int64),
        "to_frame": np.array([sweep.to_frame for sweep in sweeps], np.float64).reshape(-1, 4, 4),
        "seconds": np.array([sweep.seconds for sweep in sweeps], np.float64),
        "texts": np.frombuffer(json.dumps(texts).encode(), np.uint8),
    }


def _unpack(content: Mapping[str, NDArray[Any]], clouds: Path) -> CloudLabels:
    """Return the frames of an index; a broken one raises some error."""
    texts = json.loads(content["texts"].tobytes())
    paths, sweep_paths = ([clouds / name for name in texts[key]] for key in ("paths", "sweep_paths"))
    timed = [Sweep(*row) for row in zip(sweep_paths, content["to_frame"], content["seconds"].tolist(), strict=True)]
    boxes = _slices(content["counts"], *(content[name] for name in _PER_BOX))
    speeds = _slices(np.where(content["has_velocities"], content["counts"], 0), content["velocities"])
    columns = zip(
        texts["ids"],
        paths,
        content["rows"].tolist(),
        content["has_velocities"].tolist(),
        boxes,
        speeds,
        _slices(content["sweeps"], timed),
        strict=True,
    )
    records = [
        CloudRecord(
            id=id,
            path=path,
            **{name: content[name][of_boxes] for name in _PER_BOX},
            velocities=content["velocities"][of_speeds] if has_velocities else None,
            sweeps=tuple(timed[of_sweeps]),
            row=None if row == _NO_ROW else row,
        )
        for id, path, row, has_velocities, of_boxes, of_speeds, of_sweeps in columns
    ]
    names = {name: place for place, name in enumerate(texts["names"])}
    return CloudLabels(records, names, texts["broken"], texts["left_out"])


def _slices(counts: NDArray[np.int64], *arrays: Sized) -> list[slice]:
    """Return where each of some groups stands in arrays that hold one group after the other."""
    if any(len(array) != counts.sum() for array in arrays):
        raise ValueError("the arrays do not fit together")
    ends = np.cumsum(counts).tolist()
    return [slice(end - count, end) for end, count in zip(ends, counts.tolist(), strict=True)]


def _relative(path: Path, clouds: Path) -> str:
    return path.relative_to(clouds).as_posix()
