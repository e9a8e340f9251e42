"""The whole examination: what is looked at, in which order, and what fits together."""

import pytest
import toy_methods

from limbeck.config import load_config
from limbeck.tasks.detection2d import Detection2DTask
from limbeck.training.doctor import examination
from limbeck.training.doctor.examination import FIT, examine
from limbeck.training.doctor.findings import Finding


def test_a_sound_run_has_nothing_against_it(run_config, task):
    found = list(examine(run_config("bckd", "Adapter"), task))
    assert {finding.status for finding in found} == {"ok"}
    checks = [finding.check for finding in found]
    assert checks[:4] == ["data", "data leak", "teacher", "memory"]
    assert checks[-3:] == ["gradient of the student", "gradient of the method toy_methods:Adapter", "optimizer"]
    assert {"loss term bckd_cls", "loss term bckd_loc", "loss term adapter", "loss term box"} <= set(checks)
    assert all("\n" not in finding.text for finding in found)


@pytest.mark.parametrize("methods", [["ld"], ["bckd", "fitnet"]])
def test_the_run_of_the_tests_has_nothing_against_it(methods, make_run, tmp_path):
    config = load_config(make_run(tmp_path / "data", methods=methods))
    found = [finding for finding in examine(config, Detection2DTask.load(config.data)) if finding.status != "ok"]
    assert found == []


def test_it_finds_the_same_twice(run_config, task):
    config = run_config("bckd", "Adapter")
    first, second = ([finding for finding in examine(config, task) if finding.check != "memory"] for _ in range(2))
    assert first == second


def test_data_and_teacher_are_looked_at_once_for_all_methods(run_config, task, save_teacher, monkeypatch):
    looked = []

    def look(part):
        def findings(*args):
            looked.append(part)
            yield Finding("ok", part, "sound")

        return findings

    for part in ("data_findings", "score_findings"):
        monkeypatch.setattr(examination, part, look(part))
    checkpoint, known = save_teacher("wagon", "number"), {}
    for method in ("bckd", "fitnet"):
        found = [finding.check for finding in examine(run_config(method, checkpoint=checkpoint), task, known=known)]
        assert [check for check in found if check.endswith("_findings")] == ["data_findings", "score_findings"]
        assert "optimizer" in found
    assert looked == ["data_findings", "score_findings"]


def test_a_run_without_a_teacher_is_examined_without(run_config, task):
    assert "teacher" not in [finding.check for finding in examine(run_config("plain"), task)]


def test_it_says_what_the_methods_chose_and_what_the_taps_give(run_config, task):
    found = list(examine(run_config("bckd", "Tapped", "fitnet", teacher={"channels": 24}), task))
    assert [(f.status, f.check, f.text) for f in found if f.check.startswith(("method ", "taps "))] == [
        ("ok", "taps of the student", "trunk.neck#0 gives 16 x 8 x 8"),
        ("ok", "taps of the teacher", "trunk.neck#0 gives 24 x 8 x 8"),
        ("ok", "method toy_methods:Tapped", "level 0 is tapped"),
        *(
            ("ok", "method fitnet", f"stride {stride}: 16 to 24 channels by a 1x1 convolution, same size")
            for stride in (8, 16, 32)
        ),
    ]
    assert "loss term fitnet" in {finding.check for finding in found if finding.status == "ok"}


def fitnet(student, teacher="trunk.neck#0"):
    return {"name": "fitnet", "student_taps": (student,), "teacher_taps": (teacher,)}


def test_each_tap_that_leads_nowhere_is_a_finding(run_config, task):
    found = list(examine(run_config(fitnet("trunk.nekc#0", "trunk.nock")), task))
    failed = [finding for finding in found if finding.status == "fail"]
    assert [finding.check for finding in failed] == ["taps", "taps"]
    assert "the student has no module 'trunk.nekc' (did you mean 'trunk.neck'?)" in failed[0].text
    assert "the teacher has no module 'trunk.nock' (did you mean 'trunk.neck'?)" in failed[1].text
    assert found[-1] is failed[-1], "a training step cannot be tried without the methods"


@pytest.mark.parametrize(
    ("tap", "words"),
    [
        ("trunk.neck", "'trunk.neck' gives a list of 0, 1, 2; choose one, such as 'trunk.neck#0'"),
        ("trunk.neck#3", "'trunk.neck#3' leads nowhere: there is no '3' in a list of 0, 1, 2"),
    ],
)
def test_a_tap_that_gives_no_map(tap, words, run_config, findings):
    assert findings(run_config(fitnet(tap)), "fail") == {"taps": words}


def test_priors_that_do_not_agree(run_config, findings):
    failed = findings(run_config("bckd", student={"strides": (16, 32)}), "fail")
    assert "needs equal priors" in failed[FIT]


def test_methods_that_clash(run_config, findings):
    assert "both give: adapter" in findings(run_config("Adapter", "Adapter"), "fail")[FIT]


def test_a_spec_that_promises_other_maps_than_the_model_keeps(run_config, findings, monkeypatch):
    def lie(self, config, *, student, teacher):
        toy_methods.Toy.__init__(self, config, student=student, teacher=teacher)
        self.adapter = toy_methods.nn.Conv2d(student.channels[0], teacher.channels[0] + 1, 1)

    monkeypatch.setattr(toy_methods.Adapter, "__init__", lie)
    text = findings(run_config("Adapter"), "fail")[FIT]
    assert text.startswith("A training batch fails in the method toy_methods:Adapter: The size of tensor a (17)")
