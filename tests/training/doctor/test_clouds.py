"""Clouds that show too little or are in two parts, and a teacher of boxes in space that has nothing to teach."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from limbeck.core.outputs import Detections3D
from limbeck.tasks.load import load_task
from limbeck.training.doctor import class_order
from limbeck.training.doctor.clouds import cloud_label_counts, cloud_label_findings, cloud_score_findings
from limbeck.training.doctor.data import data_findings, leak_findings
from limbeck.training.doctor.examination import FIT, examine


@pytest.fixture
def cloud_task(cloud_run):
    """Return a function that reads the clouds by the settings given."""
    return lambda **data: load_task(cloud_run(data=data))


def told(findings, status):
    return {finding.check: finding.text for finding in findings if finding.status == status}


def test_sound_clouds(cloud_task):
    found = list(data_findings(cloud_task()))
    assert [(finding.status, finding.check) for finding in found] == [("ok", "data"), ("ok", "data leak")]
    assert found[0].text == (
        "6 training clouds with 18 objects of 2 classes, 4 validation clouds with 12; in training and validation: car "
        "6 and 4, pedestrian 12 and 8"
    )
    assert found[1].text == "no validation cloud is a training cloud too"


def test_a_sound_run_of_lidar_has_nothing_against_it(cloud_run):
    config = cloud_run("sparsekd")
    found = list(examine(config, load_task(config)))
    assert [finding for finding in found if finding.status != "ok"] == []
    assert {"points of the student", "range of the student", "loss term heat_map"} <= {f.check for f in found}


def test_a_class_without_an_object(cloud_task):
    names = {"car": ["car"], "pedestrian": ["pedestrian"], "tram": ["tram"]}
    found = cloud_label_findings(cloud_task(classes=["car", "pedestrian", "tram"], class_map=names))
    warned = [finding.text for finding in found if finding.status == "warn"]
    assert warned == [
        "no training cloud has an object that counts of: tram",
        "no validation cloud has an object that counts of: tram",
    ]


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ({"max_range": {"car": 1.0}}, "ok", "6 of 18 training objects (33%) are neither learnt nor background: 6 far"),
        ({"max_range": {"pedestrian": 1.0}}, "warn", "12 of 18 training objects (67%)"),
        ({"max_range": {"pedestrian": 1.0}}, "warn", "background: 12 farther than data.max_range"),
    ],
)
def test_objects_that_are_ignored(cloud_task, settings, status, words):
    found = told(cloud_label_findings(cloud_task(**settings)), status)
    assert words in found["ignored objects"]


def test_each_reason_why_objects_are_ignored_is_counted_once(cloud_task):
    task = cloud_task(max_range={"car": 1.0}, min_points=100)
    marked = [replace(record, ignore=np.array([False, False, True])) for record in task.train.records]
    findings = cloud_label_findings(replace(task, train=replace(task.train, records=tuple(marked))))
    assert told(findings, "fail")["data"].endswith(
        "no training object counts: 6 marked so, 6 farther than data.max_range, 6 with fewer than 100 points "
        "(data.min_points)"
    )


def test_a_part_without_an_object_that_counts_ends_the_examination(cloud_run):
    config = cloud_run(data={"max_range": 0.5})
    (finding,) = examine(config, load_task(config))
    assert (finding.status, finding.check) == ("fail", "data")


def test_broken_entries_that_are_left_out_are_told(cloud_task):
    task = cloud_task()
    spoilt = replace(task, train=replace(task.train, skipped=("9.json: broken",)))
    assert told(cloud_label_findings(spoilt), "warn")["data"].endswith("the first: 9.json: broken")


def test_a_training_cloud_among_the_validation_clouds(cloud_task, tmp_path):
    task = cloud_task()
    source, copy = task.train.records[2].path, tmp_path / "copy.npy"
    shutil.copy(source, copy)
    first, *others = task.val.records
    leaked = replace(task, val=replace(task.val, records=(replace(first, path=copy), *others)))
    (finding,) = leak_findings(leaked)
    assert finding.status == "fail"
    assert finding.text.startswith(f"1 of 4 validation clouds is a training cloud too, such as {copy} ({source}): ")


def test_clouds_of_one_file_are_all_counted(cloud_task):
    task = cloud_task()
    first = task.train.records[0]
    rows = tuple(replace(first, id=f"all:{row}", row=row) for row in range(3))
    (finding,) = leak_findings(replace(task, val=replace(task.val, records=(*rows, task.val.records[0]))))
    assert finding.text.startswith(f"3 of 4 validation clouds are training clouds too, such as {first.path}: ")


def answered(task, called=(0, 1), shift=0.0):
    """The tally of a model that gives the labelled boxes, under other labels and beside their places."""
    tally = task.tally()
    for frame, record in zip(task.frames["val"], task.val.records, strict=True):
        boxes = torch.from_numpy(record.boxes) + torch.tensor([shift, 0, 0, 0, 0, 0, 0])
        labels = torch.tensor(called)[torch.from_numpy(record.labels)]
        tally.add([Detections3D(boxes, torch.full((len(boxes),), 0.9), labels)], [frame])
    return tally


@pytest.fixture
def few_are_enough(monkeypatch):
    monkeypatch.setattr(class_order, "MIN_FOUND", 4)


def test_a_good_teacher(cloud_task, few_are_enough):
    task = cloud_task()
    labels, score = cloud_score_findings(task, answered(task))
    assert (labels.status, labels.text) == ("ok", "right for 12 of the 12 objects that it finds")
    assert (score.status, score.check) == ("ok", "score of the teacher")
    assert score.text.startswith("mAP 1.000, NDS ")


def test_a_teacher_whose_logits_are_in_another_order(cloud_task, few_are_enough):
    task = cloud_task()
    (labels,) = cloud_score_findings(task, answered(task, called=(1, 0)))
    assert labels.status == "fail"
    assert "4 of 4 'car' are found as 'pedestrian', 8 of 8 'pedestrian' are found as 'car'" in labels.text
    assert labels.text.endswith("probably to ['pedestrian', 'car']")


def test_a_teacher_that_finds_nothing(cloud_task):
    task = cloud_task()
    (score,) = cloud_score_findings(task, task.tally())
    assert score.status == "fail"
    assert "mAP 0.000" in score.text
    assert "no better than chance" in score.text


def test_what_overlaps_too_little_or_is_ignored_is_not_counted(cloud_task):
    task = cloud_task()
    assert not cloud_label_counts(task.truth, answered(task, shift=4.0).found).any()
    ignoring = cloud_task(max_range={"car": 1.0})
    assert cloud_label_counts(ignoring.truth, answered(ignoring).found).tolist() == [[0, 0], [0, 8]]


def test_an_object_bears_the_label_of_its_surest_detection(cloud_task):
    task = cloud_task()
    tally, record, frame = task.tally(), task.val.records[0], task.frames["val"][0]
    car = torch.from_numpy(record.boxes[record.labels == 0]).expand(2, 7)
    tally.add([Detections3D(car, torch.tensor([0.9, 0.4]), torch.tensor([1, 0]))], [frame])
    assert cloud_label_counts(task.truth, tally.found).tolist() == [[0, 1], [0, 0]]


def test_a_teacher_with_other_cells_is_told_in_one_sentence(cloud_run):
    config = cloud_run("itkd", teacher={"pillar": [0.25, 0.25]})
    failed = told(examine(config, load_task(config)), "fail")
    assert list(failed) == [FIT]
    assert failed[FIT].startswith("The method 'itkd' compares cell by cell; the teacher's cells are (0.25, 0.25) m")
