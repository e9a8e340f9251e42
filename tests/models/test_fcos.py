import math

import pytest
import torch
from pydantic import ValidationError

from limbeck.core.samples import Boxes2D
from limbeck.models.fcos import FCOS
from limbeck.ops.boxes2d import centres, encode_distances


def one_object(batch, box, ignored=()):
    """Put one object of class 1, and regions to ignore, into the only image of a batch."""
    boxes = torch.tensor([box, *ignored])
    ignore = torch.tensor([False] + [True] * len(ignored))
    batch.targets = [Boxes2D(boxes, torch.ones(len(boxes), dtype=torch.int64), ignore)]
    return batch


def test_one_point_in_the_middle_of_every_cell(make_batch, make_detector):
    raw = make_detector("fcos")(make_batch())
    assert raw.level_sizes == (64, 16, 4)
    assert raw.class_logits.shape == (2, 84, 2)
    assert raw.centerness_logits.shape == (2, 84)
    assert raw.box_logits is None
    assert centres(raw.priors_xyxy)[[0, 1, 64, 80]].tolist() == [[4, 4], [12, 4], [8, 8], [16, 16]]
    assert (raw.boxes_xyxy[..., 2:] >= raw.boxes_xyxy[..., :2]).all()


def test_coded_distances_decode_to_their_box(make_batch, make_detector):
    model, batch = make_detector("fcos"), make_batch()
    raw = model(batch)
    box, strides = torch.tensor([3.0, 5, 30, 44]), raw.location_strides[:, None]
    coded = encode_distances(centres(raw.priors_xyxy), box.expand(84, 4), math.inf) / strides
    maps = [
        level.T.reshape(1, 4, side, side).expand(2, -1, -1, -1)
        for level, side in zip(coded.split(raw.level_sizes), (8, 4, 2), strict=True)
    ]
    model.dense_head.register_forward_hook(lambda *call: call[-1]._replace(boxes=maps))
    boxes = model(batch).boxes_xyxy
    inside = (coded > 0).all(1)
    torch.testing.assert_close(boxes[:, inside], box.expand(2, int(inside.sum()), 4))


def test_distances_are_never_negative(make_batch, make_detector):
    model, batch = make_detector("fcos"), make_batch()
    torch.nn.init.constant_(model.dense_head.box_out.bias, -9.0)
    raw = model(batch)
    torch.testing.assert_close(raw.boxes_xyxy, centres(raw.priors_xyxy).repeat(1, 2).expand(2, -1, -1))


def test_released_parameter_count_of_the_head():
    config = FCOS.Config(backbone="test_resnet")
    head = FCOS(config, tuple(f"class{i}" for i in range(80))).dense_head
    towers = 2 * 4 * (256 * 256 * 9 + 256 + 2 * 256)  # 3x3 convolutions with bias and a group norm each
    outputs = sum(256 * 9 * channels + channels for channels in (80, 4, 1))
    assert sum(p.numel() for p in head.parameters()) == towers + outputs + 5


def test_losses_of_one_object_by_hand(make_batch, make_detector):
    """Two points of the finest level lie inside, one of them 4 pixels from the left side, the other from the right."""
    model, batch = make_detector("fcos"), one_object(make_batch(images=1), [0.0, 0, 16, 12])
    raw = model(batch)
    assignment = model.assign(raw, batch)
    assert assignment.positive(2)[0].nonzero().flatten().tolist() == [0, 1]  # (4, 4), (12, 4); y = 12 is on the side
    assert assignment.normaliser == 2
    target = math.sqrt(4 / 12 * 4 / 8)  # l, t, r, b are 4, 4, 12, 8 and 12, 4, 4, 8
    raw.centerness_logits = torch.zeros_like(raw.centerness_logits)
    raw.boxes_xyxy = raw.boxes_xyxy.clone()
    raw.boxes_xyxy[0, 0] = torch.tensor([0.0, 0, 16, 12])
    raw.boxes_xyxy[0, 1] = torch.tensor([0.0, 0, 8, 12])  # half of it: 1 - GIoU = 0.5
    losses = model.losses(raw, assignment, batch)
    assert losses["box"].item() == pytest.approx(target * 0.5 / (2 * target))
    assert losses["centerness"].item() == pytest.approx(math.log(2))  # whatever the target, at a score of one half
    raw.centerness_logits[0, :2] = 3.0
    rated = math.log1p(math.exp(-3)) + (1 - target) * 3
    assert model.losses(raw, assignment, batch)["centerness"].item() == pytest.approx(rated)


def test_a_large_object_belongs_to_a_coarse_level(make_batch, make_detector):
    model, batch = make_detector("fcos"), one_object(make_batch(images=1, side=128), [1.0, 1, 127, 127])
    raw = model(batch)
    levels = model.assign(raw, batch).positive(2)[0].split(raw.level_sizes)
    # 67, 71 and 79 pixels to the farthest side: only the second is in its range, (0, 64), (64, 128), (128, inf)
    assert [int(level.sum()) for level in levels] == [0, 4, 0]


def test_the_sampling_radius_is_a_setting(make_batch, make_detector):
    batch = one_object(make_batch(images=1), [0.0, 0, 32, 32])
    for radius, count in ((0.4, 0), (0.6, 4), (1.6, 16)):
        model = make_detector("fcos", sampling_radius=radius)
        raw = model(batch)
        assert model.assign(raw, batch).positive(2)[0, :64].sum() == count  # of the finest level


def test_ignore_regions_have_no_weight(make_batch, make_detector):
    model = make_detector("fcos")
    batch = one_object(make_batch(images=1), [0.0, 0, 16, 16], ignored=[[0.0, 0, 31, 31]])
    raw = model(batch)
    assignment = model.assign(raw, batch)
    inside = (centres(raw.priors_xyxy) <= 31).all(1)
    positive = assignment.positive(2)[0]
    assert positive.sum() == 4
    assert (assignment.weights[0][inside & ~positive] == 0).all()
    assert (assignment.weights[0][~inside | positive] == 1).all()


def test_negative_batch_gives_finite_losses_and_touches_every_branch_with_zero(make_batch, make_detector):
    model, batch = make_detector("fcos"), make_batch()
    batch.targets = [batch.targets[1], batch.targets[1]]
    raw = model(batch)
    losses = model.losses(raw, model.assign(raw, batch), batch)
    assert losses["box"].item() == losses["centerness"].item() == 0
    assert losses["focal"].item() > 0
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())  # DDP needs every parameter in the graph


def test_a_detection_is_rated_by_class_and_centerness(make_batch, make_detector):
    model, batch = make_detector("fcos").eval(), make_batch()
    with torch.no_grad():
        raw = model(batch)
        raw.class_logits = torch.full_like(raw.class_logits, -9)
        raw.class_logits[0, 5:7, 1] = torch.tensor([2.0, 3.0])
        raw.boxes_xyxy[0, 5:7] = torch.tensor([[8.0, 8, 24, 40], [9, 8, 24, 40]])
        raw.centerness_logits = torch.full_like(raw.centerness_logits, -4)
        raw.centerness_logits[0, 5] = 1.0
        first, second = model.predict(raw, batch)
    assert len(second) == 0
    assert first.labels.tolist() == [1]  # the more central one suppresses the one of better class
    torch.testing.assert_close(first.boxes_xyxy, torch.tensor([[16.0, 8, 48, 40]]))  # the image is twice as wide
    expected = (torch.tensor(2.0).sigmoid() * torch.tensor(1.0).sigmoid()).sqrt()
    torch.testing.assert_close(first.scores, expected[None])


def test_side_distributions_replace_the_distances(make_batch, make_detector):
    model, batch = make_detector("fcos", reg_max=6), make_batch()
    raw = model(batch)
    assert model.spec.reg_max == 6
    assert raw.box_logits.shape == (2, 84, 4, 7)
    expected = (raw.box_logits.softmax(-1) * torch.arange(7)).sum(-1) * raw.location_strides[:, None]
    torch.testing.assert_close(raw.boxes_xyxy[..., 2:], centres(raw.priors_xyxy) + expected[..., 2:])
    terms = model.losses(raw, model.assign(raw, batch), batch)
    assert set(terms) == {"focal", "box", "centerness", "distribution_focal"}


def test_at_offset_0_the_priors_are_those_of_gfl_and_atss(make_detector):
    grids = {make_detector(model).spec.priors for model in ("gfl", "atss")}
    assert grids == {make_detector("fcos", prior_offset=0.0).spec.priors}
    assert make_detector("fcos").spec.priors not in grids


def test_bfloat16_autocast_gives_float32_output(make_batch, make_detector):
    model, batch = make_detector("fcos"), make_batch()
    with torch.autocast("cpu", torch.bfloat16):
        raw = model(batch)
        losses = model.losses(raw, model.assign(raw, batch), batch)
    assert raw.class_logits.dtype == raw.boxes_xyxy.dtype == raw.centerness_logits.dtype == torch.float32
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_impossible_settings_are_refused():
    for setting in ({"prior_offset": 1.5}, {"sampling_radius": 0}, {"reg_max": 0}):
        with pytest.raises(ValidationError, match=next(iter(setting))):
            FCOS.Config(**setting)
