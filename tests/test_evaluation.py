from dataclasses import replace

import numpy as np
import pytest
import torch

from limbeck.config import load_config
from limbeck.evaluation import compare, measure
from limbeck.metrics.fault_rates import image_scores, operating_threshold
from limbeck.tasks.detection2d import Detection2DTask
from limbeck.weights import WeightsInfo, save_weights

SAMPLES = {"samples": 100, "seed": 0}


@pytest.fixture(autouse=True)
def no_process_of_its_own(monkeypatch):
    """Leave out the process that memory is measured in."""
    monkeypatch.setattr("limbeck.evaluation.answering_memory", lambda *args: 200_000_000)


@pytest.fixture
def measured(make_run, make_detector, tmp_path):
    """Three random models on four images, measured."""
    config = load_config(make_run(tmp_path / "data"))
    task = Detection2DTask.load(config.data)
    found = {}
    for seed, role in enumerate(("teacher", "control", "student")):
        model = make_detector(classes=task.classes, seed=seed)
        path = tmp_path / role / "best.safetensors"
        path.parent.mkdir()
        settings = model.config.model_dump(mode="json")
        save_weights(
            path, model.state_dict(), WeightsInfo(settings, task.classes, config.data.size, config.data.resize)
        )
        found[role] = measure(path, task, config.data.size, device=torch.device("cpu"), **SAMPLES), model
    return found


def test_a_model_is_measured_in_all_that_the_report_shows(measured):
    found, model = measured["student"]
    evaluation = found.evaluation
    assert evaluation["parameters"] == sum(p.numel() for p in model.parameters())
    assert evaluation["weights_bytes"] >= 4 * evaluation["parameters"]
    assert evaluation["multiply_adds"] > 0
    assert evaluation["latency_ms"]["p50"] > 0
    low, high = evaluation["intervals"]["AP"]
    assert low <= evaluation["metrics"]["AP"] <= high
    rates = evaluation["fault_rates"]
    assert sum(rates["rates"].values()) == pytest.approx(1)
    assert all(rates["rates"]["CDR"] >= row["CDR"] - 1e-9 for row in rates["sweep"])
    assert (rates["images"], rates["images_with_objects"], rates["images_left_out"]) == (4, 4, 0)


def test_a_model_against_itself_makes_no_difference(measured):
    same = {"control": measured["control"][0], "student": measured["control"][0]}
    compared = compare(same, "AP", **SAMPLES)
    assert compared["gap_closed"] is None  # there is no teacher
    assert compared["student_minus_control"]["AP"]["difference"] == 0


def test_the_difference_is_that_of_the_scores(measured):
    compared = compare({role: one for role, (one, _) in measured.items()}, "AP", **SAMPLES)
    scores = [measured[role][0].evaluation["metrics"]["AP"] for role in ("student", "control")]
    assert compared["student_minus_control"]["AP"]["difference"] == pytest.approx(scores[0] - scores[1])


@pytest.fixture
def tested(make_run, make_detector, tmp_path, no_timing):
    """Return a function that measures a random model on a run with a test part, and its task."""
    config = load_config(make_run(tmp_path / "tested", test_images=5))
    task = Detection2DTask.load(config.data)
    model = make_detector(classes=task.classes, postprocess={"score_threshold": 0.0})
    path = tmp_path / "model" / "best.safetensors"
    path.parent.mkdir()
    info = WeightsInfo(model.config.model_dump(mode="json"), task.classes, (64, 64), "stretch", train_memory_bytes=77)
    save_weights(path, model.state_dict(), info)
    (path.parent / "last.ckpt").write_bytes(b"x" * 123)

    def run(change=lambda task: task):
        changed = change(task)
        return measure(path, changed, (64, 64), device=torch.device("cpu"), **SAMPLES), changed

    return run


def test_a_test_part_is_measured_at_the_threshold_of_the_validation_images(tested):
    found, task = tested()
    evaluation = found.evaluation
    low, high = evaluation["test"]["intervals"]["AP"]
    assert low <= evaluation["test"]["metrics"]["AP"] <= high
    assert evaluation["test"]["metrics"] != evaluation["metrics"]
    assert evaluation["test"]["data"] == task.config.test.model_dump(mode="json")
    rates = evaluation["test"]["fault_rates"]
    assert (rates["images"], rates["images_with_objects"]) == (5, 4)
    assert rates["threshold"] == evaluation["fault_rates"]["threshold"]
    assert rates["threshold"] == operating_threshold(image_scores(task.truth, found.tally.results))
    sweep = {row["threshold"]: row["MDR"] for row in rates["sweep"]}
    assert (sweep[0], sweep[1]) == (0, pytest.approx(4 / 5))


def test_the_threshold_does_not_depend_on_the_test_images(tested):
    """Whatever is labelled there: here every test image is one without objects."""
    before, _ = tested()
    after, _ = tested(lambda task: replace(task, test=emptied(task.test)))
    assert after.evaluation["test"]["fault_rates"]["images_with_objects"] == 0
    assert after.evaluation["fault_rates"] == before.evaluation["fault_rates"]


def emptied(data):
    def without_boxes(record):
        nothing = {name: getattr(record, name)[:0] for name in ("boxes_xyxy", "labels", "ignore")}
        return replace(record, **nothing)

    return replace(data, records=tuple(without_boxes(record) for record in data.records))


def test_memory_and_checkpoint_are_part_of_the_evaluation(tested):
    evaluation = tested()[0].evaluation
    found = [evaluation[name] for name in ("train_memory_bytes", "test_memory_bytes", "checkpoint_bytes")]
    assert found == [77, 200_000_000, 123]


def test_without_a_validation_image_that_counts_nothing_chooses_a_threshold(tested):
    def ignored(task):
        records = tuple(replace(record, ignore=np.ones_like(record.ignore)) for record in task.val.records)
        return replace(task, val=replace(task.val, records=records))

    evaluation = tested(ignored)[0].evaluation
    assert evaluation["fault_rates"] is None
    assert evaluation["test"]["fault_rates"] is None
    assert evaluation["test"]["metrics"]["AP"] >= 0
