"""Faster R-CNN: its size and anchors, each stage against an obvious computation or torchvision's, and its training."""

from dataclasses import replace

import pytest
import torch
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import box_iou

from limbeck.config import TrainConfig
from limbeck.core.samples import Boxes2D
from limbeck.errors import IncompatibleError
from limbeck.lookup import build_model, find_method, model_config
from limbeck.training.module import Distillation
from limbeck.training.teacher import FrozenTeacher

TERMS = {"rpn_objectness", "rpn_box", "roi_class", "roi_box"}


def total_loss(model, batch, raw=None):
    raw = model(batch) if raw is None else raw
    return torch.stack(list(model.losses(raw, model.assign(raw, batch), batch).values())).sum()


def without_objects(batch):
    nothing = Boxes2D(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool))
    return replace(batch, targets=[nothing] * len(batch))


@pytest.mark.parametrize(("num_classes", "expected"), [(2, 4_311_066), (80, 4_710_816)])
def test_both_stages_have_the_parameters_of_the_release(num_classes, expected):
    classes = tuple(f"class {k}" for k in range(num_classes))
    model = build_model(model_config({"model": "faster_rcnn", "backbone": "test_resnet", "channels": 64}), classes)
    assert sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in model.trunk.parameters()) == expected
    assert sum(p.numel() for p in model.rpn.parameters()) == 37_903


@pytest.mark.parametrize(("num_classes", "expected"), [(2, 13_474_778), (80, 13_874_528)])
def test_the_student_of_sdd_fti_fdet_has_the_parameters_of_the_release(num_classes, expected):
    settings = {"model": "faster_rcnn", "backbone": "asmlp_nano", "neck": "mlp", "channels": 64}
    model = build_model(model_config(settings), tuple(f"class {k}" for k in range(num_classes)))
    assert sum(p.numel() for p in model.parameters()) == expected


def test_three_anchors_per_cell_of_eight_strides(make_faster_rcnn, make_batch):
    raw = make_faster_rcnn().eval()(make_batch())
    assert raw.level_sizes == (768, 192, 48, 12, 3)
    sides = raw.priors_xyxy[:, 2:] - raw.priors_xyxy[:, :2]
    for (start, size), side in zip(
        [(0, 768), (768, 192), (960, 48), (1008, 12), (1020, 3)], (32, 64, 128, 256, 512), strict=True
    ):
        torch.testing.assert_close(sides[start : start + size].prod(1).sqrt(), torch.full((size,), float(side)))
    torch.testing.assert_close(sides[:3, 1] / sides[:3, 0], torch.tensor([0.5, 1.0, 2.0]))
    middle = (raw.priors_xyxy[:, :2] + raw.priors_xyxy[:, 2:]) / 2
    torch.testing.assert_close(middle[3 * (16 * 2 + 5)], torch.tensor([5.0 * 4, 2.0 * 4]))


def test_shapes_in_evaluation_do_not_depend_on_what_is_found(make_faster_rcnn, make_batch):
    model = make_faster_rcnn(rpn={"nms_iou": 0.1}).eval()  # next to nothing survives
    for images in (1, 3):
        raw = model(make_batch(images))
        assert raw.rois_xyxy.shape == (images, 60, 4)
        assert raw.class_logits.shape == (images, 60, 3)
        assert raw.box_deltas.shape == (images, 60, 2, 4)
        assert 0 < raw.roi_used.sum() < raw.roi_used.numel()
        assert not raw.rois_xyxy[~raw.roi_used].any()
        assert raw.sampled is None
        boxes, scores, labels = model.config.postprocess.select(raw)
        assert boxes.shape == (images, 100, 4)
        assert scores.shape == labels.shape == (images, 100)


def test_no_gradient_comes_through_the_proposals(make_faster_rcnn, make_batch):
    model, batch = make_faster_rcnn().train(), make_batch(seed=3)
    raw = model(batch)
    assert not raw.rois_xyxy.requires_grad
    assert raw.class_logits.sum().requires_grad
    raw.class_logits.square().sum().backward()
    assert model.rpn.bbox_pred.weight.grad is None
    assert model.rpn.cls_logits.weight.grad is None
    assert model.trunk.neck.laterals[0].weight.grad.any()


def test_losses_are_those_of_the_slow_loop(make_faster_rcnn, make_batch):
    model, batch = make_faster_rcnn(rpn={"foreground_iou": 0.4}).train(), make_batch(3, seed=3)
    batch.targets[0].weights = torch.tensor([2.0, 0.5, 3.0])
    raw = model(batch)
    assignment = model.assign(raw, batch)
    found = model.losses(raw, assignment, batch)
    anchors, rois = assignment.anchors, assignment.rois
    assert {0.5, 2.0, 3.0} <= set(anchors.weights[0].tolist())

    expected = dict.fromkeys(TERMS, 0.0)
    plain, weighted = BoxCoder((1.0, 1.0, 1.0, 1.0)), BoxCoder((10.0, 10.0, 5.0, 5.0))
    for i in range(3):
        for n in anchors.weights[i].nonzero()[:, 0]:
            is_object, weight = anchors.labels[i, n] == 0, anchors.weights[i, n].item()
            logit = raw.objectness_logits[i, n]
            score = logit.sigmoid() if is_object else 1 - logit.sigmoid()
            expected["rpn_objectness"] -= weight * score.log().item() / (64 * 3)
            if is_object:
                target = plain.encode_single(anchors.boxes_xyxy[i, n][None], raw.priors_xyxy[n][None])[0]
                error = (raw.proposal_deltas[i, n] - target).abs().sum().item()
                expected["rpn_box"] += weight * error / (64 * 3)
        for p in raw.roi_used[i].nonzero()[:, 0]:
            label, weight = rois.labels[i, p].item(), rois.weights[i, p].item()
            score = raw.class_logits[i, p].softmax(0)[label]
            expected["roi_class"] -= weight * score.log().item() / raw.roi_used.sum().item()
            if label < 2:
                target = weighted.encode_single(rois.boxes_xyxy[i, p][None], raw.rois_xyxy[i, p][None])[0]
                error = (raw.box_deltas[i, p, label] - target).abs().sum().item()
                expected["roi_box"] += weight * error / raw.roi_used.sum().item()
    assert set(found) == TERMS
    for name, value in expected.items():
        assert value > 0
        assert found[name].item() == pytest.approx(value, rel=1e-4)


def test_a_rigged_head_finds_its_object(make_faster_rcnn, make_batch):
    model, batch = make_faster_rcnn().eval(), make_batch(1)
    with torch.no_grad():
        raw = model(batch)
        wanted = torch.tensor([8.0, 16.0, 40.0, 56.0])
        raw.rois_xyxy[0, 7] = torch.tensor([0.0, 16.0, 40.0, 56.0])
        raw.class_logits[:] = torch.tensor([-9.0, -9.0, 9.0])
        raw.class_logits[0, 7] = torch.tensor([-9.0, 9.0, 0.0])
        raw.box_deltas[0, 7, 1] = torch.tensor([4 / 40 * 10, 0.0, 5 * torch.log(torch.tensor(32 / 40)), 0.0])
        (found,) = model.predict(raw, batch)
    assert found.labels.tolist() == [1]
    assert found.scores.item() > 0.99
    image = torch.from_numpy(batch.frames[0].fit.to_image(wanted[None].numpy()))
    torch.testing.assert_close(found.boxes_xyxy, image, check_dtype=False)


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("case", ["two images", "one image", "no object"])
def test_every_gradient_is_finite(case, bf16, make_faster_rcnn, make_batch):
    model, batch = make_faster_rcnn().train(), make_batch(1 if case == "one image" else 2, side=128)
    if case == "no object":
        batch = without_objects(batch)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        raw = model(batch)
        terms = model.losses(raw, model.assign(raw, batch), batch)
    assert set(terms) == TERMS
    assert all(term.dtype == torch.float32 and term.isfinite() for term in terms.values())
    assert bool(terms["rpn_box"] == 0) == bool(terms["roi_box"] == 0) == (case == "no object")
    sum(terms.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_the_same_seed_gives_the_same_step_and_the_head_keeps_nothing(make_faster_rcnn, make_batch):
    model, batch = make_faster_rcnn(rpn={"samples": 8}, roi={"samples": 8}).train(), make_batch(seed=3)
    features = model.features(batch)

    def head(maps, seed):
        torch.manual_seed(seed)
        return model.head(maps, batch)

    first = head(features, 1)
    other = head([torch.randn_like(level) for level in features], 1)
    again, elsewhere = head(features, 1), head(features, 2)
    assert torch.equal(first.rois_xyxy, again.rois_xyxy)
    assert torch.equal(first.class_logits, again.class_logits)
    assert not torch.equal(first.rois_xyxy, elsewhere.rois_xyxy)
    assert not torch.equal(first.class_logits, other.class_logits)
    torch.manual_seed(5)
    assigned = model.assign(first, batch)
    torch.manual_seed(5)
    assert torch.equal(assigned.anchors.weights, model.assign(first, batch).anchors.weights)


def test_the_objects_are_not_looked_at_in_evaluation(make_faster_rcnn, make_batch):
    model, batch = make_faster_rcnn().eval(), make_batch()
    assert torch.equal(model(batch).class_logits, model(replace(batch, targets=[])).class_logits)


def test_an_output_of_evaluation_cannot_be_assigned(make_faster_rcnn, make_batch):
    model, batch = make_faster_rcnn().eval(), make_batch()
    with pytest.raises(ValueError, match="draws its RoIs in training mode only"):
        model.assign(model(batch), batch)


def test_the_thresholds_of_the_anchors_are_in_order(make_faster_rcnn):
    with pytest.raises(ValueError, match="background_iou must not be above foreground_iou"):
        make_faster_rcnn(rpn={"background_iou": 0.8})


def test_losses_fall_and_the_scene_is_found(make_faster_rcnn, make_batch):
    model, batch = make_faster_rcnn().train(), make_batch(seed=3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    totals = []
    torch.manual_seed(0)
    for _ in range(60):
        loss = total_loss(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        totals.append(loss.item())
    assert totals[-1] < 0.4 * totals[0]
    with torch.no_grad():
        raw = model.eval()(batch)
        boxes, scores, labels = model.config.postprocess.select(raw)
    target = batch.targets[0]
    overlap = box_iou(target.boxes_xyxy, boxes[0])
    right = (overlap > 0.5) & (labels[0] == target.labels[:, None]) & (scores[0] > 0.5)
    assert right.any(dim=1).all()
    assert (scores[1] > 0.5).sum() == 0


@pytest.mark.parametrize("method", ["bckd", "hsd", "ld", "kd"])
def test_methods_for_dense_heads_refuse_it(method, make_faster_rcnn, make_detector):
    kind, student, teacher = find_method(method), make_faster_rcnn(), make_detector("gfl")
    with pytest.raises(IncompatibleError, match=f"The method '{method}' needs dense 2D detectors"):
        kind(kind.Config(), student=student.spec, teacher=teacher.spec)


@pytest.mark.parametrize("method", ["fitnet", "plain"])
def test_methods_on_features_train_it(method, make_faster_rcnn, make_detector, make_batch):
    kind, student, teacher = find_method(method), make_faster_rcnn(), make_detector("gfl", channels=24)
    built = kind(kind.Config(), student=student.spec, teacher=teacher.spec)
    module = Distillation(student.train(), [built], FrozenTeacher(teacher), TrainConfig(), seed=0, total_steps=2)
    losses = module.loss_terms(make_batch()).losses
    assert losses.keys() >= TERMS
    assert ("fitnet" in losses) == (method == "fitnet")
    assert torch.stack(list(losses.values())).sum().isfinite()


def test_it_can_teach_by_its_features(make_faster_rcnn, make_detector, make_batch):
    kind, teacher, student = find_method("fitnet"), make_faster_rcnn(), make_detector("gfl")
    built = kind(kind.Config(), student=student.spec, teacher=teacher.spec)
    module = Distillation(student.train(), [built], FrozenTeacher(teacher), TrainConfig(), seed=0, total_steps=2)
    assert module.loss_terms(make_batch()).losses["fitnet"] > 0
