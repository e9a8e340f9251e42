"""What is read of the run folder of a LiDAR run, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limbeck.deploy.cloud_agreement import CloudAgreement
from limbeck.deploy.parity_clouds import CloudVerdict
from limbeck.errors import RunFolderError
from limbeck.report.detection3d.collect import TrueCloud, collect
from limbeck.report.evaluations import read_evaluation


def change(path: Path, edit: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(edit(json.loads(path.read_text()))))


def test_a_run_is_read(make_run: Any) -> None:
    run = collect(make_run(test=True))

    assert list(run.models) == ["teacher", "control", "student"]
    assert run.truth.classes == ["car", "pedestrian", "cyclist"]
    assert (run.facts.noun, run.facts.typical) == ("cloud", "cloud of 20,314 points")
    student = run.models["student"]
    assert len(student.predictions) == len(run.truth.frames) == student.counts.num_images == 4
    assert set(student.evaluation.by_range) == {"0-30 m", "30-50 m", "50+ m"}
    assert student.evaluation.test.metrics == student.evaluation.metrics


def test_a_summary_has_no_curves(make_run: Any) -> None:
    summary = read_evaluation("detection3d", make_run() / "student").summary()

    assert "pr_curves" not in summary
    assert summary["by_range"]["0-30 m"]["objects"] > 0
    json.dumps(summary)


def test_the_verdict_on_the_exported_model_is_read(make_run: Any) -> None:
    folder = make_run()
    network, runtime = CloudAgreement(9, 0, 1e-5, 1e-7), CloudAgreement(8, 1, 0.5, 0.1)
    verdict = CloudVerdict(4, ("1 of 8 boxes have no counterpart",), network, runtime, 2, 0.5, 0.25)
    change(folder / "bundle/bundle.json", lambda bundle: bundle | {"parity": verdict.to_json()})
    parity = collect(folder).bundle.parity

    assert not parity.passed
    assert (parity.network.boxes, parity.runtime.unmatched, parity.map_onnx) == (9, 1, 0.25)


def test_a_cloud_is_named_by_its_file_or_by_its_place_in_it() -> None:
    assert TrueCloud("00012", "00012.npy", [], [], []).name == "00012.npy"
    assert TrueCloud("drive:3", "drive.parquet", [], [], []).name == "drive:3 (drive.parquet)"


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("student/predictions.json", lambda found: found[1:]),
        ("student/evaluation.json", lambda found: found | {"per_class": {}}),
        ("truth.json", lambda found: found | {"frames": found["frames"][:-1]}),
        ("truth.json", lambda found: found | {"classes": ["car", "cyclist", "pedestrian"]}),
    ],
)
def test_files_that_do_not_fit_together_are_refused(make_run: Any, name: str, edit: Callable[[Any], Any]) -> None:
    folder = make_run()
    change(folder / name, edit)
    with pytest.raises(RunFolderError, match=r"does not fit truth\.json: it is about other clouds or classes"):
        collect(folder)


@pytest.mark.parametrize("name", ["truth.json", "control/counts.npz", "control/predictions.json", "config.yaml"])
def test_a_missing_file_is_named(make_run: Any, name: str) -> None:
    folder = make_run()
    (folder / name).unlink()
    with pytest.raises(RunFolderError, match=name.split("/")[-1].replace(".", r"\.")):
        collect(folder)


def test_a_file_that_is_cut_off_is_named(make_run: Any) -> None:
    folder = make_run()
    path = folder / "student/predictions.json"
    path.write_text(path.read_text()[:-9])
    with pytest.raises(RunFolderError, match=r"predictions\.json cannot be used"):
        collect(folder)
