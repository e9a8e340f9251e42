"""A view of image, mask and X maps is a pure function of (seed, view, index)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.core.samples import IGNORED_LABEL
from limbeck.data import segmentation
from limbeck.data.mask_config import MaskAugment
from limbeck.data.mask_readers import read_mask_parts
from limbeck.data.segmentation import MaskSample, MaskViews, collate
from limbeck.data.views import Draw, ViewLoader
from limbeck.errors import DataError
from limbeck.imaging import fit_image, read_image

CANVAS = (96, 64)


def views(masks: Any, augment: MaskAugment | None = None, seed: int = 0, **options: Any) -> MaskViews:
    data = read_mask_parts(masks.config)["train"]
    options = {"modalities": ("depth",), **options}
    return MaskViews(data, CANVAS, "letterbox", augment=augment, seed=seed, **options)


def same(a: MaskSample, b: MaskSample) -> bool:
    return torch.equal(a.mask.labels, b.mask.labels) and all(torch.equal(a.inputs[n], b.inputs[n]) for n in a.inputs)


def test_evaluation_is_fit_image_in_every_view(masks: Any) -> None:
    dataset = views(masks)
    sample = dataset[Draw(0, 0)]
    pixels, fit = fit_image(read_image(masks.file("train", "images", "a.jpg")), CANVAS, "letterbox")
    assert torch.equal(sample.inputs["image"], torch.from_numpy(pixels).permute(2, 0, 1))
    assert sample.frame.fit == fit
    assert sample.frame.id == "a.jpg"
    assert sample.frame.path == masks.file("train", "images", "a.jpg")
    stored = np.asarray(Image.open(masks.file("train", "depth", "a.png"))).astype(np.float32) / 1000
    shown = sample.inputs["depth"][0, : fit.placed_wh[1], : fit.placed_wh[0]].numpy()
    np.testing.assert_allclose(np.unique(shown), np.unique(stored), rtol=1e-6)
    assert (sample.inputs["depth"][:, :, fit.placed_wh[0] :] == 0).all()
    assert (sample.mask.labels[:, fit.placed_wh[0] :] == IGNORED_LABEL).all()
    assert same(sample, dataset[Draw(5, 0, repeat=2)])


def test_types_and_shapes(masks: Any) -> None:
    for augment in (None, MaskAugment()):
        sample = views(masks, augment)[Draw(0, 2)]
        assert {name: value.shape[0] for name, value in sample.inputs.items()} == {"image": 3, "depth": 1}
        assert sample.inputs["image"].dtype == torch.uint8
        assert sample.inputs["depth"].dtype == torch.float32
        assert sample.mask.labels.dtype == torch.uint8
        assert {t.shape[-2:] for t in (*sample.inputs.values(), sample.mask.labels)} == {CANVAS[::-1]}


def test_a_view_repeats_in_any_order_and_does_not_touch_the_global_generators(masks: Any) -> None:
    draws = [Draw(view, index, repeat) for view in range(3) for index in range(3) for repeat in range(2)]
    augment = MaskAugment(scale_crop=1)
    forwards = [views(masks, augment, seed=3)[draw] for draw in draws]
    state = torch.random.get_rng_state()
    dataset = views(masks, augment, seed=3)
    backwards = [dataset[draw] for draw in reversed(draws)][::-1]
    assert all(same(a, b) for a, b in zip(forwards, backwards, strict=True))
    assert torch.equal(state, torch.random.get_rng_state())


def test_seed_view_index_and_repeat_each_matter(masks: Any) -> None:
    augment = MaskAugment(scale_crop=1)
    dataset = views(masks, augment)
    first = dataset[Draw(0, 0)]
    assert same(first, dataset[Draw(0, 0)])
    assert not same(first, dataset[Draw(1, 0)])
    assert not same(first, dataset[Draw(0, 0, repeat=1)])
    assert not same(first, dataset[Draw(0, 1)])
    assert not same(first, views(masks, augment, seed=1)[Draw(0, 0)])


def test_what_is_loaded_does_not_change_the_picture(masks: Any) -> None:
    augment = MaskAugment(scale_crop=1)
    with_x, without = views(masks, augment)[Draw(4, 1)], views(masks, augment, modalities=())[Draw(4, 1)]
    assert set(without.inputs) == {"image"}
    assert torch.equal(with_x.inputs["image"], without.inputs["image"])
    assert torch.equal(with_x.mask.labels, without.mask.labels)


def test_a_run_without_x_does_not_open_its_files(masks: Any, monkeypatch: Any) -> None:
    opened = []
    monkeypatch.setattr(segmentation, "read_x", lambda *args: opened.append(args))
    dataset = views(masks, MaskAugment(), modalities=())
    dataset[Draw(0, 0)]
    assert opened == []


@pytest.mark.parametrize(
    ("gives", "modalities", "times"), [("normals", ("depth",), 1), ("value", ("depth",), 0), ("normals", (), 0)]
)
def test_what_computes_normals_is_compiled_before_there_are_workers(
    masks: Any, monkeypatch: Any, gives: str, modalities: tuple[str, ...], times: int
) -> None:
    data, compiled = read_mask_parts(masks.config)["train"], []
    data = replace(data, x={"depth": data.x["depth"].model_copy(update={"gives": gives})})
    monkeypatch.setattr(segmentation, "compile_normals", lambda: compiled.append(gives))
    MaskViews(data, CANVAS, "letterbox", modalities=modalities)
    assert len(compiled) == times


def test_image_mask_and_map_stay_together(masks: Any) -> None:
    """The three show the same squares: red, class 1 and 5 m before blue, class 0 and 10 m."""
    squares = np.kron(np.random.default_rng(1).integers(0, 2, (6, 8)), np.ones((10, 10), int)).astype(np.uint8)
    picture = np.stack([255 * squares, 0 * squares, 255 - 255 * squares], axis=-1)
    path = masks.file("train", "images", "a.jpg")
    Image.fromarray(picture).save(path, quality=100, subsampling=0)
    masks.write("train", "masks", squares, "a.png")
    masks.write("train", "depth", np.where(squares, 5000, 10000).astype(np.uint16), "a.png")
    augment = MaskAugment(scale_crop=1, scale=(0.6, 2), brightness=0, contrast=0, saturation=0, hue=0)
    dataset = views(masks, augment)
    for view in range(20):
        sample = dataset[Draw(view, 0)]
        inside = sample.mask.labels != IGNORED_LABEL
        red = sample.inputs["image"][0] > sample.inputs["image"][2]
        labels, depth = sample.mask.labels[inside] == 1, sample.inputs["depth"][0][inside]
        assert (labels == red[inside]).float().mean() > 0.9
        assert torch.equal(labels, depth < depth.mean())
        assert depth.max() / depth.min() == pytest.approx(2)


def test_depth_of_a_larger_canvas_is_that_of_a_nearer_object(masks: Any) -> None:
    masks.write("train", "depth", np.full((60, 80), 8000, np.uint16), "a.png")
    dataset = views(masks, MaskAugment(scale_crop=0))
    assert dataset[Draw(0, 0)].inputs["depth"].max().item() == pytest.approx(8)
    larger = dataset[Draw(0, 0, canvas_wh=(192, 128))]
    assert larger.inputs["depth"].max().item() == pytest.approx(4, rel=0.01)
    assert larger.inputs["depth"].shape == (1, 128, 192)
    assert larger.frame.fit is not None
    assert larger.frame.fit.canvas_wh == (192, 128)


def test_pixels_carry_the_weights_of_the_classes(masks: Any) -> None:
    weights = np.array([0.5, 3], dtype=np.float32)
    for augment in (None, MaskAugment()):
        mask = views(masks, augment, class_weights=weights)[Draw(0, 0)].mask
        assert mask.class_weights is not None
        assert mask.class_weights.tolist() == [0.5, 3]
    assert views(masks)[Draw(0, 0)].mask.class_weights is None


@pytest.mark.parametrize("augment", [None, MaskAugment()], ids=["plain", "drawn"])
@pytest.mark.parametrize("kind", ["images", "masks", "depth"])
def test_a_file_that_changed_is_refused(masks: Any, augment: MaskAugment | None, kind: str) -> None:
    dataset = views(masks, augment)
    Image.new("RGB" if kind == "images" else "L", (90, 60)).save(
        masks.file("train", kind, "a.jpg" if kind == "images" else "a.png")
    )
    with pytest.raises(DataError, match="changed after it was checked"):
        dataset[Draw(0, 0)]


def test_a_level_that_stands_for_nothing_stops_the_training_too(masks: Any) -> None:
    dataset = views(masks, MaskAugment(scale_crop=0))
    masks.write("train", "masks", np.full((60, 80), 9, np.uint8), "a.png")
    with pytest.raises(DataError, match=r"a\.png: has the level 9, which stands for no class"):
        next(iter(ViewLoader(dataset, 1, collate)))


def test_collate_stacks_inputs_and_lists_masks(masks: Any) -> None:
    dataset = views(masks)
    batch = collate([dataset[Draw(0, index)] for index in (0, 2)])
    assert batch.images.shape == (2, 3, *CANVAS[::-1])
    assert batch.inputs["depth"].shape == (2, 1, *CANVAS[::-1])
    assert [target.labels.shape for target in batch.targets] == [CANVAS[::-1]] * 2
    assert [frame.id for frame in batch.frames] == ["a.jpg", "c.jpg"]


def test_batches_do_not_depend_on_the_number_of_workers(masks: Any) -> None:
    dataset = views(masks, MaskAugment(scale_crop=1))
    here, there = (list(ViewLoader(dataset, 2, collate, seed=1, shuffle=True, workers=workers)) for workers in (0, 1))
    assert len(here) == len(there) == 2
    for a, b in zip(here, there, strict=True):
        assert all(torch.equal(a.inputs[name], b.inputs[name]) for name in ("image", "depth"))
        assert all(torch.equal(x.labels, y.labels) for x, y in zip(a.targets, b.targets, strict=True))


def test_shadows_darken_the_image_and_nothing_else(masks: Any) -> None:
    still = {"flip": 0, "scale_crop": 0, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    plain, dark = (views(masks, MaskAugment(**still, shadow=shadow))[Draw(0, 0)] for shadow in (0, 1))
    assert (dark.inputs["image"] <= plain.inputs["image"]).all()
    assert (dark.inputs["image"] < plain.inputs["image"]).any()
    assert torch.equal(dark.inputs["depth"], plain.inputs["depth"])
    assert torch.equal(dark.mask.labels, plain.mask.labels)
