"""The page as a whole."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limbeck.errors import RunFolderError
from limbeck.report.page import write_report


def page_of(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("low", "high", "outcome", "words"),
    [
        (0.01, 0.07, "better", "is better than the same student trained without distillation"),
        (-0.02, 0.10, "level", "cannot be told apart from the same student trained without distillation"),
        (-0.09, -0.01, "worse", "is worse than the same student trained without distillation"),
    ],
)
def test_the_headline_says_what_happened(make_run: Any, low: float, high: float, outcome: str, words: str) -> None:
    difference = {"difference": (low + high) / 2, "low": low, "high": high, "share_above_zero": 0.5}
    page = page_of(make_run(difference=difference))

    assert f'class="verdict {outcome}"' in page
    assert words in page
    assert f"95 % interval {low:+.3f} to {high:+.3f}" in page


def test_the_page_is_whole_and_needs_nothing_else(make_run: Any, outline_of: Any) -> None:
    page = page_of(make_run())
    outline = outline_of(page)
    addresses = [a.get("src") or a.get("href") or "" for _, a in outline.tags if "src" in a or "href" in a]

    assert outline.open == []
    assert addresses
    assert all(address.startswith("data:image/") for address in addresses)
    assert outline.named("script") == outline.named("link") == []
    assert "@import" not in page
    assert "url(" not in page
    assert all(image["alt"] for image in outline.named("img"))


def test_the_page_shows_every_model_and_section(make_run: Any) -> None:
    page = page_of(make_run())

    for words in ("teacher", "control", "student", "resnet34", "resnet10t", "23.5 M", "1.45 G", "9.7 (11.3)", "9.4 MB"):
        assert words in page
    for words in (
        "brake shoe",
        "Passed: the ONNX model",
        "at most 0.0021 pixels",
        "31 detections",
        "2025-01-31 12:00 UTC",
        "torch 2.10.0",
        "Zen 4",
        "wagon 99.jpg: truncated",
        "2 threads",
        "cd" * 32,
    ):
        assert words in page
    assert "It closes 42 % of the gap" in page
    assert "methods: [bckd]  # &lt;faithful&gt; &amp; https://example.org" in page


def test_a_method_without_teacher(make_run: Any, outline_of: Any) -> None:
    page = page_of(make_run(teacher=False, gap=None))
    outline = outline_of(page)

    assert "furthest behind the control" in page
    assert "gap" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    assert any("boxes of the student" in (image["alt"] or "") for image in outline.named("img"))
    assert not any("teacher" in (image["alt"] or "") for image in outline.named("img"))


def test_a_teacher_that_is_not_better_leaves_no_gap(make_run: Any) -> None:
    assert "there is no gap to close" in page_of(make_run(gap=None))


def test_a_failed_and_an_absent_export_check(make_run: Any, tmp_path: Path) -> None:
    folder = make_run(parity=False)
    failed = page_of(folder)
    (folder / "bundle" / "bundle.json").unlink()

    assert "Failed: the ONNX model\nanswers differently" in failed
    assert "a box differs by 14.2 pixels (limit 1)" in failed
    assert "no exported model" in page_of(folder)


def test_names_are_escaped(make_run: Any) -> None:
    page = page_of(make_run(classes=["<script>alert(1)</script>", "R&D $x$"]))

    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "R&amp;D $x$" in page


def test_the_page_stays_small_with_pictures_that_compress_badly(make_run: Any) -> None:
    folder = make_run(images=12)
    generator = np.random.default_rng(0)
    for path in (folder / "images").iterdir():
        Image.fromarray(generator.integers(0, 255, (700, 700, 3), dtype=np.uint8)).save(path)

    assert 0.5e6 < write_report(folder).stat().st_size < 3e6


def test_a_report_that_cannot_be_written(make_run: Any) -> None:
    folder = make_run()
    (folder / "report.html").mkdir()

    with pytest.raises(RunFolderError, match="cannot be written"):
        write_report(folder)


def test_the_page_shows_rates_and_test_images_where_they_were_measured(make_run: Any) -> None:
    folder = make_run(test=True)
    facts = json.loads((folder / "run.json").read_text())
    facts["data"]["test_images"] = 6
    (folder / "run.json").write_text(json.dumps(facts))
    page = page_of(folder)
    for words in (
        "Image-level rates over the threshold",
        "FDR on the test images",
        "CDR, test images",
        "6 test images",
    ):
        assert words in page


def test_the_page_of_a_run_of_before_there_were_rates_says_nothing_of_them(make_run: Any) -> None:
    page = page_of(make_run(rates=False))
    assert "CDR" not in page
    assert "rates over the threshold" not in page
    assert "test images" not in page


@pytest.mark.parametrize("width", [420, 1300])
def test_the_page_fits_into_the_window_of_a_browser(make_run: Any, in_browser: Any, width: int) -> None:
    shown = in_browser(write_report(make_run(test=True)), width)

    assert shown["window"] == width
    assert shown["page"] <= width
    assert shown["images"] == shown["loaded"] > 20


def test_a_task_without_a_page_is_named(make_run: Any) -> None:
    folder = make_run()
    facts = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(facts | {"task": "detection4d"}))

    with pytest.raises(RunFolderError, match="'detection4d'; a report is written for detection2d, detection3d or seg"):
        write_report(folder)
