"""Clouds with the same bytes, inside a part and across parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from limbeck.data import cloud_duplicates
from limbeck.data.cloud_duplicates import identical_files, twin_sentences
from limbeck.data.cloud_records import CloudData, CloudRecord, no_boxes
from limbeck.point_files.point_format import PointFormat


def _part(*paths: Path) -> CloudData:
    records = tuple(CloudRecord(id=str(n), path=p, **no_boxes()) for n, p in enumerate(paths))
    return CloudData(records, (), (), PointFormat((), ()))


def _write(folder: Path, **contents: str) -> dict[str, Path]:
    paths = {name: folder / f"{name}.bin" for name in contents}
    for name, text in contents.items():
        paths[name].write_text(text)
    return paths


def test_groups_of_files_with_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_duplicates, "HEAD_BYTES", 2)
    files = _write(tmp_path, a="same", b="other", c="same", d="sane", e="saws", f="other", g="long one")
    assert identical_files([*files.values(), files["a"]]) == [[files["a"], files["c"]], [files["b"], files["f"]]]
    assert identical_files([]) == []


def test_clouds_in_two_parts_and_twice_in_one(tmp_path: Path) -> None:
    files = _write(tmp_path, a="1", b="22", c="1", d="22", e="333", f="1", g="4444")
    leaks, copies = twin_sentences(
        {
            "train": _part(files["a"], files["b"], files["c"], files["e"]),
            "val": _part(files["d"], files["e"], files["g"]),
            "test": _part(files["f"], files["g"]),
        }
    )
    assert leaks == [
        f"{files['d']}: the same bytes as the training cloud {files['b']}",
        f"{files['e']}: is a training cloud too",
        f"{files['f']}: the same bytes as the training cloud {files['a']}",
        f"{files['g']}: is a validation cloud too",
    ]
    first = f"the first are {files['a']} and {files['c']}"
    assert copies == [f"1 training clouds have the same bytes as another one; {first}"]


def test_frames_of_one_file_are_no_copies(tmp_path: Path) -> None:
    files = _write(tmp_path, a="1", b="2")
    assert twin_sentences({"train": _part(files["a"], files["a"]), "val": _part(files["b"])}) == ([], [])
