import math

import pytest
import torch

from limbeck.core.samples import Boxes2D
from limbeck.models.atss import ATSS
from limbeck.ops.assign2d import atss
from limbeck.ops.boxes2d import centres, encode_deltas


def test_one_square_prior_per_cell(make_batch, make_detector):
    raw = make_detector("atss")(make_batch())
    assert raw.level_sizes == (64, 16, 4)
    assert raw.class_logits.shape == (2, 84, 2)
    assert raw.centerness_logits.shape == (2, 84)
    assert raw.box_logits is None
    assert raw.priors_xyxy[[0, 64]].tolist() == [[-32, -32, 32, 32], [-64, -64, 64, 64]]


def test_coded_deltas_decode_to_their_box(make_batch, make_detector):
    model, batch = make_detector("atss"), make_batch()
    priors, box = model(batch).priors_xyxy, torch.tensor([3.0, 5, 30, 44])
    coded = encode_deltas(box.expand(84, 4), priors) / torch.tensor([0.1, 0.1, 0.2, 0.2])
    maps = [
        level.T.reshape(1, 4, side, side).expand(2, -1, -1, -1)
        for level, side in zip(coded.split([64, 16, 4]), (8, 4, 2), strict=True)
    ]
    model.dense_head.register_forward_hook(lambda *call: call[-1]._replace(boxes=maps))
    torch.testing.assert_close(model(batch).boxes_xyxy, box.expand(2, 84, 4))


def test_released_parameter_count_of_the_head():
    config = ATSS.Config(backbone="test_resnet")
    head = ATSS(config, tuple(f"class{i}" for i in range(80))).dense_head
    towers = 2 * 4 * (256 * 256 * 9 + 256 + 2 * 256)  # 3x3 convolutions with bias and a group norm each
    outputs = sum(256 * 9 * channels + channels for channels in (80, 4, 1))
    assert sum(p.numel() for p in head.parameters()) == towers + outputs + 5


def test_the_assignment_is_that_of_gfl(make_batch, make_detector):
    batch = make_batch()
    ours, gfl = (model.assign(model(batch), batch) for model in (make_detector("atss"), make_detector("gfl")))
    assert ours.positive(2).any()
    assert torch.equal(ours.labels, gfl.labels)
    assert torch.equal(ours.boxes_xyxy, gfl.boxes_xyxy)


def test_losses_of_one_object_by_hand(make_batch, make_detector):
    model, batch = make_detector("atss"), make_batch(images=1)
    box = torch.tensor([[0.0, 0, 48, 48]])
    batch.targets = [Boxes2D(box, torch.tensor([1]), torch.tensor([False]))]
    raw = model(batch)
    assignment = model.assign(raw, batch)
    positive = assignment.positive(2)
    assert torch.equal(positive[0], atss(raw.priors_xyxy, raw.level_sizes, box) == 0)
    x, y = centres(raw.priors_xyxy)[positive[0]].unbind(1)
    target = [
        math.sqrt(min(a, 48 - a) / max(a, 48 - a) * min(b, 48 - b) / max(b, 48 - b))
        for a, b in zip(x.tolist(), y.tolist(), strict=True)
    ]
    assert len(set(target)) > 1
    raw.centerness_logits = torch.zeros_like(raw.centerness_logits)
    raw.boxes_xyxy = torch.zeros_like(raw.boxes_xyxy)
    raw.boxes_xyxy[positive] = box
    central = torch.tensor(target).argmax()
    raw.boxes_xyxy[0, positive[0].nonzero()[central, 0]] = torch.tensor([0.0, 0, 24, 48])  # 1 - GIoU = 0.5
    losses = model.losses(raw, assignment, batch)
    assert losses["box"].item() == pytest.approx(2 * 0.5 * max(target) / sum(target))
    assert losses["centerness"].item() == pytest.approx(math.log(2))


def test_side_distributions_replace_the_deltas(make_batch, make_detector):
    model, batch = make_detector("atss", reg_max=6), make_batch()
    raw = model(batch)
    assert model.spec.reg_max == 6
    assert raw.box_logits.shape == (2, 84, 4, 7)
    terms = model.losses(raw, model.assign(raw, batch), batch)
    assert set(terms) == {"focal", "box", "centerness", "distribution_focal"}


def test_negative_batch_gives_finite_losses_and_touches_every_branch_with_zero(make_batch, make_detector):
    model, batch = make_detector("atss"), make_batch()
    batch.targets = [batch.targets[1], batch.targets[1]]
    raw = model(batch)
    losses = model.losses(raw, model.assign(raw, batch), batch)
    assert losses["box"].item() == losses["centerness"].item() == 0
    assert losses["focal"].item() > 0
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())  # DDP needs every parameter in the graph


def test_bfloat16_autocast_gives_float32_output(make_batch, make_detector):
    model, batch = make_detector("atss"), make_batch()
    with torch.autocast("cpu", torch.bfloat16):
        raw = model(batch)
        losses = model.losses(raw, model.assign(raw, batch), batch)
    assert raw.class_logits.dtype == raw.boxes_xyxy.dtype == raw.centerness_logits.dtype == torch.float32
    assert all(torch.isfinite(loss) for loss in losses.values())
