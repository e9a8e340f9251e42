import pytest
import torch
from torch.nn import functional

from limbeck.lookup import model_config
from limbeck.models.hsd_fti_fdet import HsdFtiFdet, hsd_losses
from limbeck.nn.coordinate_attention import CoordinateAttention


def parameters(module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameters_are_those_of_the_release():
    model = HsdFtiFdet(HsdFtiFdet.Config(), ("fault",))
    assert parameters(model.trunk.neck) == 661_648
    assert parameters(model.dense_head) == 596_810
    assert parameters(model) == 12_434_970


def test_terms_against_a_loop(make_detector, make_batch):
    model, batch = make_detector("hsd_fti_fdet"), make_batch()
    raw = model(batch)
    assignment = model.assign(raw, batch)
    best = raw.class_logits.detach().sigmoid().amax(dim=2)
    cls = box = dfl = total = 0.0
    for image in range(2):
        for n, label in enumerate(assignment.labels[image].tolist()):
            one_hot = torch.tensor([float(label == k) for k in range(2)])
            cls = cls + functional.binary_cross_entropy_with_logits(
                raw.class_logits[image, n], one_hot, reduction="sum"
            )
            if label == 2:
                continue
            stride = raw.location_strides[n]
            a, b = raw.boxes_xyxy[image, n] / stride, assignment.boxes_xyxy[image, n] / stride
            inter = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0).prod()
            union = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inter + 1e-6
            hull = (torch.maximum(a[2:], b[2:]) - torch.minimum(a[:2], b[:2])).prod() + 1e-6
            box = box + best[image, n] * (1 - (inter / union - (hull - union) / hull))
            centre = (raw.priors_xyxy[n, :2] + raw.priors_xyxy[n, 2:]) / 2 / stride
            for side, distance in enumerate([*(centre - b[:2]), *(b[2:] - centre)]):
                y, log_p = distance.clamp(0, 15.9), raw.box_logits[image, n, side].log_softmax(0)
                left = int(y)
                dfl = dfl - best[image, n] * ((left + 1 - y) * log_p[left] + (y - left) * log_p[left + 1])
            total = total + best[image, n]
    losses = model.losses(raw, assignment, batch)
    torch.testing.assert_close(losses["class"], cls / assignment.normaliser)
    torch.testing.assert_close(losses["box"], 2 * box / total)
    torch.testing.assert_close(losses["distribution_focal"], 0.25 * dfl / 4 / total)


def test_quality_focal_takes_the_place_of_the_class_term(make_detector, make_batch):
    model, batch = make_detector("hsd_fti_fdet"), make_batch()
    raw = model(batch)
    assert set(hsd_losses(raw, model.assign(raw, batch), "quality_focal")) == {
        "quality_focal",
        "box",
        "distribution_focal",
    }


def test_a_batch_without_objects_gives_finite_terms_and_touches_every_parameter(make_detector, make_batch):
    model, batch = make_detector("hsd_fti_fdet"), make_batch()
    batch.targets = [batch.targets[1], batch.targets[1]]
    raw = model(batch)
    losses = model.losses(raw, model.assign(raw, batch), batch)
    assert losses["box"].item() == losses["distribution_focal"].item() == 0
    sum(losses.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_the_attention_acts_unless_the_release_is_asked_for(make_detector, make_batch):
    batch = make_batch()
    assert any(isinstance(m, CoordinateAttention) for m in make_detector("hsd_fti_fdet").modules())
    released = make_detector("hsd_fti_fdet", neck="hkn_release")
    assert not any(isinstance(m, CoordinateAttention) for m in released.modules())
    assert released(batch).class_logits.shape == (2, 84, 2)


@pytest.mark.parametrize(
    ("given", "frozen"),
    [({}, False), ({"pretrained": True}, True), ({"pretrained": True, "frozen_stem": False}, False)],
)
def test_a_pretrained_stem_is_frozen_unless_told_otherwise(given, frozen):
    assert model_config({"model": "hsd_fti_fdet", **given}).frozen_stem is frozen


def test_bfloat16_autocast_gives_float32_output(make_batch, make_detector):
    model, batch = make_detector("hsd_fti_fdet"), make_batch()
    with torch.autocast("cpu", torch.bfloat16):
        raw = model(batch)
        losses = model.losses(raw, model.assign(raw, batch), batch)
    assert raw.class_logits.dtype == torch.float32
    assert all(torch.isfinite(loss) for loss in losses.values())
