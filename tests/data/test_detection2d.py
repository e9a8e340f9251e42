"""A view is a pure function of (seed, view, index)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image

from limbeck.data.coco import read_coco
from limbeck.data.config import AugmentConfig
from limbeck.data.detection2d import DetectionViews, Sample, collate
from limbeck.errors import DataError
from limbeck.imaging import fit_image, read_image

CANVAS = (64, 96)


def views(coco: Any, augment: AugmentConfig | None = None, seed: int = 0) -> DetectionViews:
    return DetectionViews(read_coco(coco.split).records, CANVAS, "letterbox", augment, seed)


def same(a: Sample, b: Sample) -> bool:
    return (
        torch.equal(a.image, b.image)
        and torch.equal(a.boxes.boxes_xyxy, b.boxes.boxes_xyxy)
        and torch.equal(a.boxes.labels, b.boxes.labels)
    )


def test_evaluation_is_fit_image_in_every_view(coco: Any) -> None:
    dataset = views(coco)
    sample = dataset[0, 0]
    pixels, fit = fit_image(read_image(coco.image(1)), CANVAS, "letterbox")
    assert torch.equal(sample.image, torch.from_numpy(pixels).permute(2, 0, 1))
    assert sample.frame.fit == fit
    assert sample.frame.id == 1
    assert sample.frame.path == coco.image(1)
    assert sample.boxes.boxes_xyxy.tolist() == [[8, 8, 24, 32], [0, 0, 64, 48]]
    assert sample.boxes.labels.tolist() == [1, 0]
    assert same(sample, dataset[5, 0])


def test_types_and_shapes(coco: Any) -> None:
    for augment in (None, AugmentConfig()):
        sample = views(coco, augment)[0, 2]
        assert sample.image.shape == (3, CANVAS[1], CANVAS[0])
        assert sample.image.dtype == torch.uint8
        assert sample.boxes.boxes_xyxy.shape == (0, 4)
        assert sample.boxes.boxes_xyxy.dtype == torch.float32
        assert sample.boxes.labels.dtype == torch.int64
        assert sample.boxes.ignore.dtype == torch.bool


def test_a_view_repeats_in_any_order_and_does_not_touch_the_global_generators(coco: Any) -> None:
    keys = [(view, index) for view in range(3) for index in range(4)]
    forwards = [views(coco, AugmentConfig(), seed=3)[key] for key in keys]
    state = torch.random.get_rng_state()
    dataset = views(coco, AugmentConfig(), seed=3)
    backwards = [dataset[key] for key in reversed(keys)][::-1]
    assert all(same(a, b) for a, b in zip(forwards, backwards, strict=True))
    assert torch.equal(state, torch.random.get_rng_state())


def test_seed_view_and_index_each_matter(coco: Any) -> None:
    dataset = views(coco, AugmentConfig(scale_crop=1))
    first = dataset[0, 0]
    assert not same(first, dataset[1, 0])
    assert not same(first, views(coco, AugmentConfig(scale_crop=1), seed=1)[0, 0])
    coco.image(2).write_bytes(coco.image(1).read_bytes())
    assert not torch.equal(first.image, dataset[0, 1].image)


def test_boxes_of_augmented_views_lie_on_the_canvas(coco: Any) -> None:
    dataset = views(coco, AugmentConfig(scale_crop=1, scale=(0.5, 3)))
    limit = torch.tensor([*CANVAS, *CANVAS])
    for view in range(30):
        boxes = dataset[view, 0].boxes.boxes_xyxy
        assert (boxes >= 0).all()
        assert (boxes <= limit).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_ignore_regions_move_along(coco: Any) -> None:
    coco.annotations[0]["iscrowd"] = 1
    coco.write()
    sample = views(coco, AugmentConfig(flip=1, scale_crop=0))[0, 0]
    assert sample.boxes.ignore.tolist() == [True, False]
    assert sample.boxes.boxes_xyxy[0].tolist() == [40, 8, 56, 32]


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "I;16"])
def test_other_kinds_of_images_can_be_trained_on(coco: Any, mode: str) -> None:
    name = f"1.{'tif' if mode == 'CMYK' else 'png'}"
    Image.new(mode, (80, 60)).save(coco.root / "images" / name)
    coco.content["images"][0]["file_name"] = name
    coco.write()
    for augment in (None, AugmentConfig()):
        assert views(coco, augment)[0, 0].image.shape == (3, CANVAS[1], CANVAS[0])


@pytest.mark.parametrize("augment", [None, AugmentConfig()], ids=["plain", "augmented"])
def test_an_image_that_changed_is_refused(coco: Any, augment: AugmentConfig | None) -> None:
    dataset = views(coco, augment)
    Image.new("RGB", (90, 60)).save(coco.image(1))
    with pytest.raises(DataError, match="changed after it was checked"):
        dataset[0, 0]


def test_collate_stacks_the_images_and_lists_the_rest(coco: Any) -> None:
    dataset = views(coco)
    batch = collate([dataset[0, index] for index in (0, 2)])
    assert batch.images.shape == (2, 3, CANVAS[1], CANVAS[0])
    assert [len(target) for target in batch.targets] == [2, 0]
    assert [frame.id for frame in batch.frames] == [1, 3]
