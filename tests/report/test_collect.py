"""Run folders that are not whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from limbeck.errors import RunFolderError
from limbeck.report.detection.collect import collect


def test_reads_a_run(make_run: Any) -> None:
    run = collect(make_run())

    assert list(run.models) == ["teacher", "control", "student"]
    assert run.models["student"].evaluation.backbone == "resnet10t"
    assert run.facts.data.size == (320, 256)
    assert len(run.truth.images) == 6
    assert run.bundle is not None


def test_what_was_not_measured_may_be_null(make_run: Any) -> None:
    folder = make_run()
    path = folder / "teacher" / "evaluation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "train_seconds": None, "latency_ms": None}))

    assert collect(folder).models["teacher"].evaluation.latency_ms is None


def test_a_teacher_that_was_not_trained_here_has_no_log(make_run: Any) -> None:
    folder = make_run()
    (folder / "teacher" / "metrics.jsonl").unlink()

    assert collect(folder).models["teacher"].log == []


@pytest.mark.parametrize(
    "name",
    [
        "config.yaml",
        "run.json",
        "truth.json",
        "comparison.json",
        "student/evaluation.json",
        "control/predictions.json",
        "student/metrics.jsonl",
    ],
)
def test_a_missing_file_is_named(make_run: Any, name: str) -> None:
    folder = make_run()
    (folder / name).unlink()

    with pytest.raises(RunFolderError, match=f"{name} is missing"):
        collect(folder)


@pytest.mark.parametrize("name", ["run.json", "truth.json", "comparison.json", "student/evaluation.json"])
def test_a_file_cut_in_half_is_named(make_run: Any, name: str) -> None:
    folder = make_run()
    text = (folder / name).read_text()
    (folder / name).write_text(text[: len(text) // 2])

    with pytest.raises(RunFolderError, match=f"{name} cannot be used: Invalid JSON"):
        collect(folder)


def test_a_wrong_value_is_named_by_its_key(make_run: Any) -> None:
    folder = make_run()
    facts = json.loads((folder / "run.json").read_text())
    facts["hardware"]["cores"] = "many"
    (folder / "run.json").write_text(json.dumps(facts))

    with pytest.raises(RunFolderError, match=r"run.json cannot be used: hardware.cores: "):
        collect(folder)


def test_a_broken_line_of_the_log(make_run: Any) -> None:
    folder = make_run()
    with (folder / "student" / "metrics.jsonl").open("a") as log:
        log.write('{"step": 3, "train/l')

    with pytest.raises(RunFolderError, match=r"student/metrics.jsonl holds a line"):
        collect(folder)
