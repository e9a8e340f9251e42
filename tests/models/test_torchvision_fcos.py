"""The adapter answers and learns as torchvision's own detector does, with torchvision as the judge."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torchvision.models import detection
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.image_list import ImageList
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from limbeck.core.dense2d import Postprocess
from limbeck.core.samples import Batch
from limbeck.methods.bckd import Bckd
from limbeck.models.torchvision_fcos import TorchvisionFCOS

SIDE, CLASSES = 128, ("wagon", "number")
POSTPROCESS = Postprocess(score_threshold=0.5, nms_iou=0.6, pre_nms=10_000, max_detections=300)


def theirs(num_classes: int) -> detection.FCOS:
    """torchvision's detector as a user builds it, with lively scores, for images of one size that it leaves alone."""
    torch.manual_seed(0)
    backbone = resnet_fpn_backbone(
        backbone_name="resnet18",
        weights=None,
        norm_layer=nn.BatchNorm2d,
        trainable_layers=5,
        returned_layers=[2, 3, 4],
        extra_blocks=LastLevelP6P7(256, 256),
    )
    net = detection.FCOS(
        backbone,
        num_classes,
        min_size=SIDE,
        max_size=SIDE,
        score_thresh=POSTPROCESS.score_threshold,
        nms_thresh=POSTPROCESS.nms_iou,
        topk_candidates=POSTPROCESS.pre_nms,
        detections_per_img=POSTPROCESS.max_detections,
    )
    heads = net.head.classification_head, net.head.regression_head
    nn.init.normal_(heads[0].cls_logits.weight, std=0.05)
    nn.init.constant_(heads[0].cls_logits.bias, -1)
    nn.init.normal_(heads[1].bbox_reg.weight, std=0.1)
    nn.init.normal_(heads[1].bbox_ctrness.weight, std=0.1)
    return net


def ours(judge: detection.FCOS | None = None, **settings) -> TorchvisionFCOS:
    """The adapter with the weights of torchvision's detector."""
    model = TorchvisionFCOS(TorchvisionFCOS.Config(backbone="resnet18", postprocess=POSTPROCESS, **settings), CLASSES)
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
        nn.init.constant_(judge.head.classification_head.cls_logits.bias[0], -50)
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


@pytest.mark.parametrize("negative", [False, True])
def test_losses_and_gradients_are_those_of_torchvision(negative, make_batch):
    judge, batch = theirs(len(CLASSES)).train(), make_batch(side=SIDE)  # the second image is negative
    if negative:
        batch.targets = [batch.targets[1], batch.targets[1]]
    else:  # one object inside another: the smaller one takes the points
        batch.targets[0].boxes_xyxy[:2] = torch.tensor([[10.3, 10.1, 90.7, 95.2], [30.1, 35.3, 70.2, 60.9]])
    model = ours(judge).train()
    expected = judge(*torchvision_inputs(batch))
    raw = model(batch)
    losses = model.losses(raw, model.assign(raw, batch), batch)
    pairs = {"focal": "classification", "box": "bbox_regression", "centerness": "bbox_ctrness"}
    assert losses.keys() == pairs.keys()
    for name, theirs_name in pairs.items():
        torch.testing.assert_close(losses[name], expected[theirs_name], rtol=1e-5, atol=0)
        assert (losses[name] > 0) == (name == "focal" or not negative)
    sum(expected.values()).backward()
    sum(losses.values()).backward()
    judged = dict(judge.named_parameters())
    for name in ("classification_head.cls_logits.weight", "regression_head.bbox_reg.bias"):
        gradient = judged[f"head.{name}"].grad
        torch.testing.assert_close(model.net.get_parameter(f"head.{name}").grad, gradient, rtol=1e-3, atol=1e-5)
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("canvas_hw", [(128, 256), (96, 160)])
def test_points_are_those_of_torchvision_and_the_grid_of_the_spec(canvas_hw):
    model = ours().eval()
    images = torch.zeros(1, 3, *canvas_hw, dtype=torch.uint8)
    with torch.no_grad():
        raw = model(Batch({"image": images}, [], []))
    (expected,) = model.net.anchor_generator(ImageList(images, [canvas_hw]), raw.features)
    assert torch.equal(raw.priors_xyxy, expected)
    grid = model.spec.priors.boxes_xyxy([(level.shape[2], level.shape[3]) for level in raw.features])
    aligned = all(side % 128 == 0 for side in canvas_hw)
    assert torch.equal(raw.priors_xyxy, grid) == aligned


def test_bckd_takes_it_as_teacher_of_limbeck_s_fcos_with_the_same_points(make_detector):
    strides = (8, 16, 32, 64, 128)
    student = make_detector("fcos", CLASSES, strides=strides, prior_offset=0.0, prior_scale=1.0)
    Bckd(Bckd.Config(), student=student.spec, teacher=ours().spec)


def test_the_state_dict_is_that_of_torchvision_s_builder():
    with torch.device("meta"):
        net = TorchvisionFCOS(TorchvisionFCOS.Config(), CLASSES).net
        judge = detection.fcos_resnet50_fpn(weights=None, weights_backbone=None, num_classes=2)
    shapes = {name: value.shape for name, value in judge.state_dict().items()}
    assert {name: value.shape for name, value in net.state_dict().items()} == shapes


def test_bfloat16_autocast_gives_float32_output(make_batch):
    model, batch = ours(), make_batch(side=SIDE)
    with torch.autocast("cpu", torch.bfloat16):
        raw = model(batch)
        losses = model.losses(raw, model.assign(raw, batch), batch)
    assert raw.class_logits.dtype == raw.boxes_xyxy.dtype == raw.centerness_logits.dtype == torch.float32
    assert all(torch.isfinite(loss) for loss in losses.values())
