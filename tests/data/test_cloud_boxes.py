"""The format boxes: json files beside clouds of any kind, and all that is wrong with them at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data.cloud_points import read_points


def test_clouds_and_their_boxes(clouds: Any) -> None:
    clouds.write_boxes(clouds.car(velocity=[3, -1], points=12, ignore=True, level=1), clouds.post())
    data = clouds.read()
    assert data.classes == ("car", "post")
    assert data.skipped == ()
    assert data.form.columns == data.form.features == ("x", "y", "z", "intensity")
    first, second = data.records
    assert (first.id, first.path) == ("a", clouds.cloud())
    assert (second.id, second.path) == ("b", clouds.cloud("b.npy"))
    assert first.boxes.dtype == np.float32
    np.testing.assert_allclose(first.boxes, [[5, 0, 0, 4, 2, 1.5, 0.5], [-5, 2, 0, 0.5, 0.5, 2, 0]])
    assert first.labels.tolist() == [0, 1]
    assert first.ignore.tolist() == [True, False]
    assert first.levels.tolist() == [1, 0]
    assert first.num_points[0] == 12
    assert second.num_points[0] >= 40
    np.testing.assert_array_equal(first.velocities, [[3, -1], [np.nan, np.nan]])
    np.testing.assert_array_equal(second.velocities, np.full((2, 2), np.nan))  # as one cloud has velocities
    assert read_points(first, data).shape == (500, 4)


def test_json_files_beside_the_clouds_and_in_folders(clouds: Any) -> None:
    for part in ("train", "val"):
        clouds.settings[part].pop("labels")
        for name in "ab":
            clouds.labels(f"{name}.json", part).rename(clouds.cloud(f"{name}.json", part))
    inner = clouds.root / "train/clouds/north"
    inner.mkdir()
    clouds.cloud().rename(inner / "c.bin")
    clouds.cloud("a.json").rename(inner / "c.json")
    assert [record.id for record in clouds.read().records] == ["b", "north/c"]


def test_a_list_chooses_clouds_in_its_order(clouds: Any, tmp_path: Path) -> None:
    chosen = tmp_path / "train.txt"
    chosen.write_text("b\na\n")
    clouds.settings["train"]["list"] = chosen
    assert [record.id for record in clouds.read().records] == ["b", "a"]
    chosen.write_text("b\nc\n")
    (problem,) = clouds.problems()
    assert problem.startswith(f"{chosen}: line 2: {clouds.root / 'train/clouds'} has no ")
    assert problem.endswith(" 'c'")


def test_a_cloud_without_an_object(clouds: Any) -> None:
    clouds.write_boxes()
    record = clouds.read().records[0]
    assert record.boxes.shape == (0, 7)
    assert record.labels.dtype == np.int64
    assert record.velocities is None


def test_clouds_and_labels_without_each_other(clouds: Any) -> None:
    clouds.labels().rename(clouds.labels("c.json"))
    folder = clouds.root / "train"
    assert clouds.problems() == (
        f"{folder / 'labels/c.json'}: there is no cloud of this name in {folder / 'clouds'}",
        f"{clouds.cloud()}: there is no .json file for it in {folder / 'labels'}; a cloud without objects has one too",
    )


def test_clouds_that_differ_in_their_endings_only(clouds: Any) -> None:
    clouds.write_cloud(np.ones((3, 4)), "a.npy")
    what = "'a.bin' and 'a.npy' differ in their endings only, so that their labels would be one file"
    assert clouds.problems() == (f"{clouds.root / 'train/clouds'}: {what}",)


BROKEN: list[tuple[Any, str]] = [
    ("car", "is not an object but 'car'"),
    ({"class": "car"}, "has no 'yaw'; it has 'class'"),
    ({}, "has no 'class'; it has nothing"),
    ({"class": ""}, "has the class '', which is not a text"),
    ({"yaw": "left"}, "has the yaw 'left', which is not a number"),
    ({"centre": [1, 2]}, "has the centre [1, 2], which is not 3 numbers"),
    ({"centre": [1, 2, True]}, "has the centre [1, 2, True], which is not 3 numbers"),
    ({"size": None}, "has the size None, which is not 3 numbers"),
    ({"velocity": [1]}, "has the velocity [1], which is not 2 numbers"),
    ({"velocity": [1, float("inf")]}, "has the velocity [1.0, inf], in which not every number is finite"),
    ({"ignore": 1}, "has the ignore 1, which is neither true nor false"),
    ({"level": -1}, "has the level -1, which is not a whole number of 0 or more"),
    ({"points": 1.5}, "has the points 1.5, which is not a whole number of 0 or more"),
    ({"yaw": float("nan")}, "has the box [5, 0, 0, 4, 2, 1.5, nan], in which not every number is finite"),
    ({"size": [4, 0, -1]}, "has the box [5, 0, 0, 4, 0, -1, 0.5], whose width and height is not positive"),
    ({"centre": [5e7, 0, 0]}, "has the box [5e+07, 0, 0, 4, 2, 1.5, 0.5], which is not near a LiDAR"),
]


@pytest.mark.parametrize(("change", "problem"), BROKEN, ids=[problem for _, problem in BROKEN])
def test_boxes_that_are_none(clouds: Any, change: Any, problem: str) -> None:
    whole = isinstance(change, dict) and change.keys() - {"class"}
    file = clouds.write_boxes(clouds.car(), {**clouds.car(), **change} if whole else change)
    assert clouds.problems() == (f"{file}: box 2 {problem}",)


def test_all_that_is_broken_is_told_at_once_and_skip_leaves_it_out(clouds: Any) -> None:
    file = clouds.write_boxes(clouds.car(size=[0, 1, 1]), clouds.post(), clouds.car(yaw=None), clouds.car(points=3))
    other = clouds.labels(part="val")
    other.write_text('{"boxes": [')
    third = clouds.labels("b.json", "val")
    third.write_text("[]")
    expected = (
        f"{file}: box 3 has the yaw None, which is not a number",
        f"{file}: box 1 has the box [5, 0, 0, 0, 1, 1, 0.5], whose length is not positive",
        f"{other}: not valid json; it breaks off or is wrong at line 1, column 12 (Expecting value)",
        f"{third}: has no list 'boxes'",
    )
    assert clouds.problems() == expected
    clouds.settings["on_broken"] = "skip"
    third.write_text('{"boxes": []}')
    train, val = clouds.read(), clouds.read("val")
    assert train.skipped == expected[:2]
    assert train.records[0].labels.tolist() == [1, 0]
    assert train.records[0].num_points[1] == 3
    assert [record.id for record in val.records] == ["b"]
    assert val.skipped == expected[2:3]
