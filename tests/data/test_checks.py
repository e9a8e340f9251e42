"""Image files are compared with their records, and files that cannot be read are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from limbeck.data.checks import check_images, data_error, image_size, read_text
from limbeck.data.coco import read_coco
from limbeck.errors import DataError


def test_sound_images_have_no_problem(coco: Any) -> None:
    assert check_images(read_coco(coco.split).records, verify_pixels=True) == {}


def test_each_broken_image_is_named_once(coco: Any) -> None:
    records = read_coco(coco.split).records
    coco.image(1).unlink()
    coco.image(2).write_text("no picture")
    coco.image(3).write_bytes(coco.image(3).read_bytes()[:1500])
    assert set(check_images(records)) == {1, 2}
    problems = check_images(records, verify_pixels=True)
    assert set(problems) == {1, 2, 3}
    assert problems[2] == f"{coco.image(2)}: not an image, or in an unknown format"


def test_twenty_problems_are_shown_in_full_and_all_are_kept() -> None:
    assert str(data_error("t", ["p"] * 20)).endswith("  - p")
    error = data_error("t", ["p"] * 21)
    assert str(error).splitlines() == ["t", *["  - p"] * 20, "  - and 1 more"]
    assert error.problems == ("p",) * 21


def test_the_size_of_an_image_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 8
    Image.new("RGB", (60, 80)).save(tmp_path / "a.jpg", exif=exif)
    assert image_size(tmp_path / "a.jpg") == (80, 60)
    with pytest.raises(DataError, match=r"b\.jpg: no such file or directory"):
        image_size(tmp_path / "b.jpg")


def test_text_is_read_without_its_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\ufeffü", encoding="utf-8")
    assert read_text(tmp_path / "a.txt") == "ü"
    (tmp_path / "a.txt").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"a\.txt: not a text file"):
        read_text(tmp_path / "a.txt")
    with pytest.raises(DataError, match=r"b\.txt: no such file or directory"):
        read_text(tmp_path / "b.txt")
