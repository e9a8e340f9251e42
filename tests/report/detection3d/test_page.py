"""The page of a LiDAR run as a whole; what it shares with the others is in `tests/report/test_page.py`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from limbeck.report.page import write_report


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
        "mAP over the control",
        "mAPH, test clouds",
        "ms per cloud of 20,314 points, median (95th percentile), 2 threads",
        "at its highest, one cloud at a time",
        "71.3 (80.2)",
        "centerpoint_<wbr>pillar",
        "the centres are less than 2 m apart",
        "found by the teacher and missed by the student",
        "validation mAP",
        "loss term itkd_attention",
        "AP by centre distance",
        "By distance",
        "30-50 m",
        "Precision over recall, centres within 2 m",
        "answers like the trained one on 4 validation clouds",
        "boxes differ by at most 0.00012 m or radians, scores by at most 3.1e-06; 0 of 412 boxes without",
        "0.512 PyTorch, 0.512 ONNX",
        "61.2 ms per cloud",
        "20,314 points in the median cloud",
        "40 training and 4 validation clouds",
        "00099.npy: ends too early",
        "bootstrap over the clouds",
    ):
        assert words in page, words
    for words in ("image", "pixel", "COCO", "IoU 0.5"):
        assert words not in re.sub(r"data:image/\S+", "", text_of(page)), words


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.01, 0.07, "is better than"), (-0.2, 0.1, "cannot be told apart"), (-0.2, -0.1, "is worse")],
)
def test_the_headline_goes_by_the_map(make_run: Any, low: float, high: float, words: str) -> None:
    page = page_of(make_run(difference={"difference": 0, "low": low, "high": high, "share_above_zero": 0.5}))

    assert words in page
    assert f"95 % interval {low:+.3f} to {high:+.3f}" in page


def test_a_method_without_teacher(make_run: Any) -> None:
    folder = make_run(teacher=False, gap=None)
    page = page_of(folder)

    assert "furthest behind the control" in page
    assert "teacher" not in text_of(page).replace(str(folder), "")


def test_levels_have_columns(make_run: Any) -> None:
    assert ">moderate<" in page_of(make_run(levels=True))


def test_the_page_is_written_where_the_clouds_were_moved_away(make_run: Any) -> None:
    folder = make_run()
    shutil.rmtree(folder / "data")
    page = page_of(folder)

    assert "4 of these clouds could not be read any more" in page
    assert "By distance" in page


def test_a_failed_and_an_absent_export_check(make_run: Any) -> None:
    folder = make_run(parity=False)
    failed = page_of(folder)
    (folder / "bundle" / "bundle.json").unlink()

    assert "Failed: the ONNX model\nanswers differently" in failed
    assert "a box differs by 1.2 m (limit 0.02)" in failed
    assert "no exported model" in page_of(folder)


def test_names_are_escaped(make_run: Any) -> None:
    page = page_of(make_run(classes=["<script>alert(1)</script>", "R&D $x$", "rest"]))

    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "R&amp;D $x$" in page


@pytest.mark.parametrize("width", [420, 1300])
def test_the_page_fits_into_the_window_of_a_browser(make_run: Any, in_browser: Any, width: int) -> None:
    shown = in_browser(write_report(make_run(levels=True, velocity=True)), width)

    assert shown["window"] == width
    assert shown["page"] <= width
    assert shown["images"] == shown["loaded"] > 20
