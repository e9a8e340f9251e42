"""The points of the validation clouds of a run, read by the settings that the run was made with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError

from limbeck.data.cloud_config import CloudDataConfig, CloudPartConfig
from limbeck.data.cloud_points import read_points
from limbeck.data.cloud_readers import read_clouds
from limbeck.data.cloud_records import CloudData
from limbeck.errors import DataError, RunFolderError, first_detail
from limbeck.report.detection3d.collect import Detection3DRun


class Clouds:
    """The validation clouds of a run, as far as they are still there.

    Args:
        run: The run.

    Raises:
        RunFolderError: The settings of the run do not say where the data is.
    """

    def __init__(self, run: Detection3DRun) -> None:
        self._ids = [cloud.id for cloud in run.truth.frames]
        self._data = _read(_settings(run))
        self._records = {} if self._data is None else {record.id: record for record in self._data.records}

    def points(self, position: int) -> NDArray[np.float32]:
        """Return the points (P,F) of the cloud at a position.

        Raises:
            DataError: It is gone.
        """
        record = self._records.get(str(self._ids[position]))
        if record is None or self._data is None:
            raise DataError("A cloud cannot be read:", [f"{self._ids[position]}: is gone"])
        return read_points(record, self._data)


def _settings(run: Detection3DRun) -> CloudDataConfig:
    """Return where the data is and how it is read: with the classes of the run, and without what is broken by now."""
    try:
        settings: Any = yaml.safe_load(run.config)
        config = CloudDataConfig.model_validate(settings["data"])
    except ValidationError as error:
        reason = first_detail(error.errors())
    except (yaml.YAMLError, TypeError, KeyError):
        reason = "it has no section 'data'"
    else:
        val = _found_again(config.val, run.facts.data.val_images_dir)
        return config.model_copy(update={"val": val, "classes": tuple(run.truth.classes), "on_broken": "skip"})
    raise RunFolderError(f"The config.yaml of the run {run.facts.name} cannot be used: {reason}.")


def _found_again(split: CloudPartConfig, clouds: Path) -> CloudPartConfig:
    """Return a part with its relative paths counted from where the run was started.

    Args:
        split: The part as the run file has it.
        clouds: Where its clouds were then, as an absolute path.
    """
    depth = len(split.clouds.parts)
    if split.clouds.is_absolute() or clouds.parts[-depth:] != split.clouds.parts:
        return split
    start = Path(*clouds.parts[:-depth])
    given = {name: getattr(split, name) for name in ("clouds", "labels", "calib", "list")}
    return split.model_copy(update={name: start / path for name, path in given.items() if path is not None})


def _read(config: CloudDataConfig) -> CloudData | None:
    """Return the validation part; None where nothing of it is left."""
    try:
        return read_clouds(config, config.val)
    except DataError:
        return None
