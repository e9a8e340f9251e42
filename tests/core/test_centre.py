"""The contract of centre heads: what a spec says of its cells, and which teachers are refused."""

from dataclasses import replace

import pytest
import torch

from limbeck.core.centre import CentreRaw, CentreSpec, box_codes, check_ran, check_same_cells
from limbeck.core.model import ModelSpec
from limbeck.errors import IncompatibleError
from limbeck.ops.pillars import PillarGrid

BRANCHES = {"reg": 2, "height": 1, "dim": 3, "rot": 2}


def spec(area=(0.0, -8.0, -1.0, 16.0, 8.0, 3.0), pillar=(0.5, 0.25), stride=2.0, **changes):
    settings = {
        "task": "detection3d",
        "classes": ("car", "post"),
        "inputs": ("points",),
        "channels": (4,),
        "strides": (2,),
        "mean": (),
        "std": (),
        "grid": PillarGrid(area, pillar),
        "point_features": 4,
        "max_points": 20,
        "stride": stride,
        "groups": ({"hm": 2, **BRANCHES},),
        "class_groups": ((0, 1),),
        "max_objects": 50,
    }
    return CentreSpec(**settings | changes)


def test_the_cells_of_the_maps():
    assert spec().grid.size_xy == (32, 64)
    assert spec().map_hw == (32, 16)
    assert spec().cell_xy == (1.0, 0.5)
    assert spec(stride=0.5).map_hw == (128, 64)
    assert spec(stride=0.5).cell_xy == (0.25, 0.125)


def test_box_codes_stand_in_one_order_whatever_the_order_of_the_branches():
    sizes = {"hm": 1, "rot": 2, "vel": 2, "dim": 3, "reg": 2, "height": 1}
    maps = {name: torch.full((1, size, 2, 3), float(place)) for place, (name, size) in enumerate(sizes.items())}
    codes = box_codes(maps)
    assert codes.shape == (1, 10, 2, 3)
    assert codes[0, :, 0, 0].tolist() == [4, 4, 5, 3, 3, 3, 2, 2, 1, 1]
    del maps["vel"]
    assert box_codes(maps).shape == (1, 8, 2, 3)


def test_a_teacher_with_the_same_cells_is_taken_whatever_its_pillars_and_channels():
    teacher = spec(pillar=(0.25, 0.125), stride=4.0, channels=(99,), point_features=5, max_objects=9)
    assert check_same_cells("itkd", spec(), teacher) is teacher


@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        (None, "needs a teacher and none was given"),
        (ModelSpec("detection3d", ("car", "post"), ("points",), (4,), (2,), (), ()), "needs LiDAR detectors"),
        (spec(classes=("post", "car")), r"same classes in the same groups; the teacher has \['post', 'car'\]"),
        (
            spec(class_groups=((0,), (1,)), groups=({"hm": 1, **BRANCHES},) * 2),
            r"in groups \[\(0,\), \(1,\)\] and the student \['car', 'post'\] in groups \[\(0, 1\)\]",
        ),
        (spec(stride=4.0), r"the teacher's cells are \(2.0, 1.0\) m in the range .* the student's \(1.0, 0.5\) m"),
        (spec(area=(16.0, -8.0, -1.0, 32.0, 8.0, 3.0)), r"in the range \[16.0, -8.0"),
    ],
    ids=["none", "another kind", "order of classes", "groups", "cells", "range"],
)
def test_a_teacher_whose_cells_are_others_is_refused(teacher, words):
    with pytest.raises(IncompatibleError, match=f"The method 'itkd' .*{words}"):
        check_same_cells("itkd", spec(), teacher)


def test_a_student_of_another_kind_is_refused():
    other = ModelSpec("detection3d", ("car", "post"), ("points",), (4,), (2,), (), ())
    with pytest.raises(IncompatibleError, match="on both sides"):
        check_same_cells("sparsekd", other, spec())


def test_a_teacher_that_did_not_run_is_told():
    raw = CentreRaw([], [])
    assert check_ran("itkd", raw) is raw
    with pytest.raises(IncompatibleError, match="The method 'itkd' needs a teacher and none ran"):
        check_ran("itkd", None)


def test_two_specs_of_one_network_are_equal():
    assert spec() == spec()
    assert spec() != replace(spec(), max_objects=51)
