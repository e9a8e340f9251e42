import numpy as np
import pytest

from limbeck.config import load_config
from limbeck.palette import NO_CLASS, class_colours
from limbeck.report.mask_sheet import draw_mask_sheet
from limbeck.report.sheet_layout import WIDTH
from limbeck.tasks.load import load_task


@pytest.fixture
def task(make_mask_run, tmp_path):
    return load_task(load_config(make_mask_run(tmp_path / "data")))


def has(sheet, colour):
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return bool((np.asarray(sheet) == wanted).all(axis=-1).any())


def test_images_classes_and_maps_of_every_part_are_shown(task):
    train, both = draw_mask_sheet({"train": task.train}), draw_mask_sheet({"train": task.train, "val": task.val})
    assert train.width == both.width == WIDTH
    assert both.height > train.height
    for colour in (*class_colours(2), NO_CLASS):
        assert has(train, colour)  # in the legend, and for what was not measured
    depth = np.asarray(train)[:, 2 * 395 : 3 * 395]  # the third column
    assert len(np.unique(depth.reshape(-1, 3), axis=0)) > 2


def test_nothing_to_show_is_no_error():
    assert draw_mask_sheet({}).width == WIDTH
