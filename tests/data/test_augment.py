"""Boxes follow the pixels, colours change as said, and a part that is off does nothing."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from PIL import Image

from limbeck.data.augment import Placement, clip_boxes, draw_colour, draw_placement, place_boxes, render
from limbeck.data.config import AugmentConfig
from limbeck.imaging import PAD_VALUE, Fit, fit_image

OFF = AugmentConfig(flip=0, scale_crop=0, brightness=0, contrast=0, saturation=0, hue=0)


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@pytest.mark.parametrize("mode", ["letterbox", "stretch"])
@pytest.mark.parametrize("seed", range(25))
def test_box_coincides_with_the_pixels_of_its_object(mode: str, seed: int) -> None:
    box = np.array([[150, 60, 260, 150]], dtype=np.float32)
    image = Image.new("RGB", (400, 200), (0, 0, 255))
    image.paste((255, 0, 0), tuple(box[0].astype(int).tolist()))
    canvas_wh = (160, 128)
    config = AugmentConfig(flip=0.5, scale_crop=1, scale=(0.4, 2.5))
    placement = draw_placement(config, Fit.of(image.size, canvas_wh, mode), np.random.default_rng(seed))
    pixels = render(image, canvas_wh, placement, None)
    clipped, keep = clip_boxes(place_boxes(box, image.size, canvas_wh, placement), np.array([False]), canvas_wh)
    red = (pixels[..., 0] > 127) & (pixels[..., 2] < 127)
    if keep[0]:
        assert np.abs(np.subtract(extent(red), clipped[0])).max() <= 2
    else:
        assert red.sum() < 0.3 * np.prod(placement.placed_wh) * (110 * 90) / (400 * 200)


@pytest.mark.parametrize("mode", ["letterbox", "stretch"])
@pytest.mark.parametrize("size", [(200, 100), (90, 250), (64, 64), (33, 47)])
def test_everything_off_is_the_picture_of_evaluation(mode: str, size: tuple[int, int]) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    expected, fit = fit_image(image, (64, 96), mode)
    placement = draw_placement(OFF, fit, np.random.default_rng(3))
    colour = draw_colour(OFF, np.random.default_rng(3))
    assert colour is None
    np.testing.assert_array_equal(render(image, (64, 96), placement, colour), expected)
    boxes = np.array([[1, 2, 30, 40]], dtype=np.float32)
    np.testing.assert_allclose(place_boxes(boxes, size, (64, 96), placement), fit.to_canvas(boxes), rtol=1e-6)


def test_flip_mirrors_the_whole_canvas() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8))
    plain = render(image, (64, 64), Placement((0, 0), (64, 32), flip=False), None)
    mirrored = render(image, (64, 64), Placement((0, 0), (64, 32), flip=True), None)
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])
    boxes = np.array([[10, 5, 30, 20]], dtype=np.float32)
    assert place_boxes(boxes, (64, 32), (64, 64), Placement((0, 0), (64, 32), flip=True)).tolist() == [[34, 5, 54, 20]]


def test_a_small_zoom_leaves_a_grey_border() -> None:
    pixels = render(Image.new("RGB", (64, 64)), (64, 64), Placement((10, 20), (32, 32), flip=False), None)
    assert (pixels[20:52, 10:42] == 0).all()
    assert (pixels == PAD_VALUE).all(axis=-1).sum() == 64 * 64 - 32 * 32


def test_placement_covers_the_canvas_or_lies_within_it() -> None:
    fit = Fit.of((200, 100), (64, 64), "letterbox")
    config = AugmentConfig(scale_crop=1, scale=(0.3, 3))
    drawn = [draw_placement(config, fit, np.random.default_rng(n)) for n in range(200)]
    for placement in drawn:
        for corner, side in zip(placement.corner_xy, placement.placed_wh, strict=True):
            assert (0 <= corner <= 64 - side) if side <= 64 else (64 - side <= corner <= 0)
    assert any(p.placed_wh[0] > 128 for p in drawn)
    assert any(p.placed_wh[0] < 32 for p in drawn)
    assert 50 < sum(p.flip for p in drawn) < 150


def test_which_cropped_boxes_count() -> None:
    boxes = np.array(
        [
            [-10, 0, 30, 10],  # centre inside
            [-30, 0, 20, 10],  # 40 % visible
            [-80, 0, 20, 10],  # 20 % visible
            [-80, 0, 20, 10],  # the same as an ignore region
            [-80, 0, -20, 10],  # outside
            [70, 0, 90, 10],  # an ignore region outside
        ],
        dtype=np.float32,
    )
    ignore = np.array([False, False, False, True, False, True])
    clipped, keep = clip_boxes(boxes, ignore, (64, 64))
    assert keep.tolist() == [True, True, False, True, False, False]
    assert clipped[:2].tolist() == [[0, 0, 30, 10], [0, 0, 20, 10]]


def test_no_boxes_stay_no_boxes() -> None:
    none = np.zeros((0, 4), dtype=np.float32)
    placed = place_boxes(none, (10, 10), (32, 32), Placement((0, 0), (32, 32), flip=True))
    clipped, keep = clip_boxes(placed, np.zeros(0, dtype=np.bool_), (32, 32))
    assert clipped.shape == (0, 4)
    assert keep.shape == (0,)


def only(**strength: float) -> np.ndarray:
    """Draw a colour matrix with only one part on; the seed makes the factor differ clearly from 1."""
    colour = draw_colour(OFF.model_copy(update=strength), np.random.default_rng(4))
    assert colour is not None
    assert np.abs(colour - np.eye(3, 4)).max() > 0.05
    return colour


def apply(colour: np.ndarray, rgb: tuple[float, float, float]) -> np.ndarray:
    return colour[:, :3] @ np.array(rgb) + colour[:, 3]


def test_brightness_scales_all_channels_alike() -> None:
    out = apply(only(brightness=0.5), (40, 80, 120))
    np.testing.assert_allclose(out / out[0], [1, 2, 3])


def test_contrast_keeps_mid_grey() -> None:
    colour = only(contrast=0.5)
    np.testing.assert_allclose(apply(colour, (127.5, 127.5, 127.5)), 127.5)
    np.testing.assert_allclose(apply(colour, (0, 0, 0)) + apply(colour, (255, 255, 255)), 255)


def test_saturation_keeps_greys_and_luma() -> None:
    colour = only(saturation=0.5)
    np.testing.assert_allclose(apply(colour, (90, 90, 90)), 90)
    np.testing.assert_allclose(np.dot(apply(colour, (200, 30, 60)), [0.299, 0.587, 0.114]), 84.25)


def test_hue_keeps_greys_and_turns_colours() -> None:
    colour = only(hue=0.1)
    np.testing.assert_allclose(apply(colour, (90, 90, 90)), 90, atol=0.2)
    before, after = (200.0, 90.0, 90.0), apply(colour, (200, 90, 90))
    turned = colorsys.rgb_to_hsv(*after)[0] - colorsys.rgb_to_hsv(*before)[0]
    assert 0.005 < abs((turned + 0.5) % 1 - 0.5) < 0.15


def test_rendered_colours_are_those_of_the_matrix() -> None:
    colour = draw_colour(AugmentConfig(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1), np.random.default_rng(1))
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    rendered = render(Image.fromarray(pixels), (32, 32), Placement((0, 0), (32, 32), flip=False), colour)
    expected = (pixels @ colour[:, :3].T + colour[:, 3]).clip(0, 255)
    assert np.abs(rendered - expected).max() <= 1


def test_colour_leaves_the_border_grey() -> None:
    colour = only(brightness=0.5)
    pixels = render(Image.new("RGB", (32, 16), (50, 60, 70)), (32, 32), Placement((0, 0), (32, 16), flip=False), colour)
    assert (pixels[16:] == PAD_VALUE).all()
    assert (pixels[:16] != (50, 60, 70)).all()
