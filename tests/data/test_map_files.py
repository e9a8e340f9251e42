"""Masks and X maps are told from other files by what they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


@pytest.mark.parametrize(
    ("pixels", "name", "sentence"),
    [
        (np.zeros((60, 80, 3), np.uint8), "b.png", "has 3 channels, but a map of depth has 1 channel"),
        (np.zeros((3, 60, 80), np.float32), "b.npy", "has 80 channels, but a map of depth has 1 channel"),
        (np.zeros((60, 80), np.bool_), "b.png", "has two levels only, which is no map of depth"),
        (np.zeros((60, 80), np.bool_), "b.npy", "holds bool, which are no numbers of a map"),
        (np.zeros(4800, np.float32), "b.npy", "has the shape (4800,); a map has height and width, or height, width"),
    ],
)
def test_a_file_that_is_no_map_of_depth(masks: Any, pixels: np.ndarray, name: str, sentence: str) -> None:
    masks.file("train", "depth").unlink()
    path = masks.write("train", "depth", pixels, name)
    assert masks.problems()[0].startswith(f"{path}: {sentence}")


def test_a_truncated_array_is_found_at_once(masks: Any) -> None:
    masks.file("train", "depth").unlink()
    path = masks.write("train", "depth", np.ones((60, 80), np.float32), "b.npy")
    path.write_bytes(path.read_bytes()[:-100])
    assert masks.problems()[0].startswith(f"{path}: ")
