"""Every pixel of a mask has a label, or the level that has none is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from limbeck.data.mask_readers import read_mask_parts
from limbeck.data.masks import read_labels


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        (np.zeros((60, 80, 3), np.uint8), "has 3 channels, but a mask has one level for every pixel"),
        (np.zeros((60, 80), np.float32), "holds float numbers, but a mask has whole numbers of 8 or 16 bits"),
    ],
)
def test_a_file_that_is_no_mask(masks: Any, pixels: np.ndarray, sentence: str) -> None:
    masks.file("train", "masks").unlink()
    path = masks.write("train", "masks", pixels, "b.tif")
    assert masks.problems() == (f"{path}: {sentence}",)


def test_a_palette_is_no_depth_but_a_mask_by_its_indices(masks: Any) -> None:
    palette = Image.fromarray(masks.levels({10: 1})).convert("P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    palette.save(masks.file("train", "depth"))
    assert "is a palette image, whose numbers are those of colours and not of depth" in masks.problems()[0]
    masks.write("train", "depth", np.ones((60, 80), np.uint16))
    palette.putdata(masks.levels({10: 1}).ravel().tolist())
    palette.save(masks.file("train", "masks"))
    data = read_mask_parts(masks.config, verify_pixels=True)["train"]
    assert np.flatnonzero(read_labels(data.records[1], data.code)[:, 0] == 1).tolist() == [10]


def test_levels_that_stand_for_nothing_are_named_with_their_file(masks: Any) -> None:
    one = masks.write("train", "masks", masks.levels({3: 7}), "a.png")
    many = masks.write("train", "masks", masks.levels({n: 10 + n for n in range(7)}), "b.png")
    assert masks.problems(verify_pixels=True) == (
        f"{one}: has the level 7, which stands for no class; name it in data.class_map or data.ignore",
        f"{many}: has the levels 10, 11, 12, 13, 14, ..., which stand for no class; name it in data.class_map or "
        "data.ignore",
    )
    masks.settings["ignore"] = "others"
    data = read_mask_parts(masks.config, verify_pixels=True)["train"]
    assert set(np.unique(read_labels(data.records[0], data.code))) == {0, 255}


def test_levels_beyond_16_bits_are_refused(masks: Any) -> None:
    masks.file("train", "masks").unlink()
    path = masks.write("train", "masks", np.full((60, 80), 70000, np.int32), "b.tif")
    assert masks.problems(verify_pixels=True) == (f"{path}: has levels from 70000 to 70000; levels have 16 bits",)
