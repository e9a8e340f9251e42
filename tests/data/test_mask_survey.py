"""Pixels are counted by class and image, and by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data.mask_readers import read_mask_parts
from limbeck.data.mask_survey import ClassPixels, mask_concerns, survey_masks
from limbeck.data.masks import count_pixels


@pytest.fixture
def masks(masks: Any) -> Any:
    """Three classes, of which the third never occurs; image a is half ignored, image c shows ground only."""
    masks.settings["classes"] = ("ground", "wagon", "sky")
    half = np.zeros((60, 80), np.uint8)
    half[:30], half[59] = 255, 1
    masks.write("train", "masks", half, "a.png")
    masks.write("train", "masks", np.zeros((60, 80), np.uint8), "c.png")
    return masks


def test_counts_by_class_and_image(masks: Any) -> None:
    data = read_mask_parts(masks.config)["train"]
    counts = count_pixels(data.records, data.code, 3)
    assert counts.tolist() == [[29 * 80, 80, 0, 30 * 80], [3800, 600, 0, 400], [4800, 0, 0, 0]]
    found = survey_masks(data)
    assert found.images == 3
    assert found.classes == (
        ClassPixels("ground", 2320 + 3800 + 4800, 3),
        ClassPixels("wagon", 680, 2),
        ClassPixels("sky", 0, 0),
    )
    assert (found.pixels, found.ignored) == (11600, 2800)
    assert found.ignored_share == pytest.approx(2800 / 14400)
    assert found.missing == ("sky",)
    assert found.unlabelled == ()


def test_a_sentence_for_everything_odd(masks: Any) -> None:
    sound = survey_masks(read_mask_parts(masks.config)["train"])
    assert mask_concerns({"train": sound, "val": sound}) == [
        "no training mask has a pixel of 'sky': it cannot be learnt",
        "no validation mask has a pixel of 'sky': it cannot be measured",
    ]
    odd = replace(sound, classes=(), unlabelled=(Path("a.png"),), ignored=30000)
    assert mask_concerns({"train": odd}) == [
        "1 training mask, a.png, has no pixel that counts",
        "72 % of the pixels of the training masks are ignored",
    ]
    odd = replace(sound, classes=(), unlabelled=(Path("a.png"), Path("b.png")))
    assert mask_concerns({"val": odd}) == ["2 validation masks, the first a.png, have no pixel that counts"]


def test_a_mask_without_a_pixel_that_counts(masks: Any) -> None:
    path = masks.write("train", "masks", np.full((60, 80), 255, np.uint8))
    assert survey_masks(read_mask_parts(masks.config)["train"]).unlabelled == (path,)
