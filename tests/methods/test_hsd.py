import pytest
import torch

from limbeck.errors import IncompatibleError
from limbeck.methods.hsd import Hsd


def method(student, teacher, **settings):
    return Hsd(Hsd.Config(**settings), student=student.spec, teacher=teacher.spec)


def test_term_against_a_loop_with_another_neck_and_head_as_teacher(make_detector, make_batch, make_step):
    student, teacher = make_detector("hsd_fti_fdet"), make_detector("gfl", seed=1, channels=32)
    step = make_step(student, teacher, make_batch())
    expected = total = 0.0
    for image in range(2):
        for n in range(84):
            if step.assignment.labels[image, n] == 2:
                continue
            score = step.student_out.class_logits[image, n].sigmoid().max().detach()
            for side in range(4):
                p = (step.teacher_out.box_logits[image, n, side] / 15).softmax(0)
                q = (step.student_out.box_logits[image, n, side] / 15).softmax(0)
                expected = expected + score / 4 * 225 * (p * (p.log() - q.log())).mean()
            total = total + score
    assert total > 0
    torch.testing.assert_close(method(student, teacher)(step).losses["hsd"], 0.25 * expected)
    normalised = method(student, teacher, normalise=True)(step).losses["hsd"]
    torch.testing.assert_close(normalised, 0.25 * expected / total)


def test_no_gradient_reaches_the_teacher_nor_the_scores(make_detector, make_batch, make_step):
    student, teacher = make_detector("hsd_fti_fdet"), make_detector("gfl", seed=1)
    step = make_step(student, teacher, make_batch())
    method(student, teacher)(step).losses["hsd"].backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert student.dense_head.class_out.weight.grad is None
    assert student.dense_head.box_out.weight.grad.abs().sum() > 0


def test_equal_models_and_images_without_objects_give_zero(make_detector, make_batch, make_step):
    student, batch = make_detector().eval(), make_batch()
    assert abs(method(student, student)(make_step(student, make_detector(), batch)).losses["hsd"]) < 1e-6
    batch.targets = [batch.targets[1]] * 2
    for normalise in (False, True):
        step = make_step(student, make_detector(seed=1), batch)
        assert method(student, student, normalise=normalise)(step).losses["hsd"].item() == 0


def test_bfloat16(make_detector, make_batch, make_step):
    student, teacher = make_detector("hsd_fti_fdet"), make_detector("gfl", seed=1)
    with torch.autocast("cpu", torch.bfloat16):
        term = method(student, teacher)(make_step(student, teacher, make_batch())).losses["hsd"]
    assert term.dtype == torch.float32
    assert torch.isfinite(term)


def test_refuses_heads_without_equal_distributions(make_detector):
    with pytest.raises(IncompatibleError, match="'hsd' compares side distributions and needs the same reg_max"):
        method(make_detector(reg_max=8), make_detector(reg_max=16))
    with pytest.raises(IncompatibleError, match="needs a teacher"):
        Hsd(Hsd.Config(), student=make_detector().spec, teacher=None)


def test_inheriting_is_off_by_default():
    assert not Hsd.Config().inherits()
    assert Hsd.Config(inherit=True).inherits()
