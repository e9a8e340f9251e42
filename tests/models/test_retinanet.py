import torch

from limbeck.core.dense_heads import distribution_rows
from limbeck.ops.boxes2d import centres, encode_deltas


def test_nine_anchors_per_cell(make_batch, make_detector):
    raw = make_detector("retinanet")(make_batch())
    assert raw.level_sizes == (576, 144, 36)
    assert raw.class_logits.shape == (2, 756, 2)
    assert raw.box_logits is None
    areas = (raw.priors_xyxy[:9, 2:] - raw.priors_xyxy[:9, :2]).prod(1)
    torch.testing.assert_close(areas.sqrt() / 32, torch.tensor([2 ** (i / 3) for i in (0, 1, 2)] * 3))


def test_l1_loss_is_that_of_the_deltas(make_batch, make_detector):
    model, batch = make_detector("retinanet"), make_batch()
    raw = model(batch)
    assignment = model.assign(raw, batch)
    positive = assignment.positive(2)
    priors = raw.priors_xyxy.expand(2, -1, 4)[positive]
    deltas = encode_deltas(raw.boxes_xyxy[positive], priors) - encode_deltas(assignment.boxes_xyxy[positive], priors)
    expected = deltas.abs().sum() / positive.sum(1).clamp(min=1).sum()
    torch.testing.assert_close(model.losses(raw, assignment, batch)["box"], expected)


def test_locations_between_the_thresholds_have_no_weight(make_batch, make_detector):
    model, batch = make_detector("retinanet"), make_batch()
    assignment = model.assign(model(batch), batch)
    assert (assignment.weights == 0).any()
    assert (assignment.weights[assignment.positive(2)] == 1).all()
    assert (assignment.weights[1] == 1).all()  # a negative image has background only


def test_side_distributions_replace_the_deltas(make_batch, make_detector):
    model, batch = make_detector("retinanet", reg_max=6), make_batch()
    raw = model(batch)
    assert model.spec.reg_max == 6
    assert raw.box_logits.shape == (2, 756, 4, 7)
    x, y = centres(raw.priors_xyxy).unbind(-1)
    expected = (raw.box_logits.softmax(-1) * torch.arange(7)).sum(-1) * raw.location_strides[:, None]
    torch.testing.assert_close(raw.boxes_xyxy[..., 0], x - expected[..., 0])
    torch.testing.assert_close(raw.boxes_xyxy[..., 3], y + expected[..., 3])
    assignment = model.assign(raw, batch)
    terms = model.losses(raw, assignment, batch)
    assert set(terms) == {"focal", "box", "distribution_focal"}
    rows = distribution_rows(raw, assignment)
    torch.testing.assert_close(terms["distribution_focal"], 0.25 * rows.sum() / 4 / assignment.normaliser)
