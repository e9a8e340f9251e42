"""The checks of the cloud files that come after the labels, and the points counted in every box."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from limbeck.data.checks import TITLE
from limbeck.data.cloud_config import CloudDataConfig
from limbeck.data.cloud_labels import CloudLabels
from limbeck.data.cloud_points import count_points, read_scan
from limbeck.data.cloud_records import UNKNOWN_COUNT, CloudRecord
from limbeck.data.frame_files import read_frame_header
from limbeck.errors import DataError
from limbeck.point_files.point_format import TIME
from limbeck.point_files.reading import is_cloud, missing_features, read_header

THREADS = min(8, os.cpu_count() or 1)
"""Files that are read at once: reading waits for the disk, and numpy counts beside other threads."""


def checked(labels: CloudLabels, config: CloudDataConfig, verify: bool) -> CloudLabels:
    """Return the labels of the frames whose files are sound, with the number of points in every box.

    Args:
        labels: What the label files say.
        config: What the points of the files consist of.
        verify: Read every point of every file; else a file is read beyond its header only where points are to be
            counted.
    """
    sweeps = list(dict.fromkeys(sweep.path for record in labels.records for sweep in record.sweeps))
    with ThreadPoolExecutor(THREADS) as pool:
        found_in_sweeps = pool.map(partial(_sweep_problems, config, verify), sweeps)
        of_sweep = dict(zip(sweeps, found_in_sweeps, strict=True))
        found = list(pool.map(partial(_checked_record, config, verify, of_sweep), labels.records))
    broken = dict.fromkeys(problem for _, problems in found for problem in problems)
    records = [record for record, problems in found if not problems]
    return CloudLabels(records, labels.names, [*labels.broken, *broken], labels.left_out)


def _sweep_problems(config: CloudDataConfig, verify: bool, path: Path) -> Sequence[str]:
    try:
        _check_header(config, path)
        if verify:
            read_scan(path, config.point_columns, config.point_features, config.drop_invalid)
    except DataError as error:
        return error.problems
    return ()


def _checked_record(
    config: CloudDataConfig, verify: bool, of_sweep: Mapping[Path, Sequence[str]], record: CloudRecord
) -> tuple[CloudRecord, Sequence[str]]:
    """Return a frame with its points counted, and what is wrong with its files."""
    if record.row is not None:
        return record, ()  # the reader of its file has done it
    problems = [problem for sweep in record.sweeps for problem in of_sweep[sweep.path]]
    unknown = record.num_points == UNKNOWN_COUNT
    try:
        _check_header(config, record.path)
        if verify or unknown.any():
            points = read_scan(record.path, config.point_columns, config.point_features, config.drop_invalid)
            counted = count_points(points, record.boxes)
            record = replace(record, num_points=np.where(unknown, counted, record.num_points))
    except DataError as error:
        problems += error.problems
    return record, problems


def _check_header(config: CloudDataConfig, path: Path) -> None:
    """Check what is seen without reading the points.

    Raises:
        DataError: The file is broken, or lacks a value that is asked for.
    """
    read = read_header if is_cloud(path) else read_frame_header
    columns = read(path, config.point_columns).columns
    made = {TIME} if config.format == "nuscenes" else set()
    wanted = [name for name in config.point_features if name not in made]
    if problems := missing_features(path, columns, wanted):
        raise DataError(TITLE, problems)
