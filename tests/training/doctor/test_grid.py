"""A grid in the wrong place, values that are not those of the points, objects that are too small or too many."""

from dataclasses import replace

import numpy as np
import pytest

from limbeck.tasks.load import load_task
from limbeck.training.doctor.examination import examine
from limbeck.training.doctor.grid import grid_findings
from limbeck.training.fit import seeded_model


@pytest.fixture
def of_the_grid(cloud_run):
    """Return a function that gives the findings on the grid of a student, but for those that are ok, by check."""

    def find(status, change=lambda task: task, data=None, **student):
        config = cloud_run(student=student, data=data)
        task = change(load_task(config))
        spec = seeded_model(config.student, task.classes, 0).spec
        return {f.check: f.text for f in grid_findings(task, spec, config.student) if f.status == status}

    return find


def moved(distance):
    """What moves the labelled boxes of the training part along x; the points stay."""

    def change(task, count=None):
        records = [
            replace(record, boxes=record.boxes + np.float32([distance, 0, 0, 0, 0, 0, 0]))
            for record in task.train.records[:count]
        ]
        return replace(task, train=replace(task.train, records=(*records, *task.train.records[len(records) :])))

    return change


def test_a_grid_that_fits(of_the_grid):
    assert of_the_grid("ok") == {
        "points of the student": "100% of the points of 5 training clouds are in its range",
        "range of the student": "holds the centres of all 18 training objects",
    }
    assert of_the_grid("warn") == of_the_grid("fail") == {}


@pytest.mark.parametrize("values", [3, 5])
@pytest.mark.parametrize("role", ["student", "teacher"])
def test_another_number_of_values(cloud_run, values, role):
    config = cloud_run("itkd", **{role: {"point_features": values}})
    failed = {f.check: f.text for f in examine(config, load_task(config)) if f.status == "fail"}
    assert failed == {
        f"points of the {role}": f"the {role} reads {values} values of a point and the data gives 4 (x, y, z, "
        f"intensity): set {role}.point_features to 4, or name {values} values in data.features"
    }


@pytest.mark.parametrize("z", [(-2, 2), (30, 34)])
def test_a_range_in_the_wrong_place_is_told_in_one_sentence(cloud_run, z):
    place = (100, -8) if z == (-2, 2) else (-8, -8)
    config = cloud_run(student={"range": [*place, z[0], place[0] + 16, place[1] + 16, z[1]]})
    failed = {f.check: f.text for f in examine(config, load_task(config)) if f.status == "fail"}
    assert list(failed) == ["points of the student"]
    text = failed["points of the student"]
    assert text.startswith(f"0% of the points of 5 training clouds are in its range; student.range is x {place[0]} to ")
    assert text.endswith("a range in the wrong place, or points not in metres with z up")


def test_few_points_in_the_range(of_the_grid):
    warned = of_the_grid("warn", range=[-2, -2, -2, 2, 2, 2])
    assert warned["points of the student"].startswith("8% of the points of 5 training clouds are in its range; ")


def test_most_objects_out_of_the_range(of_the_grid):
    text = of_the_grid("fail", moved(30))["range of the student"]
    assert text.startswith("18 of 18 training objects are out of it (18 in x or y, 0 in z): student.range is x -8 to 8")


def test_objects_above_the_range(of_the_grid):
    text = of_the_grid("fail", range=[-8, -8, -2, 8, 8, -0.5])["range of the student"]
    assert text.startswith("18 of 18 training objects are out of it (0 in x or y, 18 in z)")


def test_some_objects_out_of_the_range(of_the_grid):
    text = of_the_grid("warn", lambda task: moved(30)(task, 2))["range of the student"]
    assert text.startswith("6 of 18 training objects are out of it (6 in x or y, 0 in z): the student cannot find")


def test_objects_that_are_ignored_need_not_lie_in_it(of_the_grid):
    assert of_the_grid("ok", lambda task: moved(30)(task, 2), data={"max_range": 20})["range of the student"] == (
        "holds the centres of all 12 training objects"
    )


@pytest.mark.parametrize(
    ("flip", "axis", "low"), [("flip_front_back", "x", [0, -8]), ("flip_left_right", "y", [-8, 0])]
)
def test_a_grid_on_one_side_is_mirrored_away(of_the_grid, flip, axis, low):
    area = [*low, -2, low[0] + 16, low[1] + 16, 2]
    off = {"flip_front_back": 0.0, "flip_left_right": 0.0}
    text = of_the_grid("warn", data={"augment": off | {flip: 0.5}}, range=area)["augmentation"]
    assert text.startswith(f"data.augment.{flip} mirrors {axis}, but student.range has {axis} from 0 to 16 m only")
    assert "augmentation" not in of_the_grid("warn", data={"augment": off}, range=area)


def test_a_class_that_is_smaller_than_a_cell(of_the_grid):
    text = of_the_grid("warn", pillar=[1.0, 1.0])["cells of the student"]
    assert text.startswith("a cell of the head is 1 x 1 m, larger than the median pedestrian 0.60 x 0.70 m: ")


def test_more_objects_than_places(of_the_grid):
    text = of_the_grid("warn", peaks={"max_objects": 2})["places for objects"]
    assert text.startswith("a training cloud has 3 objects of one group, and the student has 2 places")
    two = {"peaks": {"max_objects": 2}, "groups": [["car"], ["pedestrian"]]}
    assert "places for objects" not in of_the_grid("warn", **two)


def test_a_cloud_that_cannot_be_read(of_the_grid, tmp_path):
    def spoilt(task):
        path = tmp_path / "half.npy"
        path.write_bytes(task.train.records[0].path.read_bytes()[:500])
        first, *others = task.train.records
        return replace(task, train=replace(task.train, records=(replace(first, path=path), *others)))

    assert "half.npy" in of_the_grid("fail", spoilt)["points of the student"]
