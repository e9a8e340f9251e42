"""A view is a pure function of (seed, view, index)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.data.coco import read_coco
from limbeck.data.config import AugmentConfig
from limbeck.data.detection2d import DetectionViews, Sample, collate
from limbeck.data.views import Draw
from limbeck.errors import DataError
from limbeck.imaging import fit_image, read_image

CANVAS = (64, 96)


def views(coco: Any, augment: AugmentConfig | None = None, seed: int = 0, **options: Any) -> DetectionViews:
    return DetectionViews(read_coco(coco.split).records, CANVAS, "letterbox", augment, seed, **options)


def same(a: Sample, b: Sample) -> bool:
    return (
        torch.equal(a.image, b.image)
        and torch.equal(a.boxes.boxes_xyxy, b.boxes.boxes_xyxy)
        and torch.equal(a.boxes.labels, b.boxes.labels)
    )


def test_evaluation_is_fit_image_in_every_view(coco: Any) -> None:
    dataset = views(coco)
    sample = dataset[Draw(0, 0)]
    pixels, fit = fit_image(read_image(coco.image(1)), CANVAS, "letterbox")
    assert torch.equal(sample.image, torch.from_numpy(pixels).permute(2, 0, 1))
    assert sample.frame.fit == fit
    assert sample.frame.id == 1
    assert sample.frame.path == coco.image(1)
    assert sample.boxes.boxes_xyxy.tolist() == [[8, 8, 24, 32], [0, 0, 64, 48]]
    assert sample.boxes.labels.tolist() == [1, 0]
    assert same(sample, dataset[Draw(5, 0, repeat=2)])


def test_types_and_shapes(coco: Any) -> None:
    for augment in (None, AugmentConfig()):
        sample = views(coco, augment)[Draw(0, 2)]
        assert sample.image.shape == (3, CANVAS[1], CANVAS[0])
        assert sample.image.dtype == torch.uint8
        assert sample.boxes.boxes_xyxy.shape == (0, 4)
        assert sample.boxes.boxes_xyxy.dtype == torch.float32
        assert sample.boxes.labels.dtype == torch.int64
        assert sample.boxes.ignore.dtype == torch.bool


def test_a_view_repeats_in_any_order_and_does_not_touch_the_global_generators(coco: Any) -> None:
    draws = [Draw(view, index, repeat) for view in range(3) for index in range(4) for repeat in range(2)]
    augment = AugmentConfig(mosaic=0.5)
    forwards = [views(coco, augment, seed=3)[draw] for draw in draws]
    state = torch.random.get_rng_state()
    dataset = views(coco, augment, seed=3)
    backwards = [dataset[draw] for draw in reversed(draws)][::-1]
    assert all(same(a, b) for a, b in zip(forwards, backwards, strict=True))
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("mosaic", [0, 1])
def test_seed_view_index_and_repeat_each_matter(coco: Any, mosaic: float) -> None:
    augment = AugmentConfig(scale_crop=1, mosaic=mosaic)
    dataset = views(coco, augment)
    first = dataset[Draw(0, 0)]
    assert same(first, dataset[Draw(0, 0)])
    assert not same(first, dataset[Draw(1, 0)])
    assert not same(first, dataset[Draw(0, 0, repeat=1)])
    assert not same(first, views(coco, augment, seed=1)[Draw(0, 0)])
    coco.image(2).write_bytes(coco.image(1).read_bytes())
    assert not torch.equal(first.image, dataset[Draw(0, 1)].image)


def test_mosaics_are_as_frequent_as_wanted_and_end_with_their_epochs(coco: Any, monkeypatch: Any) -> None:
    made = []
    module = "limbeck.data.detection2d"
    monkeypatch.setattr(f"{module}.draw_mosaic", lambda *args: made.append("mosaic"))
    monkeypatch.setattr(f"{module}.draw_view", lambda *args: made.append("single"))

    def mosaics(dataset: DetectionViews, epoch: int) -> int:
        made.clear()
        for repeat in range(200):
            with pytest.raises(AttributeError):
                dataset[Draw(epoch, 0, repeat)]
        return made.count("mosaic")

    ending = views(coco, AugmentConfig(mosaic=0.5, mosaic_epochs=3))
    assert [mosaics(ending, epoch) > 0 for epoch in (0, 2, 3, 9)] == [True, True, False, False]
    endless = views(coco, AugmentConfig(mosaic=0.5))
    assert 60 < mosaics(endless, 1000) < 140
    assert mosaics(views(coco, AugmentConfig()), 0) == 0


@pytest.mark.parametrize("augment", [None, AugmentConfig(), AugmentConfig(mosaic=1)])
def test_a_draw_may_name_another_canvas(coco: Any, augment: AugmentConfig | None) -> None:
    dataset = views(coco, augment)
    sample = dataset[Draw(0, 0, canvas_wh=(160, 128))]
    assert sample.image.shape == (3, 128, 160)
    assert sample.frame.fit is not None
    assert sample.frame.fit.canvas_wh == (160, 128)
    assert dataset[Draw(0, 0)].image.shape == (3, CANVAS[1], CANVAS[0])


def test_a_view_shows_the_same_on_a_larger_canvas(coco: Any) -> None:
    dataset = views(coco, AugmentConfig(scale_crop=1, scale=(1, 1)))
    small, large = (dataset[Draw(0, 0, canvas_wh=(32 * n, 32 * n))] for n in (2, 4))
    np.testing.assert_allclose(large.boxes.boxes_xyxy, 2 * small.boxes.boxes_xyxy, atol=2)


def test_objects_carry_the_weight_of_their_class(coco: Any) -> None:
    weights = np.array([0.5, 3], dtype=np.float32)
    for augment in (None, AugmentConfig(scale_crop=0), AugmentConfig(mosaic=1)):
        dataset = views(coco, augment, class_weights=weights)
        for index in range(4):
            boxes = dataset[Draw(0, index)].boxes
            assert boxes.weights is not None
            assert boxes.weights.tolist() == weights[boxes.labels.numpy()].tolist()
            assert boxes.weights.dtype == torch.float32
    assert views(coco)[Draw(0, 0)].boxes.weights is None


def test_boxes_of_augmented_views_lie_on_the_canvas(coco: Any) -> None:
    dataset = views(coco, AugmentConfig(scale_crop=1, scale=(0.5, 3)))
    limit = torch.tensor([*CANVAS, *CANVAS])
    for view in range(30):
        boxes = dataset[Draw(view, 0)].boxes.boxes_xyxy
        assert (boxes >= 0).all()
        assert (boxes <= limit).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_ignore_regions_move_along(coco: Any) -> None:
    coco.annotations[0]["iscrowd"] = 1
    coco.write()
    sample = views(coco, AugmentConfig(flip=1, scale_crop=0))[Draw(0, 0)]
    assert sample.boxes.ignore.tolist() == [True, False]
    assert sample.boxes.boxes_xyxy[0].tolist() == [40, 8, 56, 32]


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "I;16"])
def test_other_kinds_of_images_can_be_trained_on(coco: Any, mode: str) -> None:
    name = f"1.{'tif' if mode == 'CMYK' else 'png'}"
    Image.new(mode, (80, 60)).save(coco.root / "images" / name)
    coco.content["images"][0]["file_name"] = name
    coco.write()
    for augment in (None, AugmentConfig()):
        assert views(coco, augment)[Draw(0, 0)].image.shape == (3, CANVAS[1], CANVAS[0])


@pytest.mark.parametrize("augment", [None, AugmentConfig(), AugmentConfig(mosaic=1)], ids=["plain", "single", "mosaic"])
def test_an_image_that_changed_is_refused(coco: Any, augment: AugmentConfig | None) -> None:
    dataset = views(coco, augment)
    Image.new("RGB", (90, 60)).save(coco.image(1))
    with pytest.raises(DataError, match="changed after it was checked"):
        dataset[Draw(0, 0)]


def test_collate_stacks_the_images_and_lists_the_rest(coco: Any) -> None:
    dataset = views(coco)
    batch = collate([dataset[Draw(0, index)] for index in (0, 2)])
    assert batch.images.shape == (2, 3, CANVAS[1], CANVAS[0])
    assert [len(target) for target in batch.targets] == [2, 0]
    assert [frame.id for frame in batch.frames] == [1, 3]
