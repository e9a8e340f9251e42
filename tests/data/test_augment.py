"""Boxes follow the pixels, colours change as said, and a part that is off does nothing."""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from torch import Tensor

from limbeck.data.augment import (
    Placement,
    clip_boxes,
    draw_colour,
    draw_placement,
    place,
    place_boxes,
    read_reduced,
    recoloured,
    render,
    view_of,
)
from limbeck.data.config import AugmentConfig
from limbeck.data.records import BoxRecord
from limbeck.errors import DataError
from limbeck.imaging import PAD_VALUE, Fit, fit_image, read_image

AS_TAKEN = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera has turned an upright picture that it writes down with one of the EXIF orientations."""
OFF = AugmentConfig(flip=0, scale_crop=0, brightness=0, contrast=0, saturation=0, hue=0)


def extent(mask: Tensor | np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what a mask (H,W) covers."""
    rows, columns = np.flatnonzero(np.asarray(mask).any(axis=1)), np.flatnonzero(np.asarray(mask).any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def whole(size_wh: tuple[int, int], corner_xy: tuple[int, int] = (0, 0), *, flip: bool = False) -> Placement:
    """A placement of an image of 64 x 32 pixels on a canvas of 64 x 64."""
    return place((64, 32), corner_xy, size_wh, (64, 64), flip)


@pytest.mark.parametrize("mode", ["letterbox", "stretch"])
@pytest.mark.parametrize("seed", range(25))
def test_box_coincides_with_the_pixels_of_its_object(mode: str, seed: int) -> None:
    box = np.array([[150, 60, 260, 150]], dtype=np.float32)
    image = Image.new("RGB", (400, 200), (0, 0, 255))
    image.paste((255, 0, 0), tuple(box[0].astype(int).tolist()))
    canvas_wh = (160, 128)
    config = AugmentConfig(flip=0.5, scale_crop=1, scale=(0.4, 2.5))
    placement = draw_placement(config, Fit.of(image.size, canvas_wh, mode), np.random.default_rng(seed))
    pixels = render(image, 1, placement, None)
    placed = place_boxes(box, placement)
    clipped, keep = clip_boxes(placed, np.array([False]), canvas_wh)
    red = (pixels[0] > 127) & (pixels[2] < 127)
    if keep[0]:
        assert np.abs(np.subtract(extent(red), clipped[0])).max() <= 1
    else:
        assert red.sum() < 0.3 * (placed[0, 2:] - placed[0, :2]).prod()


@pytest.mark.parametrize("mode", ["letterbox", "stretch"])
@pytest.mark.parametrize("size", [(200, 100), (90, 250), (64, 64), (33, 47)])
def test_everything_off_is_the_picture_of_evaluation(mode: str, size: tuple[int, int]) -> None:
    image = noise(*size)
    expected, fit = fit_image(image, (64, 96), mode)
    placement = draw_placement(OFF, fit, np.random.default_rng(3))
    colour = draw_colour(OFF, np.random.default_rng(3))
    assert colour is None
    pixels = render(image, 1, placement, colour).permute(1, 2, 0).numpy()
    assert np.abs(pixels.astype(int) - expected).max() <= 1  # torch and pillow round differently
    boxes = np.array([[1, 2, 30, 40]], dtype=np.float32)
    np.testing.assert_allclose(place_boxes(boxes, placement), fit.to_canvas(boxes), rtol=1e-6)


def test_flip_mirrors_the_whole_canvas() -> None:
    image = noise(64, 32)
    plain, mirrored = (render(image, 1, whole((64, 32), flip=flip), None) for flip in (False, True))
    assert torch.equal(mirrored, plain.flip(2))
    boxes = np.array([[10, 5, 30, 20]], dtype=np.float32)
    assert place_boxes(boxes, whole((64, 32), flip=True)).tolist() == [[34, 5, 54, 20]]


def test_a_small_zoom_leaves_a_grey_border() -> None:
    pixels = render(Image.new("RGB", (64, 32)), 1, whole((32, 16), (10, 20)), None)
    assert (pixels[:, 20:36, 10:42] == 0).all()
    assert (pixels == PAD_VALUE).all(dim=0).sum() == 64 * 64 - 32 * 16


def test_placement_covers_the_canvas_or_lies_within_it() -> None:
    fit = Fit.of((200, 100), (64, 64), "letterbox")
    config = AugmentConfig(scale_crop=1, scale=(0.3, 3))
    drawn = [draw_placement(config, fit, np.random.default_rng(n)) for n in range(200)]
    cropped = 0
    for placement in drawn:
        for axis, side in enumerate((200, 100)):
            source = placement.source_xyxy[axis], placement.source_xyxy[axis + 2]
            target = placement.target_xyxy[axis], placement.target_xyxy[axis + 2]
            assert 0 <= source[0] < source[1] <= side
            assert 0 <= target[0] < target[1] <= 64
            assert target == (0, 64) or source == (0, side - side % placement.reduction)
            cropped += source[1] - source[0] < side - side % placement.reduction
    widths = [p.target_xyxy[2] - p.target_xyxy[0] for p in drawn]
    assert min(widths) < 32
    assert cropped > 50
    assert 50 < sum(p.flip for p in drawn) < 150


def test_an_enlarged_sliver_still_has_a_pixel() -> None:
    for corner in (0, -300, -639):
        placement = place((3, 3), (corner, 0), (640, 640), (64, 64), flip=False)
        left, _, right, _ = placement.source_xyxy
        assert 0 <= left < right <= 3
        assert render(noise(3, 3), 1, placement, None).shape == (3, 64, 64)


@pytest.fixture
def photo(tmp_path: Path) -> BoxRecord:
    """A JPEG of 363 x 250 pixels, which no reduction divides, with a red square on it."""
    image = Image.new("RGB", (363, 250), (0, 0, 255))
    image.paste((255, 0, 0), (120, 64, 304, 240))
    image.save(tmp_path / "photo.jpg", quality=95, subsampling=0)
    box = np.array([[120, 64, 304, 240]], dtype=np.float32)
    return BoxRecord(1, tmp_path / "photo.jpg", image.size, box, np.array([0]), np.array([False]))


@pytest.mark.parametrize(("placed_wh", "reduction"), [((290, 200), 1), ((145, 100), 2), ((70, 48), 4), ((36, 25), 8)])
@pytest.mark.parametrize("corner_xy", [(0, 0), (-7, -9), (20, 11)])
def test_a_box_lies_as_exactly_on_a_reduced_jpeg(
    photo: BoxRecord, placed_wh: tuple[int, int], reduction: int, corner_xy: tuple[int, int]
) -> None:
    placement = place(photo.size_wh, corner_xy, placed_wh, (320, 224), flip=False)
    assert placement.reduction == reduction
    assert read_reduced(photo, reduction)[1] == reduction
    view = view_of(photo, placement, None)
    red = (view.pixels[0] > 127) & (view.pixels[2] < 127)
    assert np.abs(np.subtract(extent(red), view.boxes_xyxy[0])).max() <= 0.75


@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_a_reduced_jpeg_looks_like_the_whole_one(tmp_path: Path, reduction: int) -> None:
    waves = np.linspace(0, 12, 320)
    levels = 127.5 + 60 * np.sin(waves)[:, None] + 60 * np.cos(1.7 * waves)
    pixels = np.stack([levels, levels.T, 255 - levels], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "waves.jpg", quality=95)
    record = BoxRecord(1, tmp_path / "waves.jpg", (320, 320), np.zeros((0, 4), np.float32), *np.zeros((2, 0), np.int64))
    placement = place((320, 320), (0, 0), (320 // reduction * 4 // 5,) * 2, (256, 256), flip=False)
    assert placement.reduction == reduction
    reduced, by = read_reduced(record, reduction)
    assert reduced.size == (320 // reduction, 320 // reduction)
    small = render(reduced, by, placement, None).int()
    large = render(read_image(record.path), 1, placement, None).int()
    assert (small - large).abs().float().mean() < 1.5


def test_only_a_jpeg_is_decoded_smaller(photo: BoxRecord, tmp_path: Path) -> None:
    with Image.open(photo.path) as image:
        image.save(tmp_path / "photo.png")
    record = BoxRecord(1, tmp_path / "photo.png", photo.size_wh, photo.boxes_xyxy, photo.labels, photo.ignore)
    image, by = read_reduced(record, 4)
    assert by == 1
    assert image.size == photo.size_wh
    placement = place(photo.size_wh, (3, 4), (70, 48), (80, 64), flip=True)
    from_png, from_jpeg = (view_of(source, placement, None) for source in (record, photo))
    assert from_png.boxes_xyxy.tolist() == from_jpeg.boxes_xyxy.tolist()


@pytest.mark.parametrize(("orientation", "turn"), AS_TAKEN.items())
@pytest.mark.parametrize(("size", "reduced_by"), [((360, 248), 4), ((361, 251), 1)])
def test_a_box_lies_exactly_on_a_jpeg_that_its_camera_turned(
    tmp_path: Path, orientation: int, turn: Image.Transpose | None, size: tuple[int, int], reduced_by: int
) -> None:
    upright = Image.new("RGB", size if orientation < 5 else size[::-1], (0, 0, 255))
    upright.paste((255, 0, 0), (40, 64, 184, 216))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    as_taken = upright if turn is None else upright.transpose(turn)
    as_taken.save(tmp_path / "turned.jpg", exif=exif, quality=95, subsampling=0)
    box = np.array([[40, 64, 184, 216]], dtype=np.float32)
    record = BoxRecord(1, tmp_path / "turned.jpg", upright.size, box, np.array([0]), np.array([False]))
    assert read_reduced(record, 4)[1] == (4 if orientation == 1 else reduced_by)
    placement = place(upright.size, (0, 0), (upright.width // 5, upright.height // 5), (96, 96), flip=False)
    assert placement.reduction == 4
    view = view_of(record, placement, None)
    red = (view.pixels[0] > 127) & (view.pixels[2] < 127)
    assert np.abs(np.subtract(extent(red), view.boxes_xyxy[0])).max() <= 0.6


def test_a_jpeg_that_lies_on_its_side_has_changed(photo: BoxRecord) -> None:
    with Image.open(photo.path) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(photo.path)
    with pytest.raises(DataError, match="changed after it was checked"):
        read_reduced(photo, 2)


@pytest.mark.parametrize("size", [(362, 250), (364, 250), (363, 249)])
def test_a_change_by_one_pixel_is_seen_in_spite_of_the_reduction(photo: BoxRecord, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(photo.path)
    with pytest.raises(DataError, match="changed after it was checked"):
        read_reduced(photo, 8)


@pytest.mark.parametrize("reduction", [1, 4])
def test_a_truncated_jpeg_is_named_at_every_reduction(photo: BoxRecord, reduction: int) -> None:
    photo.path.write_bytes(photo.path.read_bytes()[:1500])
    with pytest.raises(DataError, match=r"cannot be read:\n.*photo\.jpg"):
        read_reduced(photo, reduction)


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
    placed = place_boxes(np.zeros((0, 4), dtype=np.float32), whole((64, 32), flip=True))
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
    config = AugmentConfig(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
    for seed in range(5):
        colour = draw_colour(config, np.random.default_rng(seed))
        assert colour is not None
        pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        rendered = render(Image.fromarray(pixels), 1, place((32, 32), (0, 0), (32, 32), (32, 32), False), colour)
        expected = (pixels @ colour[:, :3].T + colour[:, 3]).clip(0, 255)
        assert np.abs(rendered.permute(1, 2, 0).numpy() - expected).max() <= 0.51


def test_the_strongest_colours_do_not_overflow() -> None:
    strongest = np.array([[12, -8, 9, 255], [-12, -12, -12, -255], [12, 12, 12, 255]], dtype=np.float64)
    white = torch.full((3, 1, 1), 255, dtype=torch.uint8)
    assert recoloured(white, strongest).flatten().tolist() == [255, 0, 255]


def test_colour_leaves_the_border_grey() -> None:
    pixels = render(Image.new("RGB", (64, 32), (50, 60, 70)), 1, whole((64, 32)), only(brightness=0.5))
    assert (pixels[:, 32:] == PAD_VALUE).all()
    assert (pixels[:, :32] != torch.tensor([50, 60, 70]).view(3, 1, 1)).all()


def test_threads_do_not_change_a_view() -> None:
    colour = draw_colour(AugmentConfig(), np.random.default_rng(0))
    placement = place((500, 400), (-20, -30), (600, 480), (512, 384), flip=True)
    threads = torch.get_num_threads()
    try:
        views = []
        for number in (1, 2):
            torch.set_num_threads(number)
            views.append(render(noise(500, 400), 1, placement, colour))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*views)
