"""The demo, shortened: one run as a user starts it, and a look at what it leaves behind."""

import json
from pathlib import Path

import pytest

from limbeck.demo.run import demo_config
from limbeck.predictor import evaluate_file


@pytest.fixture(scope="module")
def demo(quick_demo):
    """Output and run folder of ``limbeck demo --quick``."""
    out, runs_dir = quick_demo()
    return out, runs_dir / "demo-quick"


def test_it_ends_with_a_table_and_the_path_of_the_report(demo):
    out, folder = demo
    for word in ("teacher", "control", "student", "AP50", "multiply-adds", "latency", "weights"):
        assert word in out
    assert out.splitlines()[-1] == f"report: {folder / 'report.html'}"
    assert (folder / "report.html").stat().st_size > 10_000


def test_the_three_models_are_on_disk_with_what_they_reached(demo):
    scores = {}
    for role in ("teacher", "control", "student"):
        beside = json.loads((demo[1] / role / "best.json").read_text())
        scores[role] = beside["metrics"]["AP50"]
        assert beside["data_licence"].startswith("CC BY 4.0")
    assert scores["teacher"] > 0.01


def test_the_student_is_lighter_than_the_teacher(demo):
    sizes = [(demo[1] / role / "best.safetensors").stat().st_size for role in ("teacher", "student")]
    assert sizes[1] < sizes[0] / 5


def test_the_bundle_passed_its_check_and_scores_as_the_weights_do(demo):
    bundle = json.loads((demo[1] / "bundle/bundle.json").read_text())
    assert bundle["parity"]["passed"] is True
    trained = json.loads((demo[1] / "student/evaluation.json").read_text())["metrics"]["AP"]
    found = evaluate_file(demo[1] / "bundle", demo_config(Path("runs"), quick=True))["val"].metrics()["AP"]
    assert found == pytest.approx(trained, abs=1e-3)


def test_an_odd_folder_name_is_taken_as_it_is():
    for name in ("2024", "a: b", "[x]", "null"):
        assert demo_config(Path(name)).runs_dir == Path(name)


def test_the_full_demo_uses_the_same_data_on_a_larger_canvas():
    full, quick = demo_config(Path("runs")), demo_config(Path("runs"), quick=True)
    assert full.data.train == quick.data.train
    assert full.data.train.annotations.is_file()
    assert full.data.size > quick.data.size
    assert (full.name, quick.name) == ("demo", "demo-quick")
