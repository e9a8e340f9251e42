"""Every method trains every dense head, and two heads together wherever their priors are equal."""

from functools import cache

import pytest
import torch

from limbeck.config import TrainConfig
from limbeck.errors import IncompatibleError
from limbeck.methods.bckd import Bckd
from limbeck.methods.ld import Ld
from limbeck.methods.plain import Plain
from limbeck.training.module import Distillation
from limbeck.training.teacher import FrozenTeacher

METHODS = {"bckd": Bckd, "ld": Ld, "plain": Plain}
TERMS = {"bckd": {"bckd_cls", "bckd_loc"}, "ld": {"ld", "ld_vlr"}, "plain": set()}
BINS = {"reg_max": 8}
SAME_PRIORS = {"gfl": {}, "atss": {}, "fcos": {"prior_offset": 0.0}}


def build(method, student, teacher):
    kind = METHODS[method]
    built = kind(kind.Config(), student=student.spec, teacher=teacher.spec)
    return Distillation(student.train(), [built], FrozenTeacher(teacher), TrainConfig(), seed=0, total_steps=15)


def train(module, batch, steps):
    """Train on one batch; returns the terms of every step."""
    optimizer = torch.optim.AdamW(module.student.parameters(), lr=3e-3)
    history = []
    for _ in range(steps):
        terms = module.loss_terms(batch).losses
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in module.student.parameters())
        optimizer.step()
        history.append({name: term.item() for name, term in terms.items()})
    return history


@pytest.fixture(scope="module")
def teacher_of(make_detector, make_batch):
    """Return a function that gives a teacher with this head, trained on the batch of the tests."""

    @cache
    def make(head, **settings):
        teacher = make_detector(head, norm="group", seed=1, **settings)
        alone = Distillation(teacher.train(), [], None, TrainConfig(), seed=0, total_steps=15)
        train(alone, make_batch(seed=3), steps=15)
        return teacher

    return make


def check_learns(module, batch, method):
    history = train(module, batch, steps=8)
    first, last = history[0], history[-1]
    assert all(first[name] > 0 for name in TERMS[method])
    assert sum(last.values()) < 0.7 * sum(first.values())
    assert first.keys() - TERMS[method] >= {"box"}  # the supervised terms stay


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("head", ["gfl", "retinanet", "fcos", "atss"])
def test_every_method_trains_every_head(head, method, teacher_of, make_detector, make_batch):
    settings = BINS if method == "ld" or head == "gfl" else {}  # without reg_max the other heads have their own coding
    student = make_detector(head, norm="group", **settings)
    check_learns(build(method, student, teacher_of(head, **settings)), make_batch(seed=3), method)


@pytest.mark.parametrize("method", ["bckd", "ld"])
@pytest.mark.parametrize(
    ("teacher", "student"), [("gfl", "atss"), ("atss", "gfl"), ("gfl", "fcos"), ("fcos", "gfl"), ("atss", "fcos")]
)
def test_heads_with_equal_priors_teach_one_another(teacher, student, method, teacher_of, make_detector, make_batch):
    student = make_detector(student, **BINS, **SAME_PRIORS[student])
    check_learns(
        build(method, student, teacher_of(teacher, **BINS, **SAME_PRIORS[teacher])), make_batch(seed=3), method
    )


def test_bckd_needs_no_equal_box_coding(teacher_of, make_detector, make_batch):
    student, teacher = make_detector("atss"), teacher_of("gfl", **BINS)
    assert (student.spec.reg_max, teacher.spec.reg_max) == (None, 8)
    check_learns(build("bckd", student, teacher), make_batch(seed=3), "bckd")


@pytest.mark.parametrize("method", ["bckd", "ld"])
@pytest.mark.parametrize(
    ("teacher", "student", "changes"),
    [
        ("gfl", "fcos", {}),  # points in the middle of the cell, not at its corner
        ("atss", "fcos", {"prior_offset": 0.0, "prior_scale": 4.0}),
        ("gfl", "atss", {"prior_scale": 4.0}),
        ("gfl", "retinanet", {}),
    ],
)
def test_unequal_priors_are_refused(teacher, student, changes, method, make_detector):
    with pytest.raises(IncompatibleError, match=f"The method '{method}' .* needs equal priors"):
        build(method, make_detector(student, **BINS, **changes), make_detector(teacher, **BINS))


def test_ld_needs_side_distributions_in_both_heads(make_detector):
    with pytest.raises(IncompatibleError, match="teacher has 8 and the student None"):
        build("ld", make_detector("atss"), make_detector("gfl", **BINS))
