"""Files that belong together are found by their names, and everything without a partner is named."""

from __future__ import annotations

from typing import Any

import numpy as np

from limbeck.data.mask_readers import read_mask_parts


def test_files_may_lie_in_folders_of_the_folder_and_a_list_chooses(masks: Any) -> None:
    for kind, name in (("images", "a.jpg"), ("masks", "a.png"), ("depth", "a.png")):
        target = masks.file("train", kind, f"north/{name}")
        target.parent.mkdir()
        masks.file("train", kind, name).rename(target)
    assert [record.id for record in read_mask_parts(masks.config)["train"].records] == ["b.jpg", "c.jpg", "north/a.jpg"]
    (masks.root / "train.txt").write_text("c.jpg\nnorth/a\n")
    masks.settings["train"]["list"] = masks.root / "train.txt"
    assert [record.id for record in read_mask_parts(masks.config)["train"].records] == ["c.jpg", "north/a.jpg"]
    (masks.root / "train.txt").write_text("c\nd\n")
    assert masks.problems() == (f"{masks.root / 'train.txt'}: line 2: {masks.root / 'train/images'} has no image 'd'",)


def test_a_list_may_leave_masks_unused_but_without_one_they_need_an_image(masks: Any) -> None:
    masks.write("train", "masks", masks.levels(), "d.png")
    masks.write("train", "depth", np.ones((60, 80), np.uint16), "d.png")
    assert masks.problems() == (
        f"{masks.file('train', 'masks', 'd.png')}: there is no image of this frame in {masks.root / 'train/images'}",
    )
    (masks.root / "train.txt").write_text("a\nb\n")
    masks.settings["train"]["list"] = masks.root / "train.txt"
    assert len(read_mask_parts(masks.config)["train"].records) == 2


def test_files_that_differ_in_their_endings_only(masks: Any) -> None:
    masks.write("train", "depth", np.ones((60, 80), np.float32), "b.npy")
    masks.write("train", "images", np.zeros((60, 80, 3), np.uint8), "a.png")
    found = masks.problems()
    assert f"{masks.root / 'train/images'}: 'a.jpg' and 'a.png' belong to one frame" in found[0]
    assert f"{masks.root / 'train/depth'}: 'b.npy' and 'b.png' belong to one frame" in found[1]


def test_a_folder_without_images(masks: Any) -> None:
    masks.settings["val"]["images"] = masks.root / "empty"
    (masks.root / "empty").mkdir()
    assert masks.problems()[0].startswith(
        f"{masks.root / 'empty'}: the folder has no image in it that is called like 'a.png'; looked for .bmp"
    )
