import pytest
import torch

from limbeck.errors import IncompatibleError
from limbeck.losses.similarity import cka, laplace_gram, rbf_gram
from limbeck.methods.cka import Cka


def method(student, teacher, **settings):
    return Cka(Cka.Config(**settings), student=student.spec, teacher=teacher.spec)


@pytest.mark.parametrize("kernel", ["linear", "rbf", "laplace"])
def test_the_term_against_a_loop_over_gram_matrices(kernel, make_segmenter, make_mask_batch, make_step):
    student, teacher = make_segmenter(), make_segmenter(seed=1, channels=(3, 7))
    step, distil = make_step(student, teacher, make_mask_batch()), method(student, teacher, kernel=kernel, weight=2.0)
    gram = {"linear": lambda rows: rows @ rows.mT, "rbf": rbf_gram, "laplace": laplace_gram}[kernel]
    values = [
        cka(*(gram(raw.features[level][image].flatten(1).mT) for raw in (step.student_out, step.teacher_out)))
        for level in range(2)
        for image in range(2)
    ]
    term = distil(step).losses["cka"]
    torch.testing.assert_close(term, 2.0 * (1 - torch.stack(values).mean()), rtol=1e-4, atol=1e-6)
    term.backward()
    assert all(p.grad.any() for p in student.levels.parameters() if p.ndim > 1)
    assert all(p.grad is None for p in teacher.parameters())
    assert list(distil.parameters()) == []


def test_detectors_of_any_width(make_detector, make_batch, make_step):
    student, teacher = make_detector(), make_detector(seed=1, channels=24)
    step, distil = make_step(student, teacher, make_batch()), method(student, teacher)
    assert 0 < distil(step).losses["cka"].item() < 1
    assert distil.describe()[0] == "stride 8: 16 channels with 24"


def test_equal_models_have_nothing_to_learn(make_segmenter, make_mask_batch, make_step):
    student, teacher = make_segmenter(), make_segmenter()
    assert abs(method(student, teacher)(make_step(student, teacher, make_mask_batch())).losses["cka"].item()) < 1e-5


def test_what_does_not_fit_is_refused(make_segmenter):
    with pytest.raises(IncompatibleError, match=r"'cka' compares maps of equal stride; the student has \[4, 8\]"):
        method(make_segmenter(), make_segmenter(strides=(2, 16)))
    with pytest.raises(IncompatibleError, match="'cka' needs a teacher and none was given"):
        Cka(Cka.Config(), student=make_segmenter().spec, teacher=None)
