"""Everything that can be wrong with data with masks is in one report."""

from __future__ import annotations

import json
import shutil
from typing import Any

import numpy as np

from limbeck.data.mask_audit import audit_masks


def test_sound_data(masks: Any) -> None:
    found = audit_masks(masks.config)
    assert found.problems == found.warnings == ()
    assert list(found.data) == list(found.surveys) == list(found.x_surveys) == ["train", "val"]
    assert found.images.compared == {"train": 3, "val": 3}
    assert 4 < found.x_surveys["train"][0].median < 6


def test_everything_at_once(masks: Any) -> None:
    masks.settings["classes"] = ("ground", "wagon", "sky")
    masks.settings["x"]["depth"]["unit"] = "m"
    masks.file("train", "masks", "b.png").unlink()
    shutil.copy(masks.file("train", "images", "a.jpg"), masks.file("val", "images", "c.jpg"))
    path = masks.write("val", "masks", np.full((60, 80), 9, np.uint8), "a.png")
    found = audit_masks(masks.config)
    image = masks.file("train", "images", "b.jpg")
    assert f"{image}: there is no mask for it in {masks.root / 'train/masks'}" in found.problems
    assert any(problem.startswith(f"{path}: has the level 9, which") for problem in found.problems)
    assert any("the same pixels as the training image" in problem for problem in found.problems)
    assert "no training mask has a pixel of 'sky': it cannot be learnt" in found.warnings
    assert any("training maps 'depth': the median depth is" in warning for warning in found.warnings)
    assert [len(data.records) for data in found.data.values()] == [2, 2]
    content = json.loads(json.dumps(found.to_json()))
    assert set(content) == {"problems", "warnings", "parts", "x", "compared", "identical", "near_duplicates"}
    assert content["parts"]["train"]["classes"][1]["name"] == "wagon"
    assert content["x"]["train"][0]["unit"] == "m"
