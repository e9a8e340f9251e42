import dataclasses

import pytest
import torch
from pydantic import ValidationError

from limbeck.core.dense2d import DenseDetectorConfig, Postprocess, check_same_locations, check_same_outputs
from limbeck.core.samples import Boxes2D
from limbeck.errors import IncompatibleError


def test_ignore_regions_lose_their_weight_but_objects_in_them_keep_it(make_batch, make_detector):
    model, batch = make_detector("gfl"), make_batch(images=1)
    raw = model(batch)
    before = model.assign(raw, batch)
    region = torch.tensor([[0.0, 0, 31, 31]])
    target = batch.targets[0]
    batch.targets[0] = Boxes2D(
        torch.cat([target.boxes_xyxy, region]),
        torch.cat([target.labels, torch.tensor([0])]),
        torch.cat([target.ignore, torch.tensor([True])]),
    )
    after = model.assign(raw, batch)
    assert torch.equal(before.labels, after.labels)  # a region is nothing to be found
    centre = (raw.priors_xyxy[:, :2] + raw.priors_xyxy[:, 2:]) / 2
    inside = (centre <= 31).all(1)
    positive = after.positive(2)[0]
    assert (after.weights[0][inside & ~positive] == 0).all()
    assert (after.weights[0][~inside | positive] == 1).all()


@pytest.mark.parametrize("model_name", ["gfl", "retinanet"])
def test_the_weight_of_an_object_scales_the_rows_of_its_locations(make_batch, make_detector, model_name):
    model, batch = make_detector(model_name), make_batch(images=2)
    raw = model(batch)
    plain = model.assign(raw, batch)
    for factor in (1.0, 3.0):
        batch.targets[0].weights = torch.full((len(batch.targets[0]),), factor)
        batch.targets[0].weights[0] = 1.0
        weighted = model.assign(raw, batch)
        for name in ("labels", "boxes_xyxy", "normaliser"):
            assert torch.equal(getattr(weighted, name), getattr(plain, name))
        of_others = (plain.boxes_xyxy[0] != batch.targets[0].boxes_xyxy[0]).any(1) & plain.positive(2)[0]
        assert of_others.any()
        expected = plain.weights.clone()
        expected[0, of_others] *= factor
        assert torch.equal(weighted.weights, expected)


def test_weights_of_one_change_no_loss(make_batch, make_detector):
    for name in ("gfl", "retinanet"):
        model, batch = make_detector(name), make_batch()
        raw = model(batch)
        before = model.losses(raw, model.assign(raw, batch), batch)
        for target in batch.targets:
            target.weights = torch.ones(len(target))
        after = model.losses(raw, model.assign(raw, batch), batch)
        assert all(torch.equal(after[term], before[term]) for term in before)


def test_an_ignore_region_keeps_the_weights_of_the_objects_in_their_place(make_batch, make_detector):
    model, batch = make_detector("gfl"), make_batch(images=1)
    target = batch.targets[0]
    assert len(target) > 1
    target.ignore[0] = True
    target.weights = torch.arange(1.0, len(target) + 1)
    raw = model(batch)
    assignment = model.assign(raw, batch)
    assert assignment.positive(2).any()
    for box, weight in zip(target.boxes_xyxy[1:], target.weights[1:], strict=True):
        of_box = (assignment.boxes_xyxy[0] == box).all(1)
        assert (assignment.weights[0][of_box] == weight).all()


def test_normaliser_counts_a_negative_image_once(make_batch, make_detector):
    model, batch = make_detector("gfl"), make_batch()
    assignment = model.assign(model(batch), batch)
    positives = assignment.positive(2).sum(1)
    assert positives[1] == 0
    assert assignment.normaliser == positives[0] + 1


def test_postprocess_refuses_impossible_settings():
    with pytest.raises(ValidationError):
        Postprocess(score_threshold=1.5)
    with pytest.raises(ValidationError, match="strides must start at"):
        DenseDetectorConfig(model="x", strides=(8, 32))


def test_locations_must_agree(make_detector):
    student = make_detector("gfl").spec
    with pytest.raises(IncompatibleError, match="needs a teacher and none was given"):
        check_same_locations("bckd", student, None)
    with pytest.raises(IncompatibleError, match=r"same classes in the same order.*'b', 'a'"):
        check_same_locations("bckd", student, dataclasses.replace(student, classes=("b", "a")))
    with pytest.raises(IncompatibleError, match="equal priors"):
        check_same_locations("bckd", student, make_detector("retinanet").spec)
    check_same_locations("bckd", student, make_detector("gfl", channels=32, backbone="test_efficientnet").spec)


def test_outputs_must_agree(make_batch, make_detector):
    model = make_detector("gfl")
    small, large = model(make_batch(side=64)), model(make_batch(side=96))
    with pytest.raises(IncompatibleError, match=r"\(64, 16, 4\)"):
        check_same_outputs("bckd", small, large)
    assert check_same_outputs("bckd", small, small) is small
