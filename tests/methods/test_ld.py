import pytest
import torch

from limbeck.errors import IncompatibleError
from limbeck.methods.ld import Ld
from limbeck.ops.assign2d import valuable_region


def method(student, teacher, **settings):
    return Ld(Ld.Config(**settings), student=student.spec, teacher=teacher.spec)


def divergence(student, teacher, image, location, temperature):
    """Sum over the four sides of the mean over the bins, times T squared."""
    total = 0.0
    for side in range(4):
        p = (teacher.box_logits[image, location, side] / temperature).softmax(0)
        q = (student.box_logits[image, location, side] / temperature).softmax(0)
        total = total + temperature**2 * (p * (p.log() - q.log())).mean()
    return total


def test_both_regions_against_a_loop(make_detector, make_batch, make_step):
    student, teacher = make_detector(), make_detector(seed=1, channels=32)
    batch = make_batch()
    step = make_step(student, teacher, batch)
    main = valuable = 0.0
    for image, target in enumerate(batch.targets):
        region = valuable_region(step.student_out.priors_xyxy, step.student_out.level_sizes, target.boxes_xyxy)
        for location in range(84):
            kl = divergence(step.student_out, step.teacher_out, image, location, 10.0)
            if step.assignment.labels[image, location] < 2:
                main = main + (step.student_out.class_logits[image, location].sigmoid().max() + 2e-4) * kl
            else:
                valuable = valuable + region[location] * kl
    terms = method(student, teacher)(step).losses
    torch.testing.assert_close(terms["ld"], 0.25 * main / 4)
    torch.testing.assert_close(terms["ld_vlr"], 0.25 * valuable / 16)
    assert terms["ld_vlr"] > 0


def test_class_term_only_when_asked_for_and_zero_on_one_class(make_detector, make_batch, make_step):
    student, teacher = make_detector(), make_detector(seed=1)
    step = make_step(student, teacher, make_batch())
    assert set(method(student, teacher, vlr_weight=0)(step).losses) == {"ld"}
    assert method(student, teacher, class_weight=10)(step).losses["ld_cls"] > 0
    student, teacher = (make_detector(classes=("fault",), seed=seed) for seed in (0, 1))
    step = make_step(student, teacher, make_batch(num_classes=1))
    assert method(student, teacher, class_weight=10)(step).losses["ld_cls"] == 0


def test_equal_models_and_negative_images_give_zero(make_detector, make_batch, make_step):
    student, teacher = make_detector().eval(), make_detector().eval()
    terms = method(student, teacher)(make_step(student, teacher, make_batch())).losses
    assert all(abs(term.item()) < 1e-6 for term in terms.values())
    batch = make_batch()
    batch.targets = [batch.targets[1]] * 2
    terms = method(student, teacher)(make_step(student, make_detector(seed=1), batch)).losses
    assert all(term.item() == 0 for term in terms.values())


def test_refuses_heads_without_equal_distributions(make_detector):
    with pytest.raises(IncompatibleError, match="reg_max"):
        method(make_detector(reg_max=8), make_detector(reg_max=16))
    with pytest.raises(IncompatibleError, match="None means that the head has no distributions"):
        method(make_detector("retinanet"), make_detector("retinanet"))
