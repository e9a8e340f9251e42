"""The demo of segmentation, shortened: one run as a user starts it, and a look at what it leaves behind."""

import json
from pathlib import Path

import pytest

from limbeck.demo.run import demo_config
from limbeck.predictor import evaluate_file


@pytest.fixture(scope="module")
def demo(quick_demo):
    """Output and run folder of ``limbeck demo --task segmentation --quick``."""
    out, runs_dir = quick_demo("--task", "segmentation")
    return out, runs_dir / "demo-segmentation-quick"


def test_it_ends_with_a_table_and_the_path_of_the_report(demo):
    out, folder = demo
    for word in ("teacher", "control", "student", "mIoU", "multiply-adds", "latency", "weights"):
        assert word in out
    assert out.splitlines()[-1] == f"report: {folder / 'report.html'}"
    assert (folder / "report.html").stat().st_size > 10_000


def test_the_teacher_reads_two_inputs_and_the_shipped_student_one(demo):
    models = {role: json.loads((demo[1] / role / "best.json").read_text()) for role in ("teacher", "student")}
    assert models["teacher"]["model"]["x"] == "disparity"
    assert models["student"]["model"]["x"] is None
    bundle = json.loads((demo[1] / "bundle/bundle.json").read_text())
    assert list(bundle["inputs"]) == ["image"]
    assert bundle["parity"]["passed"] is True
    assert bundle["licences"]["data"].startswith("MIT")


def test_the_bundle_scores_as_the_weights_do(demo):
    trained = json.loads((demo[1] / "student/evaluation.json").read_text())["metrics"]["mIoU"]
    config = demo_config(Path("runs"), "segmentation", quick=True)
    assert evaluate_file(demo[1] / "bundle", config)["val"].metrics()["mIoU"] == pytest.approx(trained, abs=1e-3)


def test_the_full_demo_uses_the_same_data_on_a_larger_canvas():
    full, quick = (demo_config(Path("runs"), "segmentation", quick=short) for short in (False, True))
    assert full.data.train == quick.data.train
    assert full.data.train.masks.is_dir()
    assert full.data.size > quick.data.size
    assert (full.name, quick.name) == ("demo-segmentation", "demo-segmentation-quick")
