"""Masks become an assignment, logits a loss and a class map, and models that do not fit are refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from limbeck.core.model import ModelSpec, inputs_of
from limbeck.core.outputs import SegmentationRaw
from limbeck.core.samples import IGNORED_LABEL, Batch, Frame, SemanticMask
from limbeck.core.segmentation import (
    assign_pixels,
    check_same_maps,
    check_same_pixels,
    class_map,
    pixel_cross_entropy,
)
from limbeck.errors import IncompatibleError
from limbeck.imaging import Fit
from limbeck.lookup import build_model, model_config

SPEC = ModelSpec("segmentation", ("road", "pothole", "sky"), ("image",), (8,), (4,), (0.0,) * 3, (1.0,) * 3)


def batch_of(*labels, weights=None):
    targets = [SemanticMask(torch.tensor(rows, dtype=torch.uint8), weights) for rows in labels]
    return Batch({}, targets, [Frame(i, Path(f"{i}.png")) for i in range(len(targets))])


@pytest.fixture
def logits():
    return torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


MASKS = ([[0, 1], [2, IGNORED_LABEL]], [[1, 1], [IGNORED_LABEL, 0]])


def test_the_loss_is_the_mean_over_the_pixels_that_count(logits):
    assignment = assign_pixels(batch_of(*MASKS))
    expected = functional.cross_entropy(logits, torch.tensor(MASKS), ignore_index=IGNORED_LABEL)
    assert pixel_cross_entropy(logits, assignment).item() == pytest.approx(expected.item(), rel=1e-6)
    assert assignment.normaliser == 6
    assert assignment.valid.sum() == 6


def test_classes_are_weighted_as_torch_weighs_them(logits):
    weights = torch.tensor([1.0, 4.0, 0.5])
    assignment = assign_pixels(batch_of(*MASKS, weights=weights))
    expected = functional.cross_entropy(logits, torch.tensor(MASKS), weights.double(), ignore_index=IGNORED_LABEL)
    assert pixel_cross_entropy(logits, assignment).item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_batch_without_a_pixel_that_counts_has_loss_zero(logits):
    leaf = logits[:1].requires_grad_()
    batch = batch_of([[IGNORED_LABEL] * 2] * 2)
    assert batch.targets[0].is_empty
    loss = pixel_cross_entropy(leaf, assign_pixels(batch))
    loss.backward()
    assert loss == 0
    assert not leaf.grad.any()


def test_the_loss_is_float32_under_autocast(logits):
    loss = pixel_cross_entropy(logits.bfloat16(), assign_pixels(batch_of(*MASKS)))
    assert loss.dtype == torch.float32
    assert loss.isfinite()


def test_the_class_map_is_the_likeliest_class_with_its_probability(logits):
    labels, confidence = class_map(logits)
    assert labels.dtype == torch.uint8
    assert torch.equal(labels.long(), logits.argmax(dim=1))
    assert torch.allclose(confidence, logits.float().softmax(dim=1).amax(dim=1))


def test_an_answer_has_the_size_of_the_original_image():
    model = build_model(
        model_config({"model": "lraspp", "backbone": "lean_pico", "head_width": 8}), SPEC.classes
    ).eval()
    fit = Fit.of((50, 20), (64, 64), "letterbox")
    batch = Batch({"image": torch.zeros(1, 3, 64, 64, dtype=torch.uint8)}, [], [Frame(0, Path("0.png"), fit)])
    logits = torch.zeros(1, 3, 64, 64)
    logits[:, 1, :13, 32:] = 5.0  # the right half of the part that the image covers
    logits[:, 2, 26:] = 9.0  # padding, which must not come back
    (found,) = model.predict(SegmentationRaw([], logits), batch)
    assert found.labels.shape == found.confidence.shape == (20, 50)
    assert set(found.labels.unique().tolist()) == {0, 1}
    assert found.labels[0, :25].sum() == 0
    assert found.labels[0, 25:].all()


def test_a_teacher_that_does_not_fit_is_refused_before_anything_runs():
    check_same_pixels("kd", SPEC, SPEC)
    for teacher, words in (
        (None, "needs a teacher and none was given"),
        (replace(SPEC, classes=("road", "sky", "pothole")), "the same classes in the same order"),
        (replace(SPEC, task="detection2d"), "needs segmenters here; the teacher is for detection2d"),
    ):
        with pytest.raises(IncompatibleError, match=words):
            check_same_pixels("kd", SPEC, teacher)


def test_maps_of_another_shape_are_refused(logits):
    raw = SegmentationRaw([], logits)
    assert check_same_maps("kd", raw, raw) is raw
    with pytest.raises(IncompatibleError, match="and none ran"):
        check_same_maps("kd", raw, None)
    with pytest.raises(IncompatibleError, match=r"the teacher gave logits of shape \(1, 3, 2, 2\)"):
        check_same_maps("kd", raw, SegmentationRaw([], logits[:1]))


def test_the_inputs_of_a_step_are_those_of_both_models_once():
    teacher = replace(SPEC, inputs=("image", "normals"))
    assert inputs_of(SPEC, teacher) == ("image", "normals")
    assert inputs_of(SPEC, None) == ("image",)
