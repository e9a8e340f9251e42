"""A comparison of segmenters: mIoU in the place of AP, the counts of every model in the place of its detections."""

import pytest
import yaml

from limbeck.comparison.config import load_comparison
from limbeck.comparison.run import compare
from limbeck.metrics.segmentation import SegmentationCounts, evaluate

pytestmark = pytest.mark.usefixtures("no_timing")


@pytest.fixture
def compared(make_mask_run, tmp_path):
    run_file = make_mask_run(tmp_path / "data")
    settings = {"name": "rows", "run": run_file.name, "seeds": [0, 1], "methods": {"kd": ["kd"]}}
    path = run_file.parent / "comparison.yaml"
    path.write_text(yaml.safe_dump(settings))
    config, said = load_comparison(path, ["train.epochs=1", "train.eval_every=1"]), []
    return config, compare(config, said.append), said


def test_rows_are_held_against_the_control_in_miou_and_nothing_is_trained_twice(compared):
    config, outcome, _ = compared
    assert [row.name for row in outcome.rows] == ["control", "kd"]
    counts = SegmentationCounts.load(config.run_dir / "kd-seed1/counts.npz")
    assert outcome.rows[1].scores["mIoU"].values[1] == pytest.approx(evaluate(counts).metrics["mIoU"])
    assert {"mIoU", "mF", "IoU/square"} <= outcome.rows[1].gains.keys()
    table = outcome.table.read_text()
    assert "| mIoU | mF | mIoU - control |" in table
    assert outcome.plot.stat().st_size > 5000
    again = []
    compare(config, again.append)
    assert sum("done before" in line for line in again) == 5


def test_a_model_whose_counts_are_gone_is_trained_again_and_no_other(compared):
    config, _, _ = compared
    (config.run_dir / "kd-seed0/counts.npz").unlink()
    again = []
    compare(config, again.append)
    assert sum("done before" in line for line in again) == 4
