"""The demo of LiDAR detection, shortened: one run as a user starts it, and a look at what it leaves behind."""

import json

import pytest

from limbeck.demo.run import CLOUDS, demo_config
from limbeck.predictor import evaluate_file


@pytest.fixture(scope="module")
def demo(quick_demo):
    """Output and run folder of ``limbeck demo --task detection3d --quick``."""
    out, runs_dir = quick_demo("--task", "detection3d")
    return out, runs_dir / "demo-detection3d-quick"


def test_it_ends_with_a_table_and_the_path_of_the_report(demo):
    out, folder = demo
    for word in ("teacher", "control", "student", "mAP", "NDS", "multiply-adds", "latency", "weights"):
        assert word in out
    assert out.splitlines()[-1] == f"report: {folder / 'report.html'}"
    assert (folder / "report.html").stat().st_size > 10_000


def test_the_clouds_are_made_beside_the_run_and_only_once(demo):
    _, folder = demo
    clouds = folder.parent / "demo-detection3d-quick-clouds"
    assert len(list((clouds / "train/clouds").iterdir())) == CLOUDS["train"] // 10
    before = (clouds / "scenes.json").stat().st_mtime_ns
    demo_config(folder.parent, "detection3d", quick=True)
    assert (clouds / "scenes.json").stat().st_mtime_ns == before


def test_the_student_is_the_teacher_with_half_of_its_width(demo):
    models = {role: json.loads((demo[1] / role / "best.json").read_text())["model"] for role in ("teacher", "student")}
    assert models["teacher"] | {"width": 0.25} == models["student"]


def test_the_bundle_scores_as_the_weights_do(demo):
    _, folder = demo
    bundle = json.loads((folder / "bundle/bundle.json").read_text())
    assert bundle["parity"]["passed"] is True
    trained = json.loads((folder / "student/evaluation.json").read_text())["metrics"]["mAP"]
    config = demo_config(folder.parent, "detection3d", quick=True)
    assert evaluate_file(folder / "bundle", config)["val"].metrics()["mAP"] == pytest.approx(trained, abs=1e-3)
