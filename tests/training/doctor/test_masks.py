"""Masks that show too little, maps in a wrong unit, and a teacher of masks that has nothing to teach."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from limbeck.config import load_config
from limbeck.core.outputs import Segmentation
from limbeck.tasks.load import load_task
from limbeck.training.doctor import masks
from limbeck.training.doctor.masks import blind_miou, mask_label_findings, mask_score_findings


@pytest.fixture
def config(make_mask_run, tmp_path):
    return load_config(make_mask_run(tmp_path / "data"))


@pytest.fixture
def mask_task(config):
    return load_task(config)


def answered(task, change):
    """The tally of a model that gives the true labels, changed."""
    tally = task.tally()
    for frame in task.frames["val"]:
        labels = change(np.minimum(task.labels(frame), 1))
        tally.add([Segmentation(torch.from_numpy(labels), torch.ones(labels.shape))], [frame])
    return tally


def test_sound_masks(mask_task):
    (finding,) = mask_label_findings(mask_task)
    assert finding.status == "ok"
    assert finding.text == (
        "8 training and 3 validation images of 2 classes; training pixels: ground 83.87%, square 16.13%"
    )


def test_a_class_that_no_mask_shows_and_one_that_is_rare(config, monkeypatch):
    names = {"ground": (0,), "square": (1,), "tree": (2,)}
    data = config.data.model_copy(update={"classes": None, "class_map": names})
    task = load_task(config.model_copy(update={"data": data}))
    monkeypatch.setattr(masks, "RARE_SHARE", 0.2)
    warned = [finding.text for finding in mask_label_findings(task) if finding.status == "warn"]
    assert warned[:2] == ["no training mask shows: tree", "no validation mask shows: tree"]
    assert "rare in the training masks, below 20.0% of the pixels: square" in warned[2]


def test_of_many_masks_some_are_read_and_that_is_said(config, monkeypatch):
    monkeypatch.setattr(masks, "MAX_MASKS", 2)
    names = {"ground": (0,), "square": (1,), "tree": (2,)}
    data = config.data.model_copy(update={"classes": None, "class_map": names})
    warned = [f.text for f in mask_label_findings(load_task(config.model_copy(update={"data": data})))]
    assert "no training mask looked at shows: tree" in warned


def test_masks_without_a_pixel_that_counts(mask_task):
    code = replace(mask_task.val.code, labels=np.full_like(mask_task.val.code.labels, 255))
    (finding,) = mask_label_findings(replace(mask_task, val=replace(mask_task.val, code=code)))
    assert finding.status == "fail"


def test_a_good_teacher(mask_task):
    labels, score = mask_score_findings(mask_task, answered(mask_task, lambda labels: labels))
    assert (labels.status, score.status) == ("ok", "ok")
    assert labels.text == "right for 100.0% of the pixels"
    assert score.text.startswith("mIoU 1.000, mF 1.000 on the validation images; giving every pixel")


def test_a_teacher_that_gives_every_pixel_the_same_class(mask_task):
    tally = answered(mask_task, np.zeros_like)
    _, score = mask_score_findings(mask_task, tally)
    assert score.status == "fail"
    assert f"mIoU {blind_miou(tally.counts):.3f}" in score.text
    assert "no better than chance" in score.text


def test_a_teacher_whose_logits_are_in_another_order(mask_task):
    (labels,) = mask_score_findings(mask_task, answered(mask_task, lambda labels: 1 - labels))
    assert labels.status == "fail"
    assert "100% of 'ground' is called 'square', 100% of 'square' is called 'ground'" in labels.text
    assert labels.text.endswith("probably to ['square', 'ground']")
