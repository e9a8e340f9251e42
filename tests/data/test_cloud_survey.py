"""What clouds hold, and the sentences about what may not be meant."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data.cloud_fit import CloudFit
from limbeck.data.cloud_survey import CloudSurvey, OddSizes, cloud_concerns, survey_clouds


def _survey(clouds: Any) -> CloudSurvey:
    return survey_clouds(clouds.read(), clouds.config)


def test_counts_by_class(clouds: Any) -> None:
    clouds.settings |= {"classes": ("car", "post", "bus"), "max_range": {"post": 5.0}, "min_points": 10}
    clouds.write_boxes(
        clouds.car(points=50),
        clouds.car(points=0, centre=[30, 40, 0], size=[5, 2, 1.5]),
        clouds.car(points=9, ignore=True),
        clouds.post(points=20),
    )
    clouds.write_boxes(clouds.post(points=20, centre=[3, 0, 0]), name="b.json")
    found = _survey(clouds)
    assert (found.clouds, found.without_objects, found.objects) == (2, 0, 5)
    assert (found.empty, found.marked, found.too_far, found.too_few) == (1, 1, 1, 1)
    car, post, bus = found.classes
    assert (car.name, car.objects, car.clouds, car.empty, car.ignored) == ("car", 3, 1, 1, 2)
    assert car.size == (4, 2, 1.5)
    assert (car.median_range, car.farthest) == (5, 50)
    assert (post.objects, post.clouds, post.ignored) == (2, 2, 1)
    assert post.farthest == pytest.approx(math.hypot(5, 2))
    assert (bus.objects, bus.clouds) == (0, 0)
    assert math.isnan(bus.farthest)
    assert found.missing == ("bus",)
    assert found.fit.clouds == 2
    assert found.fit.sizes == (500, 500, 500)
    assert found.largest_yaw == 0.5


def test_boxes_of_an_odd_size(clouds: Any) -> None:
    many = [clouds.car(points=5) for _ in range(28)]
    swapped, long = clouds.car(points=5, size=[1.9, 4.1, 1.5]), clouds.car(points=5, size=[8.1, 2, 1.5])
    clouds.write_boxes(*many)
    assert _survey(clouds).classes[0].odd is None
    clouds.write_boxes(swapped, long, name="b.json")
    assert _survey(clouds).classes[0].odd == OddSizes(2, 1, clouds.cloud("b.npy"))
    clouds.write_boxes(swapped, long, swapped, swapped, name="b.json")  # more than a tenth: they just differ
    assert _survey(clouds).classes[0].odd is None
    clouds.write_boxes(*many[:8])
    clouds.write_boxes(long, name="b.json")
    assert _survey(clouds).classes[0].odd is None  # too few to know what is usual


def test_small_things_are_not_odd_by_a_few_centimetres(clouds: Any) -> None:
    clouds.write_boxes(*[clouds.post(points=5) for _ in range(28)])
    clouds.write_boxes(clouds.post(points=5, size=[0.2, 0.5, 2]), name="b.json")
    assert _survey(clouds).classes[0].odd is None
    clouds.write_boxes(clouds.post(points=5, size=[0.5, 0.5, 0.9]), name="b.json")
    assert _survey(clouds).classes[0].odd == OddSizes(1, 0, clouds.cloud("b.npy"))


def test_nothing_odd_about_sound_clouds(clouds: Any) -> None:
    clouds.write_boxes(clouds.car())
    clouds.write_boxes(clouds.car(), name="b.json")
    assert cloud_concerns({"train": _survey(clouds)}) == []


def test_a_sentence_for_everything_odd(clouds: Any) -> None:
    clouds.settings["min_points"] = 0
    clouds.write_boxes(clouds.car())
    clouds.write_boxes(clouds.car(), name="b.json")
    sound = _survey(clouds)
    car = sound.classes[0]
    bus = replace(car, name="bus", objects=0)
    odd = replace(car, odd=OddSizes(2, 1, Path("b.npy")))
    fit = CloudFit(clouds=3, sizes=(1, 2, 3), boxes=10, far=6, inside=500, readings={"z were the top of the box": 900})
    many = replace(sound, classes=(odd, bus), objects=50, empty=30, largest_yaw=178.0, fit=fit)
    assert cloud_concerns({"train": many, "val": replace(sound, classes=(replace(car, ignored=2), bus))}) == [
        "2 boxes of 2 of the training class 'car', the first in b.npy, differ from its median of 4.00 x 2.00 x 1.50 m "
        "by a factor of more than 2; with length and width swapped, 1 would not be",
        "no training cloud has an object of 'bus': it cannot be learnt",
        "a training box has a yaw of 178.0, more than a turn; yaw is in radians",
        "60 % of the training boxes have no point inside: they can neither be learnt nor found",
        "60 % of the training boxes are more than 2 m from any point: clouds and labels may not belong together, or be "
        "in different frames or units",
        "the boxes of 3 clouds of the training part hold 500 points, and would hold 900 if z were the top of the box",
        "all validation objects of 'car' are ignored: it cannot be measured",
        "no validation cloud has an object of 'bus': it cannot be measured",
    ]
    assert cloud_concerns({"val": replace(sound, objects=0)}) == ["the validation clouds have no object at all"]


def test_a_part_without_any_object_is_counted(clouds: Any) -> None:
    for name in ("a.json", "b.json"):
        clouds.write_boxes(name=name, part="val")
    found = survey_clouds(clouds.read("val"), clouds.config)
    assert (found.objects, found.without_objects, found.largest_yaw) == (0, 2, 0)
    assert np.isnan(found.classes[0].size).all()
