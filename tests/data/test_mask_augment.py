"""Labels and X maps follow the pixels of the picture, and no value comes from what was not measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from limbeck.core.samples import IGNORED_LABEL
from limbeck.data.augment import Placement, draw_placement, place, render
from limbeck.data.config import PictureAugment
from limbeck.data.mask_augment import plain_placement, render_mask, render_x, zoom_of
from limbeck.data.mask_config import XConfig
from limbeck.data.mask_records import MaskCode
from limbeck.data.x_maps import NO_NORMAL
from limbeck.imaging import Fit

CODE = MaskCode(np.array([0, 1, 2, *[IGNORED_LABEL] * 253], np.uint8))
CANVAS = (160, 128)
KINDS: dict[str, dict[str, Any]] = {
    "depth": {"holds": "depth", "unit": "m"},
    "disparity": {"holds": "disparity", "unit": "px"},
    "thermal": {"holds": "thermal"},
    "normals": {"holds": "normals"},
}


def x_of(kind: str) -> XConfig:
    return XConfig.model_validate(KINDS[kind])


def mask_of(levels: np.ndarray, placement: Placement) -> Tensor:
    return render_mask(levels, CODE, Path("m.png"), placement)


def drawn(seed: int, mode: str = "letterbox") -> tuple[Placement, Fit]:
    fit = Fit.of((400, 200), CANVAS, mode)  # type: ignore[arg-type]
    config = PictureAugment(flip=0.5, scale_crop=1, scale=(0.4, 2.5))
    return draw_placement(config, fit, np.random.default_rng(seed)), fit


@pytest.mark.parametrize("mode", ["letterbox", "stretch"])
@pytest.mark.parametrize("seed", range(25))
def test_labels_and_maps_lie_where_the_pixels_of_their_object_are(seed: int, mode: str) -> None:
    levels = np.zeros((200, 400), np.uint8)
    levels[60:150, 150:260] = 1
    image = Image.fromarray(np.stack([255 * levels, 0 * levels, 255 - 255 * levels], axis=-1))
    placement, _ = drawn(seed, mode)
    pixels = render(image, 1, placement, None)
    red = (pixels[0] > 127) & (pixels[2] < 127)
    labels = mask_of(levels, placement)
    inside = torch.zeros(CANVAS[::-1], dtype=torch.bool)
    left, top, right, bottom = placement.target_xyxy
    inside[top:bottom, left:right] = True
    inside = inside.flip(1) if placement.flip else inside
    assert torch.equal(labels != IGNORED_LABEL, inside)
    edge = 4 * (sum(CANVAS)) * 2  # a seam of a pixel along every side of the object
    assert ((labels == 1) != red)[inside].sum() <= edge / 8
    values = torch.from_numpy(levels.astype(np.float32))[None] * 7 + 1
    for kind in ("depth", "thermal"):
        found = render_x(values, torch.ones(200, 400, dtype=torch.bool), x_of(kind), placement, 1.0)
        assert found.shape == (1, *CANVAS[::-1])
        assert found.dtype == torch.float32
        assert ((found[0] > 4.5) != red)[inside].sum() <= edge / 8
        assert (found[0][~inside] == 0).all()


def test_a_label_is_never_mixed_of_two() -> None:
    levels = np.random.default_rng(0).choice(np.array([0, 2], np.uint8), (200, 400))
    for seed in range(10):
        assert set(mask_of(levels, drawn(seed)[0]).unique().tolist()) <= {0, 2, IGNORED_LABEL}


def test_the_whole_image_lies_as_in_evaluation() -> None:
    fit = Fit.of((37, 23), (64, 64), "letterbox")
    levels = np.random.default_rng(0).integers(0, 3, (23, 37), dtype=np.uint8)
    labels = mask_of(levels, plain_placement(fit))
    assert labels.dtype == torch.uint8
    assert (labels[40:] == IGNORED_LABEL).all()
    assert (labels[:40] != IGNORED_LABEL).all()
    assert (fit.map_to_image(labels.numpy()) == levels).all()  # enlarged labels come back as they were
    assert zoom_of(plain_placement(fit), fit) == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_measured_does_not_bleed_into_what_was(kind: str) -> None:
    channels = 3 if kind == "normals" else 1
    values = torch.zeros(channels, 40, 60)
    valid = torch.rand(40, 60, generator=torch.Generator().manual_seed(0)) < 0.7
    value = torch.tensor([0.6, 0.0, -0.8]) if kind == "normals" else torch.tensor([20.0])
    nothing = torch.tensor(NO_NORMAL if kind == "normals" else [0.0])
    values = torch.where(valid, value[:, None, None], nothing[:, None, None])
    for placed_wh in ((60, 40), (45, 30), (20, 15), (150, 100)):
        placement = place((60, 40), (0, 0), placed_wh, (160, 128), flip=False)
        found = render_x(values, valid, x_of(kind), placement, 1.0).flatten(1).T
        is_value = (found - value).abs().amax(dim=1) < 1e-4
        assert (is_value | (found == nothing).all(dim=1)).all()
        assert is_value[: placed_wh[0]].float().mean() > 0.5


@pytest.mark.parametrize(("kind", "expected"), [("depth", 5), ("disparity", 20), ("thermal", 10)])
def test_an_object_shown_twice_as_large_is_half_as_far(kind: str, expected: float) -> None:
    fit = Fit.of((64, 48), (64, 64), "letterbox")
    placement = place((64, 48), (0, 0), (128, 96), (64, 64), flip=False)
    zoom = zoom_of(placement, fit)
    assert zoom == pytest.approx(2)
    values, valid = torch.full((1, 48, 64), 10.0), torch.ones(48, 64, dtype=torch.bool)
    assert render_x(values, valid, x_of(kind), placement, zoom)[0, 5, 5].item() == pytest.approx(expected)


@pytest.mark.parametrize("mode", ["letterbox", "stretch"])
def test_the_zoom_is_that_of_the_picture(mode: str) -> None:
    for seed in range(20):
        placement, fit = drawn(seed, mode)
        left, top, right, bottom = placement.source_xyxy
        x1, y1, x2, y2 = placement.target_xyxy
        zoom = zoom_of(placement, fit)
        assert (x2 - x1) / (right - left) / fit.scale_xy[0] == pytest.approx(zoom, rel=0.1)
        assert (y2 - y1) / (bottom - top) / fit.scale_xy[1] == pytest.approx(zoom, rel=0.1)


def test_a_flip_mirrors_the_map_and_the_normals_in_it() -> None:
    normals = torch.nn.functional.normalize(torch.randn(3, 48, 64, generator=torch.Generator().manual_seed(0)), dim=0)
    valid = torch.ones(48, 64, dtype=torch.bool)
    plain, mirrored = (
        render_x(normals, valid, x_of("normals"), place((64, 48), (8, 4), (64, 48), (96, 64), flip=flip), 1.0)
        for flip in (False, True)
    )
    assert torch.equal(mirrored, plain.flip(2) * torch.tensor([-1.0, 1.0, 1.0])[:, None, None])
    assert torch.allclose(plain[:, 4:52, 8:72], normals)
    assert plain[:, 0, 0].tolist() == list(NO_NORMAL)


def test_resized_normals_have_length_one() -> None:
    normals = torch.nn.functional.normalize(torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(0)), dim=0)
    for seed in range(5):
        fit = Fit.of((64, 48), (96, 64), "letterbox")
        placement = draw_placement(PictureAugment(scale_crop=1), fit, np.random.default_rng(seed))
        found = render_x(normals, torch.ones(48, 64, dtype=torch.bool), x_of("normals"), placement, 1.3)
        np.testing.assert_allclose(found.norm(dim=0), 1, rtol=1e-5)
