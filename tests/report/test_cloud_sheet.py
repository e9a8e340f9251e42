import numpy as np
import pytest

from limbeck.data.cloud_config import CloudDataConfig
from limbeck.data.cloud_readers import read_cloud_parts
from limbeck.data.lidar.config import LidarSceneConfig
from limbeck.data.lidar.writing import write_lidar_scenes
from limbeck.palette import NO_CLASS, class_colours
from limbeck.report.cloud_sheet import TILES, draw_cloud_sheet
from limbeck.report.sheet_layout import WIDTH

SCENES = LidarSceneConfig(rings=4, azimuth_step=3.0, max_range=30.0)


@pytest.fixture
def config(tmp_path):
    settings = write_lidar_scenes(tmp_path / "lidar", {"train": TILES + 2, "val": 2}, 0, SCENES)
    return CloudDataConfig.model_validate(settings)


def count(sheet, colour):
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return int((np.asarray(sheet) == wanted).all(axis=-1).sum())


def test_clouds_of_every_part_are_shown_with_their_classes(config):
    parts = read_cloud_parts(config)
    train, both = draw_cloud_sheet({"train": parts["train"]}, config), draw_cloud_sheet(parts, config)
    assert train.width == both.width == WIDTH
    assert both.height > train.height > 3 * 520
    square = 17 * 17  # in the legend
    for colour in class_colours(3):
        assert count(train, colour) > square + 100


def test_what_the_settings_ignore_is_grey(config):
    parts = read_cloud_parts(config)
    all_ignored = draw_cloud_sheet(parts, config.model_copy(update={"max_range": 0.1}))
    assert count(all_ignored, class_colours(3)[0]) == 17 * 17
    assert count(all_ignored, NO_CLASS) > count(draw_cloud_sheet(parts, config), NO_CLASS) + 1000


def test_nothing_to_show_is_no_error(config):
    assert draw_cloud_sheet({}, config).width == WIDTH
