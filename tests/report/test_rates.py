"""The table over several runs: what stands in the evaluations, and means that are means."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import RunFolderError
from limbeck.report.rates import RATES_HEADER, rates_cells, rates_notes, read_rates


@pytest.fixture
def make_runs(make_run: Callable[..., Path], tmp_path: Path) -> Callable[..., list[Path]]:
    """Return a function that writes a run per argument, which says what it is like."""

    def make(**runs: dict[str, Any]) -> list[Path]:
        for name, changes in runs.items():
            shutil.move(make_run(**changes), tmp_path / name)
        return [tmp_path / name for name in runs]

    return make


def test_a_row_per_data_set_and_model(make_runs: Any) -> None:
    folders = make_runs(plugs={"test": True}, valves={"images": 9})
    rows = read_rates(folders)
    assert [(row.data, row.model, row.images) for row in rows[:6]] == [
        (data, model, images)
        for data, images in (("plugs", "test"), ("valves", "val*"))
        for model in ("teacher", "control", "student")
    ]
    content = json.loads((folders[0] / "student/evaluation.json").read_text())
    student = rows[2]
    assert student.rates == content["test"]["fault_rates"]["rates"] != content["fault_rates"]["rates"]
    assert student.threshold == content["fault_rates"]["threshold"]
    shown = rates_cells(student)
    assert len(shown) == len(RATES_HEADER)
    assert shown[3] == f"{100 * student.rates['CDR']:.2f}"
    assert shown[-5:] == ("912", "318", "0.0097", "9.4", "28.4")


def test_the_means_are_those_over_the_data_sets(make_runs: Any) -> None:
    rows = read_rates(make_runs(plugs={"test": True}, valves={"images": 9}, bolts={"teacher": False}))
    means = [row for row in rows if row.data == "mean"]
    assert means == rows[-2:]
    assert [row.model for row in means] == ["control", "student"], "the teacher was not measured on all data sets"
    for name in ("CDR", "MDR", "FDR"):
        values = [row.rates[name] for row in rows[:-2] if row.model == "student"]
        assert means[1].rates[name] == pytest.approx(sum(values) / 3)
    assert (means[1].images, means[1].threshold) == ("mixed", None)
    assert len(rates_cells(means[1])) == len(RATES_HEADER)
    assert [note[:5] for note in rates_notes(rows)] == ["* the", "mixed"]
    assert rates_notes(rows[:3]) == []


def test_what_was_not_measured_has_no_mean(make_runs: Any) -> None:
    folders = make_runs(plugs={}, valves={})
    path = folders[0] / "student/evaluation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"train_memory_bytes": None, "latency_ms": None}))
    rows = read_rates(folders)
    assert rates_cells(rows[2])[-5:] == ("n/a", "318", "n/a", "9.4", "28.4")
    assert rates_cells(rows[-1])[-5:] == ("n/a", "318", "n/a", "9.4", "28.4")


def test_a_folder_of_before_memory_was_measured_and_there_were_test_parts(make_runs: Any) -> None:
    (folder,) = make_runs(plugs={})
    for path in folder.glob("*/evaluation.json"):
        content = json.loads(path.read_text())
        for key in ("checkpoint_bytes", "train_memory_bytes", "test_memory_bytes"):
            del content[key]
        path.write_text(json.dumps(content))
    assert rates_cells(read_rates([folder])[2])[-5:] == ("n/a", "n/a", "0.0097", "9.4", "n/a")


def test_a_run_of_another_task_is_refused(make_runs: Any) -> None:
    (folder,) = make_runs(plugs={})
    facts = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(facts | {"task": "segmentation"}))
    with pytest.raises(RunFolderError, match=r"holds a run of segmentation; image-level rates are those of detectors"):
        read_rates([folder])


def test_what_is_no_run_with_rates_is_refused(make_runs: Any, tmp_path: Path) -> None:
    run, old = make_runs(plugs={}, old={"rates": False})
    for folders, words in (
        ([tmp_path], r"is no run folder: it has no run\.json"),
        ([tmp_path / "nowhere"], r"nowhere is no run folder"),
        ([run, run], "is given twice"),
        ([run, old], r"No model in \S+old has image-level rates"),
    ):
        with pytest.raises(RunFolderError, match=words):
            read_rates(folders)
