"""Run folders of segmentation that are not whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limbeck.errors import RunFolderError
from limbeck.report.segmentation.collect import collect, read_labels


def changed(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_reads_a_run(make_run: Any) -> None:
    folder = make_run(test=True)
    run = collect(folder)

    assert list(run.models) == ["teacher", "control", "student"]
    assert run.truth.classes[:2] == ["road", "sky"]
    assert run.models["student"].evaluation.test.data["x"] == {"depth": "d"}
    assert run.facts.data.val_annotations is None
    assert read_labels(run.folder / "truth", 5, run.truth.images[5].size_wh).shape == (96, 192)
    assert run.bundle.parity.canvas.differing == 12


def test_the_summary_leaves_out_what_is_long(make_run: Any) -> None:
    summary = collect(make_run()).models["student"].evaluation.summary()

    assert "mIoU" in summary["metrics"]
    assert not {"confusion", "image_IoU"} & set(summary)


@pytest.mark.parametrize("name", ["truth.json", "comparison.json", "student/evaluation.json", "run.json"])
def test_a_file_that_is_missing_or_cut_off_is_named(make_run: Any, name: str) -> None:
    folder = make_run()
    text = (folder / name).read_text()
    (folder / name).write_text(text[: len(text) // 2])
    with pytest.raises(RunFolderError, match=f"{name} cannot be used: Invalid JSON"):
        collect(folder)
    (folder / name).unlink()
    with pytest.raises(RunFolderError, match=f"{name} is missing"):
        collect(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"confusion": [[1, 0], [0, 1]]}, "it has other classes"),
        ({"per_class": {"road": {}}}, "it has other classes"),
        ({"image_IoU": [0.5, None]}, "it has 2 images, not 6"),
    ],
)
def test_an_evaluation_of_another_data_set(make_run: Any, changes: dict[str, Any], words: str) -> None:
    folder = make_run()
    changed(folder / "control" / "evaluation.json", **changes)

    with pytest.raises(RunFolderError, match=rf"control/evaluation.json does not fit truth.json: {words}"):
        collect(folder)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (Image.new("L", (5, 4)), r"of 6 x 4 pixels, and is of 5 x 4 pixels in the mode L"),
        (Image.new("RGB", (6, 4)), r"of 6 x 4 pixels, and is of 6 x 4 pixels in the mode RGB"),
        (Image.new("I;16", (6, 4)), r"in the mode I;16"),
    ],
)
def test_a_map_of_another_size_or_depth(tmp_path: Path, image: Image.Image, words: str) -> None:
    image.save(tmp_path / "00003.png")

    with pytest.raises(RunFolderError, match=words):
        read_labels(tmp_path, 3, (6, 4))


def test_a_map_that_is_missing_or_broken(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"00000.png is missing"):
        read_labels(tmp_path, 0, (6, 4))
    Image.fromarray(np.eye(40, dtype=np.uint8)).save(tmp_path / "00000.png")
    whole = (tmp_path / "00000.png").read_bytes()
    (tmp_path / "00000.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunFolderError, match=r"00000.png cannot be used"):
        read_labels(tmp_path, 0, (40, 40))
