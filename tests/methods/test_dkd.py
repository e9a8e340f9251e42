from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from limbeck.core.method import Progress
from limbeck.errors import IncompatibleError
from limbeck.losses.dkd import dkd_rows
from limbeck.methods.dkd import Dkd

DONE = Progress(100, 100, 0)


def method(student, teacher, **settings):
    return Dkd(Dkd.Config(**settings), student=student.spec, teacher=teacher.spec)


def test_the_term_is_the_weighted_mean_over_the_pixels(make_segmenter, make_mask_batch, make_step):
    student, teacher = make_segmenter(), make_segmenter(seed=1)
    step = replace(make_step(student, teacher, make_mask_batch(class_weights=[1.0, 0.5, 3.0])), progress=DONE)
    total = count = 0.0
    for image in range(2):
        for y, x in torch.cartesian_prod(torch.arange(16), torch.arange(5, 24)).tolist():
            label = step.batch.targets[image].labels[y, x].long()
            weight = [1.0, 0.5, 3.0][label]
            mine, its = (raw.class_logits[image, :, y, x][None] for raw in (step.student_out, step.teacher_out))
            total += weight * dkd_rows(mine, its, label[None], 2.0, 8.0, 4.0).item()
            count += weight
    terms = method(student, teacher, weight=3.0, alpha=2.0, beta=8.0, temperature=4.0)(step)
    assert terms.losses.keys() == {"dkd"}
    assert terms.losses["dkd"].item() == pytest.approx(3.0 * total / count, rel=1e-4)


def test_it_warms_up_from_just_above_nothing(make_segmenter, make_mask_batch, make_step):
    student, teacher = make_segmenter(), make_segmenter(seed=1)
    step, distil = make_step(student, teacher, make_mask_batch()), method(student, teacher, warm_up=0.1)
    values = [distil(replace(step, progress=Progress(n, 100, 0))).losses["dkd"].item() for n in (0, 4, 9, 50)]
    assert values[0] > 0
    assert [value / values[-1] for value in values] == pytest.approx([0.1, 0.5, 1.0, 1.0])


def test_gradients_reach_the_student_alone(make_segmenter, make_mask_batch, make_step):
    student, teacher = make_segmenter(), make_segmenter(seed=1)
    method(student, teacher)(make_step(student, teacher, make_mask_batch())).losses["dkd"].backward()
    assert student.scores.weight.grad.any()
    assert all(p.grad is None for p in teacher.parameters())


def test_a_batch_of_ignored_pixels_gives_0(make_segmenter, make_mask_batch, make_step):
    student, teacher, batch = make_segmenter(), make_segmenter(seed=1), make_mask_batch()
    for target in batch.targets:
        target.labels.fill_(255)
    term = method(student, teacher)(make_step(student, teacher, batch)).losses["dkd"]
    term.backward()
    assert term.item() == 0
    assert all(torch.isfinite(p.grad).all() for p in student.scores.parameters())


def test_it_says_that_two_classes_leave_one_part(make_segmenter):
    two, three = make_segmenter(classes=("road", "sky")), make_segmenter()
    assert method(three, three).describe() == []
    assert method(two, two).describe() == ["with two classes the term of beta is always 0"]


def test_what_does_not_fit_is_refused(make_segmenter, make_detector):
    student = make_segmenter()
    with pytest.raises(IncompatibleError, match="needs a teacher and none was given"):
        Dkd(Dkd.Config(), student=student.spec, teacher=None)
    with pytest.raises(IncompatibleError, match="the teacher is for detection2d"):
        method(student, make_detector())
    with pytest.raises(IncompatibleError, match="same classes in the same order"):
        method(student, make_segmenter(classes=("sky", "road", "car")))
    with pytest.raises(IncompatibleError, match=r"two classes or more; the softmax of \['road'\] is always 1"):
        method(make_segmenter(classes=("road",)), make_segmenter(classes=("road",)))
    with pytest.raises(ValidationError):
        Dkd.Config(warm_up=1.5)
