"""The files that a part of a data set of point clouds is made of, and their hashes."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from limbeck.data.cloud_config import CloudDataConfig, CloudPartConfig
from limbeck.data.config import PartName
from limbeck.data.frame_files import FRAME_SUFFIXES
from limbeck.data.image_folder import files_in
from limbeck.data.nuscenes_tables import CHANNEL, TABLES
from limbeck.files import sha256_of
from limbeck.point_files.reading import CLOUD_SUFFIXES

END_BYTES = 1 << 16
"""Bytes at the end of a frame's file that are hashed: npz and parquet keep there what their arrays look like, npz with
a checksum of each and parquet with its least and largest values."""


def label_files(config: CloudDataConfig, split: CloudPartConfig) -> dict[Path, list[str]]:
    """Return the files of labels and calibration of a part by their folders, as names relative to these."""
    folder = split.labels or split.clouds
    if config.format == "nuscenes":
        return {folder: [f"{name}.json" for name in TABLES if (folder / f"{name}.json").is_file()]}
    if config.format == "kitti":
        return {place: files_in(place, {".txt"}) for place in (folder, split.calib) if place is not None}
    return {folder: files_in(folder, {".json"})} if config.format == "boxes" else {}


def cloud_files(config: CloudDataConfig, split: CloudPartConfig) -> list[str]:
    """Return the files with points of a part, as names relative to the folder of the clouds."""
    if config.format == "nuscenes":
        kinds = ("samples", "sweeps") if config.sweeps > 1 else ("samples",)
        folders = [f"{kind}/{CHANNEL}" for kind in kinds]
        return [f"{folder}/{name}" for folder in folders for name in files_in(split.clouds / folder, CLOUD_SUFFIXES)]
    return files_in(split.clouds, FRAME_SUFFIXES if config.format == "frames" else CLOUD_SUFFIXES)


def hash_cloud_labels(config: CloudDataConfig) -> dict[str, str]:
    """Return the sha256 of all that decides what is labelled in the clouds, by path.

    The hash of a folder is that of the names and hashes of its labels, and of the names and sizes of its clouds, which
    may be many gigabytes; of the files of the format frames also that of their ends.
    """
    lines: defaultdict[Path, dict[str, None]] = defaultdict(dict)
    for split in config.parts.values():
        for folder, names in label_files(config, split).items():
            lines[folder] |= dict.fromkeys(f"{name}\0{sha256_of(folder / name)}\n" for name in names)
        lines[split.clouds] |= dict.fromkeys(_measured(config, split))
        if split.list is not None:
            lines[split.list] |= {f"{sha256_of(split.list)}\n": None}
    return {str(path): hashlib.sha256("".join(found).encode()).hexdigest() for path, found in lines.items()}


def cloud_label_paths(config: CloudDataConfig, part: PartName) -> list[Path]:
    """Return the files and folders that `hash_cloud_labels` looks at for a part; none if the part is not there."""
    split = config.parts.get(part)
    if split is None:
        return []
    paths = (split.labels, split.calib, split.list, split.clouds)
    return list(dict.fromkeys(path for path in paths if path is not None))


def _measured(config: CloudDataConfig, split: CloudPartConfig) -> Iterator[str]:
    for name in cloud_files(config, split):
        path = split.clouds / name
        end = hashlib.sha256(_end(path)).hexdigest() if config.format == "frames" else ""
        yield f"{name}\0{path.stat().st_size}\0{end}\n"


def _end(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - END_BYTES))
        return file.read()
