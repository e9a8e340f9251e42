"""The points are read by the settings of the run, as far as they are still there."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import yaml

from limbeck.errors import DataError, RunFolderError
from limbeck.report.detection3d.clouds import Clouds
from limbeck.report.detection3d.collect import collect


def test_points_are_those_of_the_cloud_at_a_position(make_run: Any) -> None:
    folder = make_run()
    clouds = Clouds(collect(folder))
    for position in (0, 3):
        expected = np.load(folder / f"data/val/clouds/{position:05d}.npy")
        assert np.array_equal(clouds.points(position), expected)


def test_a_broken_cloud_is_refused_and_the_others_are_read(make_run: Any) -> None:
    folder = make_run()
    (folder / "data/val/clouds/00002.npy").write_bytes(b"no cloud")
    clouds = Clouds(collect(folder))
    assert len(clouds.points(3))
    with pytest.raises(DataError, match="00002"):
        clouds.points(2)


def test_data_that_was_moved_away_is_refused_cloud_by_cloud(make_run: Any) -> None:
    folder = make_run()
    shutil.rmtree(folder / "data")
    clouds = Clouds(collect(folder))
    with pytest.raises(DataError, match="00003: is gone"):
        clouds.points(3)


@pytest.mark.parametrize("labels", [True, False])
def test_relative_paths_count_from_where_the_run_was_started(make_run: Any, labels: bool) -> None:
    folder = make_run()
    run = collect(folder)
    settings = yaml.safe_load(run.config)
    settings["data"]["val"] = {"clouds": "data/val/clouds", "labels": "data/val/labels"}
    if not labels:
        for path in (folder / "data/val/labels").iterdir():
            path.rename(folder / "data/val/clouds" / path.name)
        del settings["data"]["val"]["labels"]
    clouds = Clouds(replace(run, config=yaml.safe_dump(settings)))
    assert np.array_equal(clouds.points(1), np.load(folder / "data/val/clouds/00001.npy"))


@pytest.mark.parametrize("config", ["name: x", "data: {format: frames}", "data: ["])
def test_settings_that_do_not_say_where_the_data_is_are_refused(make_run: Any, config: str) -> None:
    run = replace(collect(make_run()), config=config)
    with pytest.raises(RunFolderError, match=r"config\.yaml of the run lidar-itkd cannot be used"):
        Clouds(run)
