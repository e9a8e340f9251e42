"""Folders of masks and X maps: what is sound is read, and everything else is named, all at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from limbeck.data.mask_readers import hash_masks, mask_paths, read_mask_parts
from limbeck.data.masks import read_labels


def test_frames_are_found_by_their_names(masks: Any) -> None:
    parts = read_mask_parts(masks.config, verify_pixels=True)
    assert list(parts) == ["train", "val"]
    train = parts["train"]
    assert train.classes == ("ground", "wagon")
    assert train.skipped == ()
    assert [record.id for record in train.records] == ["a.jpg", "b.jpg", "c.jpg"]
    first = train.records[0]
    assert first.path == masks.file("train", "images", "a.jpg")
    assert first.mask == masks.file("train", "masks", "a.png")
    assert first.x == {"depth": masks.file("train", "depth", "a.png")}
    assert first.size_wh == (80, 60)
    labels = read_labels(first, train.code)
    assert labels.dtype == np.uint8
    assert (labels[:5] == 255).all()
    assert (labels[20:40, 30:60] == 1).all()
    assert (labels == 1).sum() == 20 * 30
    assert (labels == 0).sum() == 55 * 80 - 20 * 30


def test_all_problems_of_all_parts_are_told_at_once_and_skip_leaves_the_frames_out(masks: Any) -> None:
    masks.file("train", "masks", "a.png").unlink()
    masks.file("train", "depth", "a.png").unlink()
    masks.write("train", "depth", np.ones((30, 40), np.uint16), "b.png")
    masks.file("val", "depth", "a.png").write_bytes(b"no picture")
    image = masks.file("train", "images", "b.jpg")
    expected = (
        f"{masks.file('train', 'images', 'a.jpg')}: there is no mask for it in {masks.root / 'train/masks'}",
        f"{masks.file('train', 'images', 'a.jpg')}: there is no depth for it in {masks.root / 'train/depth'}",
        f"{masks.file('train', 'depth', 'b.png')}: has 40 x 30 pixels, but its image {image} has 80 x 60 pixels",
        f"{masks.file('val', 'depth', 'a.png')}: not an image, or in an unknown format",
    )
    assert masks.problems() == expected
    masks.settings["on_broken"] = "skip"
    parts = read_mask_parts(masks.config)
    assert [record.id for record in parts["train"].records] == ["c.jpg"]
    assert parts["train"].skipped == expected[:3]
    assert parts["val"].skipped == expected[3:]


def test_a_part_without_a_sound_frame_is_an_error_even_with_skip(masks: Any) -> None:
    masks.settings["on_broken"] = "skip"
    for name in "abc":
        masks.file("val", "masks", f"{name}.png").unlink()
    assert masks.problems() == (f"{masks.root / 'val/images'}: the data set is empty; it has no usable image",)


def test_a_map_as_the_sensor_has_it_does_not_fit_an_image_that_its_camera_turned(masks: Any) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path = masks.file("train", "images", "b.jpg")
    Image.new("RGB", (80, 60)).save(path, exif=exif)
    turned = f"its image {path} has 60 x 80 pixels after its EXIF rotation"
    assert masks.problems() == tuple(
        f"{masks.file('train', kind)}: has 80 x 60 pixels, but {turned}" for kind in ("masks", "depth")
    )


@pytest.mark.parametrize("kind", ["images", "masks", "depth"])
def test_truncated_files_are_found_where_pixels_are_verified(masks: Any, kind: str) -> None:
    path = masks.file("train", kind, "b.jpg" if kind == "images" else "b.png")
    noise = np.random.default_rng(0).integers(0, 2, (60, 80))
    if kind == "masks":
        masks.write("train", kind, noise.astype(np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    read_mask_parts(masks.config)
    found = masks.problems(verify_pixels=True)
    assert len(found) == 1
    assert found[0].startswith(f"{path}: ")
    assert "truncated" in found[0]


def test_a_map_without_a_valid_pixel(masks: Any) -> None:
    path = masks.write("train", "depth", np.zeros((60, 80), np.uint16))
    read_mask_parts(masks.config)
    image = masks.file("train", "images", "b.jpg")
    assert masks.problems(verify_pixels=True) == (f"{path}: depth of {image} has no valid pixel",)
    masks.settings["on_broken"] = "skip"
    assert len(read_mask_parts(masks.config, verify_pixels=True)["train"].records) == 2


def test_a_training_part_in_which_nothing_is_labelled(masks: Any) -> None:
    for part in ("train", "val"):
        for name in "abc":
            masks.write(part, "masks", np.full((60, 80), 255, np.uint8), f"{name}.png")
    what = "the data set is empty; none of its 3 masks has a pixel that counts"
    assert masks.problems(verify_pixels=True) == (f"{masks.root / 'train/masks'}: {what}",)


def test_missing_folders_are_named_with_what_is_nearly_called_so(masks: Any) -> None:
    masks.settings["train"] |= {"masks": masks.root / "train" / "maskss", "x": {"depth": masks.root / "deep"}}
    masks.settings["val"]["masks"] = masks.file("val", "masks")
    assert masks.problems() == (
        f"{masks.root / 'train/maskss'}: the folder of masks does not exist (did you mean 'masks'?)",
        f"{masks.root / 'deep'}: the folder of x.depth does not exist",
        f"{masks.file('val', 'masks')}: a file, but 'masks' is a folder",
    )


def test_the_hash_follows_masks_and_maps(masks: Any) -> None:
    before = hash_masks(masks.config)
    assert set(before) == {str(masks.root / part / kind) for part in ("train", "val") for kind in ("masks", "depth")}
    assert set(map(str, mask_paths(masks.config, "train"))) == {p for p in before if "train" in Path(p).parts}
    assert mask_paths(masks.config, "test") == []
    masks.write("train", "masks", masks.levels({3: 1}))
    masks.write("val", "depth", np.ones((60, 80), np.uint16))
    after = hash_masks(masks.config)
    changed = {path for path in before if before[path] != after[path]}
    assert changed == {str(masks.root / "train/masks"), str(masks.root / "val/depth")}
