"""Settings of data with point clouds, and the one sentence for each that is wrong."""

import math

import pytest
from pydantic import ValidationError

from limbeck.data.cloud_config import CloudAugment, CloudDataConfig

PART = {"clouds": "clouds", "labels": "labels"}
CAMERA = PART | {"calib": "calib"}


def config(part=None, **settings):
    part = PART if part is None else part
    return CloudDataConfig.model_validate({"train": part, "val": part} | settings)


def problems(part=None, **settings):
    """What the message says, one sentence after the other."""
    with pytest.raises(ValidationError) as error:
        config(part, **settings)
    return [detail["msg"].removeprefix("Value error, ") for detail in error.value.errors()]


def test_the_defaults():
    found = config()
    assert (found.format, found.min_points, found.max_range, found.sweeps) == ("boxes", 1, None, 1)
    assert found.point_columns == found.point_features == ("x", "y", "z", "intensity")
    assert found.augment == CloudAugment(flip_left_right=0.5, rotation=math.pi / 4, scale=(0.95, 1.05))
    assert found.canvases is None, "clouds have no canvas"
    assert list(found.parts) == ["train", "val"]
    assert list(config(test=PART).parts) == ["train", "val", "test"]


def test_columns_and_features():
    assert config(format="nuscenes").point_columns == ("x", "y", "z", "intensity", "ring")
    given = config(columns=["x", "y", "z", "intensity", "ring"], features=["x", "y", "z", "ring"])
    assert given.point_columns == ("x", "y", "z", "intensity", "ring")
    assert given.point_features == ("x", "y", "z", "ring")
    assert config(columns=["x", "y", "z"]).point_features == ("x", "y", "z")


@pytest.mark.parametrize("name", ["columns", "features"])
@pytest.mark.parametrize("given", [["y", "x", "z"], ["x", "y"], ["x", "y", "z", "ring", "ring"], []])
def test_points_that_do_not_begin_with_x_y_z(name, given):
    assert problems(**{name: given}) == [f"{name} must begin with x, y, z and name each value once, not {given}"]


def test_a_feature_that_no_column_has():
    assert problems(CAMERA, format="kitti", features=["x", "y", "z", "intensty"]) == [
        "features has 'intensty', which columns does not have (did you mean 'intensity'?)"
    ]
    assert problems(CAMERA, format="kitti", features=["x", "y", "z", "time"]) == [
        "features has 'time', which columns does not have"
    ]
    assert config(format="nuscenes", features=["x", "y", "z", "time"], sweeps=10).sweeps == 10
    assert config(features=["x", "y", "z", "reflectivity"]).point_features[3] == "reflectivity", "files may name more"


@pytest.mark.parametrize("format", ["boxes", "kitti", "frames"])
def test_sweeps_are_for_nuscenes(format):
    part = {"boxes": PART, "kitti": CAMERA, "frames": {"clouds": "clouds"}}[format]
    assert problems(part, format=format, sweeps=2) == [f"sweeps is for the format nuscenes, not for {format}"]


@pytest.mark.parametrize(
    ("class_map", "words"),
    [
        ({"car": []}, "class_map.car has no name in it"),
        ({"car": ["Car", "Van"], "van": ["Van"]}, "class_map.van has the name 'Van', and so has class_map.car"),
    ],
)
def test_a_class_map_that_is_wrong(class_map, words):
    assert problems(class_map=class_map) == [words]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ignore_map": {"car": []}}, "ignore_map.car has no name in it"),
        ({"ignore_map": {"car": ["van"]}, "classes": ["car", "van"]}, "'van', and so has classes"),
        (
            {"ignore_map": {"car": ["Van"]}, "class_map": {"car": ["Car", "Van"]}},
            "ignore_map.car has the name 'Van', and so has class_map.car",
        ),
        ({"ignore_map": {"cra": ["van"]}, "classes": ["car"]}, "ignore_map has 'cra', which is no class"),
    ],
)
def test_an_ignore_map_that_is_wrong(settings, words):
    (text,) = problems(**settings)
    assert words in text


def test_classes_that_the_class_map_does_not_have():
    assert problems(class_map={"car": ["Car"]}, classes=["car", "cra"]) == [
        "classes has 'cra', which class_map does not have (did you mean 'car'?)"
    ]


@pytest.mark.parametrize(
    ("part", "settings", "words"),
    [
        ({"clouds": "c"}, {"format": "kitti", "label_frame": "lidar"}, "{}.labels is missing: the format kitti needs"),
        ({"clouds": "c"}, {"format": "nuscenes"}, "{}.labels is missing: the format nuscenes needs the folder"),
        (PART, {"format": "frames"}, "{}.labels is not for the format frames, whose files hold their boxes"),
        (PART, {"format": "kitti"}, "{}.calib is missing: labels of the format kitti are in the frame of the camera"),
        (CAMERA, {"format": "kitti", "label_frame": "lidar"}, "{}.calib is for labels in the frame of a camera"),
        (CAMERA, {}, "{}.calib is for labels in the frame of a camera (format kitti)"),
    ],
)
def test_parts_that_do_not_fit_the_format(part, settings, words):
    (text,) = problems(part, **settings)
    for name in ("train", "val"):
        assert words.format(name) in text


def test_the_frame_of_the_labels_is_for_kitti():
    assert problems(label_frame="lidar") == ["label_frame is for the format kitti, not for boxes"]
    assert config(format="kitti", label_frame="lidar").label_frame == "lidar"
    assert config(CAMERA, format="kitti").label_frame == "camera"


def test_all_problems_are_told_at_once():
    (text,) = problems(columns=["x"], sweeps=3, class_map={"car": []}, label_frame="lidar")
    assert text.count("; ") == 3


@pytest.mark.parametrize(
    "settings",
    [
        {"max_range": 0},
        {"max_range": {"car": -1}},
        {"min_points": -1},
        {"sweeps": 0},
        {"iou_thresholds": {"car": 0}},
        {"iou_thresholds": {"car": 1.1}},
        {"format": "waymo"},
        {"label_frame": "world"},
        {"size": [64, 64]},
    ],
    ids=str,
)
def test_values_out_of_their_range_and_unknown_keys(settings):
    assert len(problems(**settings)) >= 1


@pytest.mark.parametrize(
    "settings",
    [
        {"scale": (1.1, 1.0)},
        {"scale": (0.4, 1.0)},
        {"scale": (1.0, 2.1)},
        {"rotation": -0.1},
        {"rotation": 3.2},
        {"rotation": math.inf},
        {"flip_left_right": 1.1},
        {"flip_front_back": -0.1},
        {"dropout": 1.0},
        {"paste": {"car": 0}},
        {"flip": 0.5},
    ],
    ids=str,
)
def test_augmentation_that_cannot_be(settings):
    with pytest.raises(ValidationError):
        CloudAugment(**settings)


def test_a_scale_that_is_no_range_is_told_in_a_sentence():
    with pytest.raises(ValidationError, match=r"0.5 <= smallest <= largest <= 2, not \[1.1, 1.0\]"):
        CloudAugment(scale=(1.1, 1.0))


def test_paths_of_a_part():
    found = config(CAMERA, format="kitti").train
    assert found.folder == found.clouds
    assert str(found.calib) == "calib"
