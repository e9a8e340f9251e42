"""Every kind of image becomes upright RGB or is refused in one sentence; boxes survive the canvas and come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from limbeck.errors import DataError
from limbeck.imaging import PAD_VALUE, Fit, fit_image, read_image


def save(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 90, (90, 90, 90)),
        ("LA", (200, 0), (0, 0, 0)),
        ("RGBA", (10, 250, 30, 255), (10, 250, 30)),
        ("RGBA", (10, 250, 30, 0), (0, 0, 0)),
        ("I;16", 200 * 256 + 7, (200, 200, 200)),
    ],
)
def test_png_of_every_kind_becomes_rgb(
    tmp_path: Path, mode: str, colour: int | tuple[int, ...], expected: tuple[int, int, int]
) -> None:
    image = read_image(save(Image.new(mode, (5, 4), colour), tmp_path / "a.png"))
    assert image.mode == "RGB"
    assert image.size == (5, 4)
    assert image.getpixel((2, 2)) == expected


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((4, 5), 200 * 256 + 7, dtype=">u2"), 200),
        (np.full((4, 5), 200 * 256 + 7, dtype=np.int32), 200),
        (np.full((4, 5), -3, dtype=np.int32), 0),
        (np.full((4, 5), 1 << 20, dtype=np.int32), 255),
        (np.full((4, 5), 90.0, dtype=np.float32), 90),
    ],
    ids=["big-endian 16 bit", "32 bit", "negative", "beyond 16 bit", "float"],
)
def test_tiff_with_deep_pixels(tmp_path: Path, array: np.ndarray, expected: int) -> None:
    image = read_image(save(Image.fromarray(array), tmp_path / "a.tif"))
    assert image.getpixel((0, 0)) == (expected,) * 3


def test_cmyk_jpeg(tmp_path: Path) -> None:
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    pixel = read_image(save(red, tmp_path / "a.jpg", quality=95)).getpixel((8, 8))
    assert np.abs(np.subtract(pixel, (255, 0, 0))).max() < 8


def test_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([255, 255, 255, 20, 30, 40])
    image.putpixel((0, 0), 0)
    read = read_image(save(image, tmp_path / "a.png", transparency=0))
    assert read.getpixel((0, 0)) == (0, 0, 0)
    assert read.getpixel((3, 3)) == (20, 30, 40)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_exif_rotation_is_applied(tmp_path: Path, suffix: str) -> None:
    image = Image.new("RGB", (40, 20))
    image.paste((255, 255, 255), (0, 0, 10, 10))  # upper left as stored, upper right once turned by 90 degrees
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    read = read_image(save(image, tmp_path / f"a.{suffix}", exif=exif))
    assert read.size == (20, 40)
    assert read.getpixel((16, 3))[0] > 200
    assert read.getpixel((3, 3))[0] < 50


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_truncated_image_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = save(Image.fromarray(noise), tmp_path / f"a.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError) as caught:
        read_image(path)
    assert len(caught.value.problems) == 1
    assert str(path) in caught.value.problems[0]


def test_missing_file_directory_and_text_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.jpg"
    text.write_text("not a picture")
    for path, reason in [
        (tmp_path / "none.jpg", "no such file or directory"),
        (tmp_path, "is a directory"),
        (text, "not an image, or in an unknown format"),
    ]:
        with pytest.raises(DataError) as caught:
            read_image(path)
        assert caught.value.problems == (f"{path}: {reason}",)


def test_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(Image.new("L", (100, 100)), tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match="exceeds limit"):
        read_image(path)


def test_letterbox_keeps_the_aspect_ratio_and_pads_below() -> None:
    canvas, fit = fit_image(Image.new("RGB", (200, 100), (1, 2, 3)), (64, 64), "letterbox")
    assert canvas.shape == (64, 64, 3)
    assert fit.placed_wh == (64, 32)
    assert (canvas[:32] == (1, 2, 3)).all()
    assert (canvas[32:] == PAD_VALUE).all()


def test_stretch_fills_the_canvas() -> None:
    canvas, fit = fit_image(Image.new("RGB", (200, 100), (1, 2, 3)), (96, 64), "stretch")
    assert fit.placed_wh == (96, 64)
    assert (canvas == (1, 2, 3)).all()


@given(
    image_wh=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    canvas_wh=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    mode=st.sampled_from(["letterbox", "stretch"]),
    corners=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_boxes_come_back_from_the_canvas(
    image_wh: tuple[int, int], canvas_wh: tuple[int, int], mode: str, corners: list[float]
) -> None:
    fit = Fit.of(image_wh, (canvas_wh[0] * 32, canvas_wh[1] * 32), mode)
    boxes = (np.array([corners]) * np.array([*image_wh, *image_wh])).astype(np.float32)
    there = fit.to_canvas(boxes)
    assert (there <= np.array([*fit.canvas_wh, *fit.canvas_wh]) + 1e-3).all()
    np.testing.assert_allclose(fit.to_image(there), boxes, atol=1e-2)


def test_boxes_beyond_the_canvas_are_clipped_to_the_image() -> None:
    fit = Fit.of((200, 100), (64, 64), "letterbox")
    boxes = np.array([[-5.0, -5.0, 80.0, 80.0]], dtype=np.float32)
    assert fit.to_image(boxes).tolist() == [[0, 0, 200, 100]]
