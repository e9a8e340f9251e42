"""Missing labels, and validation images that were trained on."""

import shutil
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from limbeck.config import load_config
from limbeck.tasks.detection2d import Detection2DTask
from limbeck.training.doctor import data
from limbeck.training.doctor.boxes import box_label_findings
from limbeck.training.doctor.data import leak_findings, same_files
from limbeck.training.doctor.examination import examine


def strip(records, keep):
    """The records without the boxes whose label ``keep`` refuses."""

    def spoil(record):
        kept = np.array([keep(label) for label in record.labels], dtype=bool)
        return replace(
            record, boxes_xyxy=record.boxes_xyxy[kept], labels=record.labels[kept], ignore=record.ignore[kept]
        )

    return [spoil(record) for record in records]


def statuses(findings):
    return [(finding.status, finding.check) for finding in findings]


def test_sound_data(task):
    labels, leak = list(box_label_findings(task)), list(leak_findings(task))
    assert statuses(labels + leak) == [("ok", "data"), ("ok", "data leak")]
    assert labels[0].text == "5 training images with 5 boxes of 2 classes, 3 validation images with 2"
    assert leak[0].text == "no validation image is a training image too"


def test_the_demo_is_sound(repo, monkeypatch):
    monkeypatch.chdir(repo)
    task = Detection2DTask.load(load_config(repo / "configs/detection2d/wagons-fitnet.yaml").data)
    assert statuses(chain(box_label_findings(task), leak_findings(task))) == [("ok", "data"), ("ok", "data leak")]


def test_data_left_out_is_told(task):
    spoilt = replace(task, train=replace(task.train, skipped=("9.png: truncated",)))
    _, warning = box_label_findings(spoilt)
    assert warning.status == "warn"
    assert warning.text.endswith("the first: 9.png: truncated")


def test_a_class_without_training_boxes_is_told(task, part):
    _, warning = box_label_findings(part(task, strip(task.train.records, lambda label: label != 1), task.val.records))
    assert (warning.status, warning.check, warning.text) == ("warn", "classes", "no training image shows: number")


@pytest.mark.parametrize("spoilt", ["train", "val"])
def test_a_part_without_any_box_ends_the_examination(spoilt, run_config, task, part):
    records = {"train": task.train.records, "val": task.val.records}
    records[spoilt] = strip(records[spoilt], lambda label: False)
    found = list(examine(run_config("plain"), part(task, **records)))
    assert statuses(found) == [("fail", "data")]


def test_a_training_image_among_the_validation_images(run_config, task, part, findings):
    first = task.train.records[0]
    spoilt = part(task, task.train.records, [*task.val.records, first])
    failed = findings(run_config("plain"), "fail", of=spoilt)
    assert failed == {
        "data leak": f"1 of 4 validation images is a training image too, such as {first.path}: scores would measure "
        "memory; take them out of one part"
    }


@pytest.fixture
def leaked(task, part, tmp_path):
    """Return a function that gives a validation image a file that ``save`` writes of the first training image."""

    def plant(name, save):
        save(task.train.records[0].path, tmp_path / name)
        val = [replace(task.val.records[0], path=tmp_path / name), *task.val.records[1:]]
        return part(task, task.train.records, val)

    return plant


def same_pixels(source, to):
    Image.open(source).save(to, compress_level=1)


def darker_jpeg(source, to):
    ImageEnhance.Brightness(Image.open(source)).enhance(0.7).save(to, quality=70)


@pytest.mark.parametrize("save", [shutil.copy, same_pixels])
def test_a_copy_of_a_training_image(save, leaked, task, tmp_path):
    spoilt = leaked("copy.png", save)
    (finding,) = leak_findings(spoilt)
    assert (finding.status, finding.check) == ("fail", "data leak")
    assert f"such as {tmp_path / 'copy.png'} ({task.train.records[0].path})" in finding.text
    assert bool(same_files([task.train.records[0].path], [tmp_path / "copy.png"])) == (save is shutil.copy)


def test_a_near_copy_of_a_training_image_is_a_warning(leaked, task, tmp_path):
    (finding,) = leak_findings(leaked("copy.jpg", darker_jpeg))
    assert (finding.status, finding.check) == ("warn", "data leak")
    assert finding.text.startswith("1 of 3 validation images nearly shows a training image, most of all")
    assert f"{tmp_path / 'copy.jpg'} ({task.train.records[0].path})" in finding.text


def test_of_many_images_some_are_drawn_and_that_is_said(task, leaked, monkeypatch):
    monkeypatch.setattr(data, "MAX_COMPARED", 2)
    (finding,) = leak_findings(task)
    assert finding.text == (
        "no validation image is a training image too (of 2 and 2 drawn from the two parts; `limbeck data "
        "check` compares all)"
    )
    monkeypatch.setattr(data, "MAX_COMPARED", 1)
    (finding,) = leak_findings(leaked("copy.png", shutil.copy))
    assert finding.status == "fail", "equal files are found among all images"


def test_an_image_that_breaks_off_ends_the_examination(run_config, leaked):
    spoilt = leaked("half.png", lambda source, to: to.write_bytes(source.read_bytes()[:3000]))
    *_, last = found = list(examine(run_config("plain"), spoilt))
    assert statuses(found) == [("ok", "data"), ("fail", "data")]
    assert "half.png" in last.text


def test_a_test_part_is_counted_and_compared_with_both_others(task, tmp_path):
    original, copy = task.val.records[0].path, tmp_path / "copy.png"
    shutil.copy(original, copy)
    first, second = task.train.records[0], replace(task.val.records[0], path=copy)
    tested = replace(task, test=replace(task.val, records=(first, second)))
    labels, *_ = box_label_findings(tested)
    assert labels.text.endswith("3 validation images with 2, 2 test images with 2")
    val, train, both = leak_findings(tested)
    assert (val.status, val.text) == ("ok", "no validation image is a training image too")
    assert (train.status, both.status) == ("fail", "fail")
    assert train.text.startswith(f"1 of 2 test images is a training image too, such as {first.path}: ")
    assert both.text.startswith(f"1 of 2 test images is a validation image too, such as {copy} ({original})")


def test_files_that_only_begin_alike_are_not_the_same(tmp_path):
    content = bytes(10_000)
    files = {"first": content, "copy": content, "other end": content[:-1] + b"1", "longer": content + b"1"}
    for name, text in files.items():
        (tmp_path / name).write_bytes(text)
    first, others = tmp_path / "first", [tmp_path / name for name in ("other end", "longer", "copy")]
    assert same_files([first], others) == {tmp_path / "copy": first}
    assert same_files([first, tmp_path / "copy"], [first]) == {first: first}
    assert same_files([first], []) == {}
