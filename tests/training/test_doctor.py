"""Every check of the doctor finds the fault that it is there for."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from limbeck.config import RunConfig, TrainConfig
from limbeck.lookup import method_config, model_config
from limbeck.training import doctor
from limbeck.training.doctor import examine
from limbeck.weights import save_weights

LIGHT = {"backbone": "test_resnet", "channels": 16, "tower_depth": 1, "strides": (8, 16, 32)}


@pytest.fixture
def run_config(task):
    """Return a function that makes the config of a run by the methods given."""

    def make(*methods, teacher=None, checkpoint=None, student=None, **train):
        named = [{"name": f"toy_methods:{name}"} if name[0].isupper() else {"name": name} for name in methods]
        return RunConfig(
            name="toy",
            data=task.config,
            teacher=model_config({"model": "gfl"} | LIGHT | (teacher or {})),
            teacher_checkpoint=checkpoint,
            student=model_config({"model": "gfl"} | LIGHT | (student or {})),
            methods=tuple(method_config(settings) for settings in named),
            train=TrainConfig(**{"batch_size": 4, "workers": 0, "precision": "fp32"} | train),
        )

    return make


@pytest.fixture
def save_teacher(make_detector, info, tmp_path):
    """Return a function that writes the weights of an untrained teacher of the classes given."""

    def save(*classes):
        model = make_detector(classes=classes, seed=1)
        path = tmp_path / "teacher.safetensors"
        described = replace(info, model=model.config.model_dump(mode="json"), classes=classes)
        save_weights(path, model.state_dict(), described)
        return path

    return save


def findings(config, task, status):
    return {finding.check: finding.text for finding in examine(config, task) if finding.status == status}


def test_a_sound_run_has_no_failure(run_config, task):
    found = list(examine(run_config("bckd", "Adapter"), task))
    assert {finding.status for finding in found} <= {"ok", "warn"}
    checks = [finding.check for finding in found]
    assert checks[:2] == ["data", "teacher"]
    assert {"memory", "optimizer", "gradient of the student", "gradient of the methods"} <= set(checks)
    assert {"loss term bckd_cls", "loss term bckd_loc", "loss term adapter", "loss term box"} <= set(checks)


def test_a_run_without_a_teacher_is_examined_without(run_config, task):
    assert "teacher" not in [finding.check for finding in examine(run_config("plain"), task)]


@pytest.mark.parametrize("classes", [("number", "wagon"), ("wagon", "door"), ("wagon",)])
def test_a_teacher_of_other_classes(classes, run_config, task, save_teacher):
    config = run_config("bckd", checkpoint=save_teacher(*classes))
    text = findings(config, task, "fail")["classes of the teacher"]
    assert text == f"its classes are {list(classes)}, the data has ['wagon', 'number']"


def test_a_teacher_at_chance_level(run_config, task, save_teacher):
    config = run_config("bckd", checkpoint=save_teacher("wagon", "number"))
    failed = findings(config, task, "fail")
    assert failed.keys() == {"score of the teacher"}
    assert failed["score of the teacher"].endswith("no better than chance")


def test_a_teacher_that_is_good_passes(run_config, task, save_teacher, monkeypatch):
    monkeypatch.setattr(doctor, "CHANCE_AP50", 0.0)
    passed = findings(run_config("bckd", checkpoint=save_teacher("wagon", "number")), task, "ok")
    assert passed["score of the teacher"].endswith("on the validation images")
    assert "classes of the teacher" in passed


def test_a_teacher_whose_file_is_missing(run_config, task, tmp_path):
    failed = findings(run_config("bckd", checkpoint=tmp_path / "none.safetensors"), task, "fail")
    assert failed.keys() == {"teacher"}
    assert "does not exist" in failed["teacher"]


def test_priors_that_do_not_agree(run_config, task):
    failed = findings(run_config("bckd", student={"strides": (16, 32)}), task, "fail")
    assert "needs equal priors" in failed["fit of teacher, student and methods"]


def test_methods_that_clash(run_config, task):
    failed = findings(run_config("Adapter", "Adapter"), task, "fail")
    assert "both give: adapter" in failed["fit of teacher, student and methods"]


def test_a_term_that_is_exactly_zero(run_config, task):
    failed = findings(run_config("Zero"), task, "fail")
    assert failed == {"loss term nothing": "is exactly zero on a batch with objects: it teaches nothing"}


def test_a_term_that_is_not_finite(run_config, task):
    failed = findings(run_config("NotANumber"), task, "fail")
    assert failed["loss term broken"] == "is nan"


def test_an_adapter_without_gradient(run_config, task):
    failed = findings(run_config("Detached"), task, "fail")
    assert failed == {"gradient of the methods": "no parameter gets a gradient"}


def test_some_parameters_without_gradient_are_a_warning(run_config, task):
    found = list(examine(run_config("Detached", "DynamicTeacher"), task))
    assert not [finding for finding in found if finding.status == "fail"]
    (warning,) = [finding for finding in found if finding.check == "gradient of the methods"]
    assert warning.status == "warn"
    assert warning.text == "2 of 8 parameters get none in this batch, such as 0.adapter.weight"


def test_an_adapter_kept_from_the_optimizer(run_config, task):
    failed = findings(run_config("Forgetful"), task, "fail")
    assert failed.keys() == {"optimizer"}
    assert "2 parameters would never be trained, such as methods.0.adapter.weight" in failed["optimizer"]


def test_a_batch_too_large_for_the_memory(run_config, task, monkeypatch):
    free = 30 * 2**20
    monkeypatch.setattr(doctor, "_free_bytes", lambda device: free)
    assert "memory" in findings(run_config("plain", batch_size=4), task, "ok")
    found = list(examine(run_config("plain", batch_size=4096), task))
    assert found[-1].status == "fail"  # the batch itself is not tried any more
    assert found[-1].check == "memory"
    assert "lower train.batch_size" in found[-1].text


def test_the_memory_grows_with_the_batch_and_shrinks_in_bfloat16(run_config, task, monkeypatch):
    monkeypatch.setattr(doctor, "_free_bytes", lambda device: 0)

    def needed(**train):
        return float(findings(run_config("plain", **train), task, "fail")["memory"].split()[1])

    assert needed(batch_size=8000) == pytest.approx(2 * needed(batch_size=4000), rel=0.01)
    assert needed(batch_size=8000, precision="bf16") < needed(batch_size=8000)


def test_saved_bytes_are_what_autograd_keeps():
    layer, images = torch.nn.Linear(10, 10), torch.ones(7, 10)
    with doctor._saved_bytes(layer) as saved:
        layer(images).exp().sum()
    assert saved[0] == 4 * (7 * 10 + 7 * 10)  # the input of the layer and the output of exp, not the weights


def test_data_left_out_is_told(run_config, task):
    spoilt = replace(task, train=replace(task.train, skipped=("9.png: truncated",)))
    assert findings(run_config("plain"), spoilt, "warn")["data"].endswith("the first: 9.png: truncated")


def strip(task, keep):
    """The task without the training boxes whose label ``keep`` refuses."""

    def spoil(record):
        kept = np.array([keep(label) for label in record.labels], dtype=bool)
        return replace(
            record, boxes_xyxy=record.boxes_xyxy[kept], labels=record.labels[kept], ignore=record.ignore[kept]
        )

    return replace(task, train=replace(task.train, records=tuple(spoil(record) for record in task.train.records)))


def test_a_class_without_training_boxes_is_told(run_config, task):
    spoilt = strip(task, lambda label: label != 1)
    assert findings(run_config("plain"), spoilt, "warn")["classes"] == "no training image shows: number"


def test_data_without_any_box_ends_the_examination(run_config, task):
    found = list(examine(run_config("plain"), strip(task, lambda label: False)))
    assert [(finding.status, finding.check) for finding in found] == [
        ("fail", "data"),
        ("warn", "classes"),
    ]
