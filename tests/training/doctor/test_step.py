"""Terms that are zero, broken or out of proportion, parameters that nothing trains."""

import pytest
from torch import nn

from limbeck.training.doctor import examination
from limbeck.training.doctor.examination import FIT, examine


def faulty(name, **settings):
    return {"name": f"faulty_methods:{name}"} | settings


def test_a_term_that_is_exactly_zero(run_config, findings):
    failed = findings(run_config("Zero"), "fail")
    assert failed == {"loss term nothing": "is exactly zero on a batch with objects: it teaches nothing"}


def test_a_term_that_is_not_finite(run_config, findings):
    failed = findings(run_config("NotANumber"), "fail")
    assert failed == {"loss term broken": "is nan; the training would stop at once"}


def test_a_gradient_that_is_not_finite(run_config, findings):
    failed = findings(run_config("Explode"), "fail")
    assert failed["gradient of the method toy_methods:Explode"].startswith("is not finite, first at student.")


def test_a_term_that_is_tiny_or_huge_beside_the_task_loss(run_config, findings):
    tiny = findings(run_config(faulty("Weighed", factor=1e-5)), "warn")
    assert tiny.keys() == {"loss term weighed"}
    assert "of the task loss: it will teach little; raise its weight" in tiny["loss term weighed"]
    huge = findings(run_config(faulty("Weighed", factor=1e5)), "warn")
    assert huge.keys() == {"loss term weighed"}
    assert "times the task loss: the labels hardly count; lower its weight" in huge["loss term weighed"]
    assert "of the task loss" in findings(run_config(faulty("Weighed")), "ok")["loss term weighed"]


def test_terms_of_an_untrained_teacher_are_not_weighed(run_config, findings, save_teacher, monkeypatch):
    method = {"name": "bckd", "alpha_cls": 1e-6}
    assert findings(run_config(method), "warn") == {}
    monkeypatch.setattr(examination, "score_findings", lambda *args: [])
    given = run_config(method, checkpoint=save_teacher("wagon", "number"))
    assert "loss term bckd_cls" in findings(given, "warn")


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("toy_methods:Detached", "2 of 2 parameters get none in two batches, such as adapter.weight"),
        ("faulty_methods:HalfUsed", "2 of 4 parameters get none in two batches, such as spare.weight"),
        ("faulty_methods:TimesZero", "2 of 2 parameters get none in two batches, such as adapter.weight"),
    ],
)
def test_an_adapter_without_gradient_is_told_by_method_and_name(method, text, run_config, findings):
    failed = findings(run_config("DynamicTeacher", {"name": method}), "fail")
    assert failed == {
        f"gradient of the method {method}": f"{text}: what they give is not used, detached or multiplied by zero"
    }


def test_what_starts_at_zero_is_not_dead(run_config, task):
    found = list(examine(run_config(faulty("Sleeper")), task))
    assert {finding.status for finding in found} == {"ok"}
    texts = {finding.check: finding.text for finding in found}
    assert texts["gradient of the method faulty_methods:Sleeper"] == "reaches all 4 parameters of its own"


def test_terms_that_teach_the_student_nothing(run_config, findings):
    warned = findings(run_config(faulty("Selfish")), "warn")
    assert warned.keys() == {"reach of the method faulty_methods:Selfish"}
    failed = findings(run_config(faulty("Idle")), "fail")
    assert failed == {"reach of the method faulty_methods:Idle": "its terms are detached: they train nothing"}


def test_a_part_of_the_student_that_is_cut_off_is_a_warning(run_config, findings, monkeypatch):
    build = examination.seeded_model

    def with_spare(*args):
        model = build(*args)
        model.spare = nn.Linear(2, 2)
        return model

    monkeypatch.setattr(examination, "seeded_model", with_spare)
    (text,) = findings(run_config("plain"), "warn").values()
    assert "2 of " in text
    assert "are in no loss term, such as student.spare.weight" in text


def test_a_student_without_gradient(run_config, findings, monkeypatch):
    build = examination.seeded_model
    monkeypatch.setattr(examination, "seeded_model", lambda *args: build(*args).requires_grad_(False))
    failed = findings(run_config(faulty("Weighed")), "fail")
    assert failed["gradient of the student"] == "no parameter gets a gradient"


def test_a_level_without_objects_is_no_fault(run_config, findings):
    text = findings(run_config("plain", student={"strides": (8, 16, 32, 64)}), "ok")["gradient of the student"]
    assert "the objects of two batches do not need the others, such as student.dense_head.scales" in text


def test_an_adapter_kept_from_the_optimizer(run_config, findings):
    failed = findings(run_config("Forgetful"), "fail")
    assert failed.keys() == {"optimizer"}
    assert "2 parameters would never be trained, such as methods.0.adapter.weight" in failed["optimizer"]


@pytest.mark.parametrize(
    ("method", "words"),
    [("WrongChannels", "Given groups=1, weight of size [8, 17, 1, 1]"), ("BrokenBackward", "one of the variables")],
)
def test_shapes_that_do_not_fit_are_told_by_method(method, words, run_config, findings):
    text = findings(run_config("Adapter", faulty(method)), "fail")[FIT]
    assert text.startswith(f"A training batch fails in the method faulty_methods:{method}: {words}")
    assert "\n" not in text
