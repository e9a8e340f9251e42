import pytest
import torch

from limbeck.errors import IncompatibleError
from limbeck.methods.cwd import Cwd


def method(student, teacher, **settings):
    torch.manual_seed(0)
    return Cwd(Cwd.Config(**settings), student=student.spec, teacher=teacher.spec)


def slow(student, teacher, temperature):
    """Mean over images and channels of the divergence over the positions."""
    rows = []
    for mine, its in zip(student.flatten(0, 1).flatten(1), teacher.flatten(0, 1).flatten(1), strict=True):
        q, p = (mine / temperature).softmax(0), (its / temperature).softmax(0)
        rows.append(temperature**2 * (p * (p / q).log()).sum())
    return torch.stack(rows).mean()


def test_the_term_on_logits_against_a_loop(make_segmenter, make_mask_batch, make_step):
    student, teacher = make_segmenter(), make_segmenter(seed=1, channels=(3, 7))
    step = make_step(student, teacher, make_mask_batch())
    terms = method(student, teacher, temperature=4.0)(step)
    expected = 5.0 * slow(step.student_out.class_logits, step.teacher_out.class_logits, 4.0)
    assert terms.losses.keys() == {"cwd"}
    torch.testing.assert_close(terms.losses["cwd"], expected)
    assert method(student, teacher).describe() == []


def test_the_term_on_features_with_adapters(make_segmenter, make_mask_batch, make_step):
    student, teacher = make_segmenter(), make_segmenter(seed=1, channels=(4, 7))
    step, distil = make_step(student, teacher, make_mask_batch()), method(student, teacher, maps="features")
    mine = [adapter(level) for adapter, level in zip(distil.pairs.adapters, step.student_out.features, strict=True)]
    levels = [slow(*maps, 1.0) for maps in zip(mine, step.teacher_out.features, strict=True)]
    term = distil(step).losses["cwd"]
    torch.testing.assert_close(term, 5.0 * torch.stack(levels).mean())
    term.backward()
    assert all(p.grad.any() for p in student.levels.parameters() if p.ndim > 1)
    assert all(p.grad is None for p in teacher.parameters())
    assert distil.describe()[1] == "stride 8: 6 to 7 channels by a 1x1 convolution, same size"


def test_detectors_have_features_and_no_pixels(make_detector, make_batch, make_step):
    student, teacher = make_detector(), make_detector(seed=1)
    assert method(student, teacher, maps="features")(make_step(student, teacher, make_batch())).losses["cwd"] > 0
    with pytest.raises(IncompatibleError, match="'cwd' needs segmenters here"):
        method(student, teacher)


def test_equal_models_have_nothing_to_learn(make_segmenter, make_mask_batch, make_step):
    student, teacher = make_segmenter(), make_segmenter()
    step = make_step(student, teacher, make_mask_batch())
    for maps in ("logits", "features"):
        assert abs(method(student, teacher, maps=maps)(step).losses["cwd"].item()) < 1e-5


def test_without_a_teacher_it_is_refused(make_segmenter):
    for maps in ("logits", "features"):
        with pytest.raises(IncompatibleError, match="needs a teacher"):
            Cwd(Cwd.Config(maps=maps), student=make_segmenter().spec, teacher=None)
