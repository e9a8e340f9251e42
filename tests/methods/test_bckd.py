import dataclasses

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from limbeck.errors import IncompatibleError
from limbeck.methods.bckd import Bckd
from limbeck.ops.boxes2d import paired_iou


def method(student, teacher, **settings):
    return Bckd(Bckd.Config(**settings), student=student.spec, teacher=teacher.spec)


def slow_terms(step, beta, kind):
    """The formulas of the released head, location by location over the whole batch."""
    student, teacher, assignment = step.student_out, step.teacher_out, step.assignment
    p_s, p_t = student.class_logits.sigmoid(), teacher.class_logits.sigmoid()
    bce = functional.binary_cross_entropy_with_logits(student.class_logits, p_t, reduction="none")
    cls = ((p_t - p_s).abs() ** beta * bce).sum(-1) * assignment.weights
    stride = student.location_strides[:, None]
    overlap = paired_iou(student.boxes_xyxy / stride, teacher.boxes_xyxy / stride, kind)
    loc = (p_t - p_s).detach().abs().amax(-1) * (1 - overlap) * assignment.weights
    return cls / assignment.normaliser, loc / assignment.normaliser


@pytest.mark.parametrize("model", ["gfl", "retinanet"])
@pytest.mark.parametrize(("beta", "kind"), [(1.0, "giou"), (2.0, "iou")])
def test_terms_of_both_heads_with_other_backbone_and_width(model, beta, kind, make_detector, make_batch, make_step):
    student = make_detector(model)
    teacher = make_detector(model, seed=1, backbone="test_efficientnet", channels=32, tower_depth=2)
    step = make_step(student, teacher, make_batch())
    settings = {"beta": beta, "iou_type": kind, "skip_levels_without_positives": False}
    terms = method(student, teacher, **settings)(step).losses
    cls, loc = slow_terms(step, beta, kind)
    torch.testing.assert_close(terms["bckd_cls"], cls.sum())
    torch.testing.assert_close(terms["bckd_loc"], 4 * loc.sum())


def test_gate_drops_exactly_the_levels_without_positives(make_detector, make_batch, make_step):
    student, teacher = make_detector(), make_detector(seed=1)
    step = make_step(student, teacher, make_batch())
    labels = step.assignment.labels
    labels[:, 64:80] = 2  # no positive on the second level
    assert (labels[:, :64] < 2).any()
    cls, loc = slow_terms(step, 1.0, "giou")
    keep = torch.ones(84)
    for start, end in ((0, 64), (64, 80), (80, 84)):
        keep[start:end] = (labels[:, start:end] < 2).any()
    assert keep[70] == 0
    terms = method(student, teacher)(step).losses
    torch.testing.assert_close(terms["bckd_cls"], (cls * keep).sum())
    torch.testing.assert_close(terms["bckd_loc"], 4 * (loc * keep).sum())


def test_gradients_go_where_they_belong(make_detector, make_batch, make_step):
    student, teacher = make_detector(), make_detector(seed=1)
    step = make_step(student, teacher, make_batch())
    terms = method(student, teacher)(step).losses
    by_logits, by_boxes = torch.autograd.grad(
        terms["bckd_loc"],
        [step.student_out.class_logits, step.student_out.box_logits],
        allow_unused=True,
        retain_graph=True,
    )
    assert by_logits is None  # the localisation weight is detached
    assert by_boxes.any()
    sum(terms.values()).backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad is not None for p in student.parameters())


def test_a_student_that_equals_its_teacher_has_nothing_to_learn(make_detector, make_batch, make_step):
    student, teacher = make_detector().eval(), make_detector().eval()
    step = make_step(student, teacher, make_batch())
    terms = method(student, teacher)(step).losses
    assert terms["bckd_cls"].item() == 0
    assert terms["bckd_loc"].item() == 0


def test_one_class_works_and_ignored_locations_do_not_count(make_detector, make_batch, make_step):
    student, teacher = (make_detector(classes=("fault",), seed=seed) for seed in (0, 1))
    step = make_step(student, teacher, make_batch(num_classes=1))
    distil = method(student, teacher)
    assert distil(step).losses["bckd_cls"] > 0
    step.assignment.weights.zero_()
    assert distil(step).losses["bckd_cls"] == 0


def test_a_weight_of_zero_takes_the_term_away(make_detector, make_batch, make_step):
    student, teacher = make_detector(), make_detector(seed=1)
    step = make_step(student, teacher, make_batch())
    assert set(method(student, teacher, alpha_loc=0)(step).losses) == {"bckd_cls"}


def test_refuses_what_does_not_fit(make_detector, make_batch, make_step):
    student = make_detector()
    with pytest.raises(IncompatibleError, match="equal priors"):
        method(student, make_detector(strides=(8, 16)))
    with pytest.raises(IncompatibleError, match="same classes"):
        method(student, make_detector(classes=("number", "wagon")))
    with pytest.raises(IncompatibleError, match="needs a teacher"):
        Bckd(Bckd.Config(), student=student.spec, teacher=None)
    step = make_step(student, student, make_batch())
    with pytest.raises(IncompatibleError, match="none ran"):
        method(student, student)(dataclasses.replace(step, teacher_out=None))
    with pytest.raises(ValidationError):
        Bckd.Config(beta=0)
