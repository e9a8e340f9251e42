"""Reading parts of a data set of clouds: classes, empty parts, and files that are broken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def test_classes_are_those_of_the_training_part_by_the_alphabet(clouds: Any) -> None:
    clouds.write_boxes(clouds.car(), clouds.post(**{"class": "bus"}))
    clouds.write_boxes(clouds.car(**{"class": "tram"}), clouds.post(), part="val")
    assert clouds.read().classes == ("bus", "car", "post")
    val = clouds.read("val")
    assert val.classes == ("bus", "car", "post")
    folder = clouds.root / "val/labels"
    assert val.skipped == (f"{folder}: 1 objects of 'tram' are left out, as it is not among the classes to learn",)
    assert val.records[0].labels.tolist() == [2]


def test_classes_of_the_settings_choose_objects_with_all_that_belongs_to_them(clouds: Any) -> None:
    clouds.settings["classes"] = ("post",)
    clouds.write_boxes(clouds.car(points=1), clouds.post(points=2, velocity=[1, 2], level=1, ignore=False))
    data = clouds.read()
    assert data.classes == ("post",)
    folder = clouds.root / "train/labels"
    assert data.skipped == (f"{folder}: 2 objects of 'car' are left out, as it is not among the classes to learn",)
    record = data.records[0]
    np.testing.assert_allclose(record.boxes, [[-5, 2, 0, 0.5, 0.5, 2, 0]])
    assert (record.labels.tolist(), record.num_points.tolist(), record.levels.tolist()) == ([0], [2], [1])
    np.testing.assert_array_equal(record.velocities, [[1, 2]])


def test_a_class_map_joins_names_and_says_the_order(clouds: Any) -> None:
    clouds.settings["class_map"] = {"thing": ["post", "bin"], "vehicle": ["car", "bus"]}
    data = clouds.read()
    assert data.classes == ("thing", "vehicle")
    assert data.records[0].labels.tolist() == [1, 0]
    clouds.settings["classes"] = ("vehicle",)
    data = clouds.read()
    assert data.records[0].labels.tolist() == [0]
    assert data.skipped[0].endswith("2 objects of 'post' are left out, as it is not among the classes to learn")


def test_names_near_a_class_are_ignored_as_that_class(clouds: Any) -> None:
    clouds.write_boxes(clouds.car(), clouds.post(), clouds.car(**{"class": "truck"}))
    clouds.settings["ignore_map"] = {"car": ["truck"]}
    data = clouds.read()
    assert data.classes == ("car", "post")
    assert data.records[0].labels.tolist() == [0, 1, 0]
    assert data.records[0].ignore.tolist() == [False, False, True]
    assert not data.skipped
    clouds.settings["classes"] = ("post",)
    clouds.settings["ignore_map"] = None
    assert clouds.read().records[0].ignore.tolist() == [False]


def test_a_class_that_no_object_has_is_named_with_the_nearest_name(clouds: Any) -> None:
    clouds.settings["classes"] = ("car", "posts")
    folder = clouds.root / "train/labels"
    assert clouds.problems() == (f"{folder}: no object is called 'posts' (did you mean 'post'?)",)
    clouds.settings["classes"] = ("car", "post", "bus")  # all names are learnt, so that none of them was meant by it
    assert clouds.read().classes == ("car", "post", "bus")


def test_a_name_in_a_map_that_no_object_has_is_named_with_the_nearest_name_left_out(clouds: Any) -> None:
    clouds.write_boxes(clouds.car(), clouds.post(), clouds.car(**{"class": "truck"}))
    folder = clouds.root / "train/labels"
    clouds.settings["class_map"] = {"vehicle": ["car", "bus"], "pole": ["posts"]}
    clouds.settings["ignore_map"] = {"vehicle": ["trukc"]}
    assert clouds.read().skipped == (
        f"{folder}: 2 objects of 'post' are left out, as it is not among the classes to learn",
        f"{folder}: 1 objects of 'truck' are left out, as it is not among the classes to learn",
        f"{folder}: no object is called 'posts' of class_map.pole (did you mean 'post'?)",
        f"{folder}: no object is called 'trukc' of ignore_map.vehicle (did you mean 'truck'?)",
    )
    assert len(clouds.read("val").skipped) == 1  # a small part need not have them all
    clouds.settings["class_map"] = {"vehicle": ["car", "bus"], "pole": ["post", "posts"]}
    clouds.settings["ignore_map"] = {"vehicle": ["truck"]}
    assert clouds.read().skipped == ()
    clouds.settings["class_map"] = None  # the close names are learnt: none of them was meant
    clouds.settings["ignore_map"] = {"car": ["cars", "trukc"]}
    assert clouds.read().skipped == ()
    clouds.settings["classes"] = ("car", "post")
    assert clouds.read().skipped[1:] == (
        f"{folder}: no object is called 'trukc' of ignore_map.car (did you mean 'truck'?)",
    )


def test_a_training_part_without_an_object(clouds: Any) -> None:
    for part in ("train", "val"):
        clouds.write_boxes(clouds.car(ignore=True), part=part)
        clouds.write_boxes(name="b.json", part=part)
    what = "the data set is empty; none of its 2 clouds has an object"
    assert clouds.problems() == (f"{clouds.root / 'train/labels'}: {what}",)


def test_a_part_without_a_cloud(clouds: Any) -> None:
    clouds.settings["on_broken"] = "skip"
    for name in ("a.bin", "b.npy"):
        clouds.cloud(name, "val").write_bytes(b"12")
    assert clouds.problems() == (f"{clouds.root / 'val/labels'}: the data set is empty; it has no usable cloud",)
    for name in ("a.bin", "b.npy"):
        clouds.cloud(name, "val").unlink()
    folder = clouds.root / "val/clouds"
    what = "the folder has no point cloud in it; looked for .bin, .npy, .pcd, .ply"
    assert clouds.problems() == (f"{folder}: {what}",)


def test_missing_folders_are_named_with_what_is_nearly_called_so(clouds: Any) -> None:
    clouds.settings["train"]["clouds"] = clouds.root / "train/cloud"
    clouds.settings["val"]["labels"] = clouds.labels(part="val")
    assert clouds.problems() == (
        f"{clouds.root / 'train/cloud'}: the folder of clouds does not exist (did you mean 'clouds'?)",
        f"{clouds.labels(part='val')}: a file, but 'labels' is a folder",
    )


def test_broken_clouds_are_told_at_once_and_skip_leaves_them_out(clouds: Any) -> None:
    clouds.cloud().write_bytes(b"123")
    clouds.write_cloud(np.zeros((9, 3)), "b.npy", "val")
    expected = (
        f"{clouds.cloud()}: has 3 bytes, which are no whole number of points with 4 values each (x, y, z, intensity)",
        f"{clouds.cloud('b.npy', 'val')}: has 3 values for each point, but columns names 4: x, y, z, intensity",
    )
    assert clouds.problems() == expected
    clouds.settings["on_broken"] = "skip"
    assert [record.id for record in clouds.read().records] == ["b"]
    assert clouds.read().skipped == expected[:1]
    assert clouds.read("val").skipped == expected[1:]


def test_features_that_a_file_does_not_have(clouds: Any) -> None:
    clouds.settings["features"] = ("x", "y", "z", "time")
    has = "its points have x, y, z, intensity"
    assert clouds.problems()[0] == f"{clouds.cloud()}: has no 'time'; {has}"


@pytest.mark.parametrize("verify", [False, True])
def test_points_that_are_not_finite_are_found_where_points_are_counted_or_verified(clouds: Any, verify: bool) -> None:
    points = np.ones((9, 4))
    points[0, 0] = np.nan
    clouds.write_cloud(points)
    clouds.write_boxes(clouds.car(points=3))
    if not verify:
        assert clouds.read().records  # nothing is to be counted
        clouds.write_boxes(clouds.car())
    assert len(clouds.problems(verify)) == 1
    clouds.settings["drop_invalid"] = True
    assert clouds.read(verify=verify).records[0].num_points.tolist() == [3 if verify else 0]
