"""Image files are compared with their records."""

from __future__ import annotations

from typing import Any

from limbeck.data.checks import check_images, data_error
from limbeck.data.coco import read_coco


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


def test_twenty_problems_are_shown_in_full() -> None:
    assert len(data_error("t", ["p"] * 20).problems) == 20
    assert data_error("t", ["p"] * 21).problems[-1] == "and 1 more"
