"""The settings say which level stands for which class."""

from __future__ import annotations

from typing import Any

import numpy as np

from limbeck.data.mask_readers import read_mask_parts
from limbeck.data.masks import read_labels


def test_masks_of_16_bits_and_a_map_of_classes(masks: Any) -> None:
    levels = np.zeros((60, 80), np.uint16)
    levels[1], levels[2], levels[3], levels[4] = 300, 40000, 65535, 9
    for name in "abc":
        for part in ("train", "val"):
            masks.write(part, "masks", levels, f"{name}.png")
    masks.settings |= {
        "classes": ("wagon", "ground"),
        "class_map": {"ground": [0, 300], "wagon": [40000], "sky": [9]},
        "ignore": [65535],
    }
    data = read_mask_parts(masks.config, verify_pixels=True)["train"]
    assert data.classes == ("wagon", "ground")
    assert read_labels(data.records[0], data.code)[:5, 0].tolist() == [1, 1, 0, 255, 255]
    assert data.skipped == ("data.classes: pixels of 'sky' are ignored, as they are not among the classes to learn",)
    masks.settings["classes"] = None
    data = read_mask_parts(masks.config, verify_pixels=True)["train"]
    assert data.classes == ("ground", "wagon", "sky")
    assert data.skipped == ()


def test_names_of_levels_are_for_formats_that_have_them(masks: Any) -> None:
    masks.settings |= {"classes": None, "class_map": {"road": ["flat"]}}
    assert masks.problems() == ("data.class_map.road: levels have no names in this format, so there is no 'flat'",)
