import pytest
import torch

from limbeck.errors import IncompatibleError
from limbeck.methods.dist import Dist


def method(student, teacher, **settings):
    return Dist(Dist.Config(**settings), student=student.spec, teacher=teacher.spec)


def correlation(first, second):
    return torch.corrcoef(torch.stack([first, second]))[0, 1]


def test_the_terms_against_a_loop_over_the_pixels_that_count(make_segmenter, make_mask_batch, make_step):
    student, teacher = make_segmenter(), make_segmenter(seed=1)
    step = make_step(student, teacher, make_mask_batch())
    valid = step.assignment.valid
    mine, its = (
        (raw.class_logits / 2).softmax(1).movedim(1, -1)[valid] for raw in (step.student_out, step.teacher_out)
    )
    inter = torch.stack([1 - correlation(*rows) for rows in zip(mine, its, strict=True)]).mean()
    intra = torch.stack([1 - correlation(*columns) for columns in zip(mine.T, its.T, strict=True)]).mean()
    terms = method(student, teacher, inter_weight=3.0, intra_weight=0.5, temperature=2.0)(step).losses
    assert terms.keys() == {"dist_inter", "dist_intra"}
    torch.testing.assert_close(terms["dist_inter"], 12 * inter, rtol=1e-3, atol=0)
    torch.testing.assert_close(terms["dist_intra"], 2 * intra, rtol=1e-3, atol=0)
    sum(terms.values()).backward()
    assert student.scores.weight.grad.any()
    assert all(p.grad is None for p in teacher.parameters())


def test_a_term_of_weight_0_is_absent(make_segmenter, make_mask_batch, make_step):
    student, teacher = make_segmenter(), make_segmenter(seed=1)
    terms = method(student, teacher, intra_weight=0)(make_step(student, teacher, make_mask_batch()))
    assert terms.losses.keys() == {"dist_inter"}


def test_a_batch_of_ignored_pixels_is_finite(make_segmenter, make_mask_batch, make_step):
    student, teacher, batch = make_segmenter(), make_segmenter(seed=1), make_mask_batch()
    for target in batch.targets:
        target.labels.fill_(255)
    sum(method(student, teacher)(make_step(student, teacher, batch)).losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in student.scores.parameters())


def test_what_does_not_fit_is_refused(make_segmenter):
    with pytest.raises(IncompatibleError, match="needs a teacher"):
        Dist(Dist.Config(), student=make_segmenter().spec, teacher=None)
    with pytest.raises(IncompatibleError, match="same classes"):
        method(make_segmenter(), make_segmenter(classes=("a", "b", "c")))
