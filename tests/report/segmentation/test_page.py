"""The page of a segmentation run as a whole; what it shares with the others is in `tests/report/test_page.py`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from limbeck.report.page import write_report
from limbeck.report.segmentation.page import MAX_NUMBERS


def page_of(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


def text_of(page: str) -> str:
    return re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)


def test_the_page_is_whole_and_needs_nothing_else(make_run: Any, outline_of: Any) -> None:
    outline = outline_of(page_of(make_run(test=True)))
    addresses = [a.get("src") or a.get("href") or "" for _, a in outline.tags if "src" in a or "href" in a]

    assert outline.open == []
    assert addresses
    assert all(address.startswith("data:image/") for address in addresses)
    assert outline.named("script") == outline.named("link") == []
    assert all(image["alt"] for image in outline.named("img"))


def test_the_page_shows_every_section(make_run: Any) -> None:
    page = page_of(make_run(test=True))

    for words in (
        "mIoU over the control",
        "Boundary F, test images",
        "the teacher is right and the student wrong",
        "validation mIoU",
        "loss term lix_features",
        "Confusion matrix of the student",
        "0 of them clearly",
        "mIoU and mF are means over the classes",
    ):
        assert words in page
    for words in ("Precision over recall", "CDR", "AP50", "boxes", "COCO", "fwIoU over"):
        assert words not in page


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.01, 0.07, "is better than"), (-0.2, 0.1, "cannot be told apart"), (-0.2, -0.1, "is worse")],
)
def test_the_headline_goes_by_the_miou(make_run: Any, low: float, high: float, words: str) -> None:
    page = page_of(make_run(difference={"difference": 0, "low": low, "high": high, "share_above_zero": 0.5}))

    assert words in page
    assert f"95 % interval {low:+.3f} to {high:+.3f}" in page


def test_a_method_without_teacher(make_run: Any) -> None:
    page = page_of(make_run(teacher=False, gap=None))

    assert "furthest behind the control" in page
    assert "teacher" not in text_of(page)


def test_many_classes_have_drawn_confusion_matrices(make_run: Any) -> None:
    few, many = ([f"class {n}" for n in range(MAX_NUMBERS + more)] for more in (0, 1))
    folder = make_run(classes=few, images=1)
    numbers = page_of(folder)
    shutil.rmtree(folder)
    drawn = page_of(make_run(classes=many, images=1))

    assert numbers.count('class="matrix"') == 3
    assert "Confusion matrix of the student, rows are true classes." not in numbers
    assert 'class="matrix"' not in drawn
    assert "Confusion matrix of the student, rows are true classes." in drawn


def test_the_page_is_written_where_the_images_were_moved_away(make_run: Any) -> None:
    folder = make_run()
    shutil.rmtree(folder / "images")
    page = page_of(folder)

    assert "6 of these images could not be opened any more" in page
    assert "Confusion matrix of the student" in page


def test_a_failed_and_an_absent_export_check(make_run: Any) -> None:
    folder = make_run(parity=False)
    failed = page_of(folder)
    (folder / "bundle" / "bundle.json").unlink()

    assert "Failed: the ONNX model\nanswers differently" in failed
    assert "850 pixels clearly differ (limit 0)" in failed
    assert "no exported model" in page_of(folder)


def test_names_are_escaped(make_run: Any) -> None:
    page = page_of(make_run(classes=["<script>alert(1)</script>", "R&D $x$", "rest"]))

    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "R&amp;D $x$" in page


@pytest.mark.parametrize("width", [420, 1300])
def test_the_page_fits_into_the_window_of_a_browser(make_run: Any, in_browser: Any, width: int) -> None:
    shown = in_browser(write_report(make_run(classes=[f"a long class {n}" for n in range(12)])), width)

    assert shown["window"] == width
    assert shown["page"] <= width
    assert shown["images"] == shown["loaded"] > 50
