import pytest
import torch

from limbeck.errors import IncompatibleError
from limbeck.methods.at import At


def method(student, teacher, **settings):
    return At(At.Config(**settings), student=student.spec, teacher=teacher.spec)


def test_the_term_against_a_loop(make_segmenter, make_mask_batch, make_step):
    student, teacher = make_segmenter(strides=(4, 8)), make_segmenter(seed=1, channels=(3, 5, 7), strides=(2, 4, 8))
    step, distil = make_step(student, teacher, make_mask_batch()), method(student, teacher, weight=3.0)
    rows = []
    for level in range(2):
        for image in range(2):
            mine, its = step.student_out.features[level][image], step.teacher_out.features[level + 1][image]
            q, p = (maps.square().mean(0).flatten() for maps in (mine, its))
            rows.append((q / q.norm() - p / p.norm()).square().sum())
    term = distil(step).losses["at"]
    torch.testing.assert_close(term, 3.0 * torch.stack(rows).mean())
    term.backward()
    assert all(p.grad.any() for p in student.levels.parameters())
    assert all(p.grad is None for p in teacher.parameters())
    assert list(distil.parameters()) == []
    assert distil.describe()[-1] == "not compared, because nothing fits: the teacher's stride 2"


def test_detectors_of_any_width(make_detector, make_batch, make_step):
    student, teacher = make_detector(), make_detector(seed=1, channels=24)
    assert method(student, teacher)(make_step(student, teacher, make_batch())).losses["at"] > 0


def test_equal_models_have_nothing_to_learn(make_segmenter, make_mask_batch, make_step):
    student, teacher = make_segmenter(), make_segmenter()
    assert method(student, teacher)(make_step(student, teacher, make_mask_batch())).losses["at"].item() == 0


def test_what_does_not_fit_is_refused(make_segmenter):
    with pytest.raises(IncompatibleError, match=r"student has \[4, 8\] and the teacher \[2, 16\]"):
        method(make_segmenter(), make_segmenter(strides=(2, 16)))
    with pytest.raises(IncompatibleError, match="'at' needs a teacher and none was given"):
        At(At.Config(), student=make_segmenter().spec, teacher=None)
