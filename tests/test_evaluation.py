import pytest
import torch

from limbeck.config import load_config
from limbeck.evaluation import compare, measure
from limbeck.tasks import Detection2DTask
from limbeck.weights import WeightsInfo, save_weights

SAMPLES = {"samples": 100, "seed": 0}


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
