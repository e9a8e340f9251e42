"""The adapter answers and learns as torchvision's own detector does, with torchvision as the judge."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torchvision.models import detection
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from limbeck.core.dense2d import Postprocess
from limbeck.core.samples import Batch
from limbeck.methods.bckd import Bckd
from limbeck.models.torchvision_retinanet import TorchvisionRetinaNet

SIDE, CLASSES = 128, ("wagon", "number")
POSTPROCESS = Postprocess(score_threshold=0.8, nms_iou=0.5, pre_nms=10_000, max_detections=300)


def theirs(num_classes: int, version: int = 1) -> detection.RetinaNet:
    """torchvision's detector as a user builds it, with lively scores, for images of one size that it leaves alone."""
    torch.manual_seed(0)
    backbone = resnet_fpn_backbone(
        backbone_name="resnet18",
        weights=None,
        norm_layer=nn.BatchNorm2d,
        trainable_layers=5,
        returned_layers=[2, 3, 4],
        extra_blocks=LastLevelP6P7(256 if version == 1 else 512, 256),
    )
    head = RetinaNetHead(256, 9, num_classes, norm_layer=None if version == 1 else partial(nn.GroupNorm, 32))
    head.regression_head._loss_type = "l1" if version == 1 else "giou"
    for layer in head.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    nn.init.normal_(head.classification_head.cls_logits.weight, std=0.02)
    nn.init.normal_(head.regression_head.bbox_reg.weight, std=0.005)
    return detection.RetinaNet(
        backbone,
        num_classes,
        min_size=SIDE,
        max_size=SIDE,
        head=head,
        score_thresh=POSTPROCESS.score_threshold,
        nms_thresh=POSTPROCESS.nms_iou,
        topk_candidates=POSTPROCESS.pre_nms,
        detections_per_img=POSTPROCESS.max_detections,
    )


def ours(judge: detection.RetinaNet | None = None, classes=CLASSES, **settings) -> TorchvisionRetinaNet:
    """The adapter with the weights of torchvision's detector."""
    config = TorchvisionRetinaNet.Config(backbone="resnet18", postprocess=POSTPROCESS, **settings)
    model = TorchvisionRetinaNet(config, classes)
    if judge is not None:
        model.net.load_state_dict(judge.state_dict())
    return model


def torchvision_inputs(batch, first_label=0):
    targets = [{"boxes": t.boxes_xyxy, "labels": t.labels + first_label} for t in batch.targets]
    return [image / 255 for image in batch.images], targets


@pytest.mark.parametrize("first_label", [0, 1])
def test_the_answers_are_those_of_torchvision(first_label, make_batch):
    judge, batch = theirs(len(CLASSES) + first_label).eval(), make_batch(side=SIDE)
    if first_label:  # a trained detector never answers with the background label
        nn.init.constant_(judge.head.classification_head.cls_logits.bias.view(9, -1)[:, 0], -50)
    model = ours(judge, first_label=first_label).eval()
    batch.frames = [replace(frame, fit=None) for frame in batch.frames]
    with torch.no_grad():
        expected = judge(torchvision_inputs(batch)[0])
        found = model.predict(model(batch), batch)
    for one, other in zip(found, expected, strict=True):
        assert 20 < len(one) < POSTPROCESS.max_detections
        torch.testing.assert_close(one.scores, other["scores"], atol=1e-5, rtol=0)
        torch.testing.assert_close(one.boxes_xyxy, other["boxes"], atol=1e-3, rtol=0)
        assert torch.equal(one.labels + first_label, other["labels"])


@pytest.mark.parametrize("version", [1, 2])
def test_losses_and_gradients_are_those_of_torchvision(version, make_batch):
    judge, batch = theirs(len(CLASSES), version).train(), make_batch(side=SIDE)  # the second image is negative
    batch.targets[0].boxes_xyxy[0] = torch.tensor([30.0, 30, 36, 37])  # overlaps no anchor by half
    model = ours(judge, version=version).train()
    expected = judge(*torchvision_inputs(batch))
    raw = model(batch)
    losses = model.losses(raw, model.assign(raw, batch), batch)
    torch.testing.assert_close(losses["focal"], expected["classification"], rtol=1e-5, atol=0)
    torch.testing.assert_close(losses["box"], expected["bbox_regression"], rtol=1e-5, atol=0)
    sum(expected.values()).backward()
    sum(losses.values()).backward()
    judged = dict(judge.named_parameters())
    for name in ("head.classification_head.cls_logits.weight", "head.regression_head.bbox_reg.bias"):
        torch.testing.assert_close(model.net.get_parameter(name).grad, judged[name].grad, rtol=1e-3, atol=1e-5)
    assert all(p.grad is not None for p in model.parameters())


def test_the_background_logit_is_neither_class_nor_loss(make_batch):
    batch = make_batch(side=SIDE)
    model = ours(theirs(3), first_label=1).train()
    raw = model(batch)
    assert raw.class_logits.shape[2] == len(CLASSES)
    sum(model.losses(raw, model.assign(raw, batch), batch).values()).backward()
    by_class = model.net.head.classification_head.cls_logits.bias.grad.view(9, 3)
    assert (by_class[:, 0] == 0).all()
    assert (by_class[:, 1:] != 0).all()


@pytest.mark.parametrize("canvas_hw", [(128, 256), (96, 160)])
def test_anchors_are_those_of_torchvision_and_the_grid_of_the_spec(canvas_hw):
    model = ours(theirs(2)).eval()
    images = torch.zeros(1, 3, *canvas_hw, dtype=torch.uint8)
    with torch.no_grad():
        raw = model(Batch({"image": images}, [], []))
    priors, levels = raw.priors_xyxy, raw.features
    (expected,) = model.net.anchor_generator(ImageList(images, [canvas_hw]), levels)
    assert torch.equal(priors, expected)
    grid = model.spec.priors.boxes_xyxy([(level.shape[2], level.shape[3]) for level in levels])
    aligned = all(side % 128 == 0 for side in canvas_hw)
    assert ((priors - grid).abs().max() <= 1) == aligned  # sides are rounded to whole pixels


def test_bckd_takes_it_as_teacher_of_limbeck_s_retinanet(make_detector):
    teacher, student = ours(), make_detector("retinanet", CLASSES, strides=(8, 16, 32, 64, 128))
    Bckd(Bckd.Config(), student=student.spec, teacher=teacher.spec)


@pytest.mark.parametrize(
    ("version", "build"), [(1, detection.retinanet_resnet50_fpn), (2, detection.retinanet_resnet50_fpn_v2)]
)
def test_the_state_dict_is_that_of_torchvision_s_builder(version, build):
    with torch.device("meta"):
        net = TorchvisionRetinaNet(TorchvisionRetinaNet.Config(version=version), CLASSES).net
        judge = build(weights=None, weights_backbone=None, num_classes=2)
    shapes = {name: value.shape for name, value in judge.state_dict().items()}
    assert {name: value.shape for name, value in net.state_dict().items()} == shapes


def test_bfloat16_autocast_gives_float32_output(make_batch):
    model, batch = ours(), make_batch(side=SIDE)
    with torch.autocast("cpu", torch.bfloat16):
        raw = model(batch)
        losses = model.losses(raw, model.assign(raw, batch), batch)
    assert raw.class_logits.dtype == raw.boxes_xyxy.dtype == raw.priors_xyxy.dtype == torch.float32
    assert all(torch.isfinite(loss) for loss in losses.values())
