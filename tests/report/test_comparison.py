"""What a comparison leaves behind, from numbers made up here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from limbeck.metrics.bootstrap import PairedDifference
from limbeck.metrics.seeds import Gain, OverSeeds, Row
from limbeck.report.collect import Evaluation, Latency
from limbeck.report.comparison import ComparisonOutcome, header, notes, table_rows, write_comparison
from limbeck.report.comparison_plot import FAINT, draw
from limbeck.report.detection.collect import DetectionEvaluation, DetectionPart, FaultRates
from limbeck.report.segmentation.collect import SegmentationEvaluation
from limbeck.roles import Role

STUDENT = {"model": "gfl", "backbone": "resnet18", "channels": 32, "postprocess": {"nms_iou": 0.6}}


def evaluation(role: Role, ap: float, seconds: float | None = 60.0) -> DetectionEvaluation:
    return DetectionEvaluation(
        role=role,
        model="gfl",
        backbone="resnet18",
        parameters=1_000_000 if role == "teacher" else 250_000,
        multiply_adds=None,
        weights_bytes=None,
        latency_ms=Latency(p50=4.0, p95=5.0, runs=10),
        train_seconds=seconds,
        epochs=3,
        metrics={"AP": ap, "AP50": ap},
        intervals={"AP": (0, 1)},
        per_class={},
        pr_curves={"wheel": [1.0] * 101},
    )


def row(name: str, values: list[float], control: list[float] | None = None, closed: float | None = None) -> Row:
    gains = {}
    if control is not None:
        over_seeds = OverSeeds.of([a - b for a, b in zip(values, control, strict=True)])
        mean = over_seeds.mean
        gains = {
            name: Gain(over_seeds, PairedDifference(mean, mean - 0.02, mean + 0.03, 0.9)) for name in ("AP", "AP50")
        }
    return Row(name, {name: OverSeeds.of(values) for name in ("AP", "AP50")}, gains, closed)


@pytest.fixture
def outcome(tmp_path: Path) -> ComparisonOutcome:
    control = [0.30, 0.34]
    rows = (row("control", control), row("ld", [0.29, 0.35], control, 0.0), row("bckd", [0.36, 0.38], control, 0.417))
    return ComparisonOutcome(
        folder=tmp_path,
        metrics=("AP", "AP50"),
        seeds=(0, 5),
        rows=rows,
        students={r.name: STUDENT for r in rows},
        models={
            r.name: [evaluation("student", value, 30 + 60 * n) for n, value in enumerate(r.scores["AP"].values)]
            for r in rows
        },
        teacher=evaluation("teacher", 0.44, 7500),
        samples=1000,
        val_images=20,
    )


def with_students(outcome: ComparisonOutcome, **students: dict[str, Any]) -> ComparisonOutcome:
    """Add students, each with a control and one row."""
    rows = list(outcome.rows)
    settings, models = dict(outcome.students), dict(outcome.models)
    for name, changed in students.items():
        control = replace(row(f"control@{name}", [0.2, 0.2]), over_first=row("", [0.2, 0.2], [0.3, 0.34]).gains)
        for added in (control, row(f"ld@{name}", [0.25, 0.25], [0.2, 0.2], 0.2)):
            rows.append(added)
            settings[added.name] = STUDENT | changed
            models[added.name] = [evaluation("student", value) for value in added.scores["AP"].values]
    return replace(outcome, rows=tuple(rows), students=settings, models=models)


def one_seed(outcome: ComparisonOutcome) -> ComparisonOutcome:
    rows = (row("control", [0.3]), row("ld", [0.25], [0.3]))
    models = {name: [evaluation("student", 0.3)] for name in ("control", "ld")}
    return replace(outcome, seeds=(7,), rows=rows, models=models, teacher=None)


def test_the_table_has_teacher_control_and_rows_in_their_order(outcome: ComparisonOutcome) -> None:
    assert table_rows(outcome) == [
        ("teacher", "0.440", "0.440", "", "", "", "2 h 05 min"),
        ("control", "0.320 ± 0.028", "0.320 ± 0.028", "", "", "", "1 min 00 s"),
        ("ld", "0.320 ± 0.042", "0.320 ± 0.042", "+0.000 [-0.020, +0.030]", "1 of 2", "0.0 %", "1 min 00 s"),
        ("bckd", "0.370 ± 0.014", "0.370 ± 0.014", "+0.050 [+0.030, +0.080]", "2 of 2", "42 %", "1 min 00 s"),
    ]
    assert all(len(cells) == len(header(outcome)) for cells in table_rows(outcome))


def test_one_seed_has_no_deviation_and_asks_for_more(outcome: ComparisonOutcome) -> None:
    single = one_seed(outcome)
    assert table_rows(single)[1][:5] == ("ld", "0.250", "0.250", "-0.050 [-0.070, -0.020]", "0 of 1")
    assert table_rows(single)[1][5] == "n/a"
    assert "give more seeds" in " ".join(notes(single))
    assert "give more seeds" not in " ".join(notes(outcome))


def test_what_is_undefined_is_not_shown_as_a_number(outcome: ComparisonOutcome) -> None:
    undefined = row("control", [-1, -1])
    models = {"control": [evaluation("control", -1, None)] * 2}
    cells = table_rows(replace(outcome, rows=(undefined,), models=models))[1]
    assert cells == ("control", "n/a", "n/a", "", "", "", "n/a")


def test_all_is_written(outcome: ComparisonOutcome) -> None:
    write_comparison(outcome)
    table = outcome.table.read_text(encoding="utf-8")
    for cells in (header(outcome), *table_rows(outcome)):
        assert "| " + " | ".join(cells) + " |" in table
    assert "(plot.png)" in table
    assert "The teacher: 1 M parameters, n/a multiply-adds, 4.0 ms per image" in table
    content = json.loads((outcome.folder / "comparison.json").read_text())
    assert content["command"] in table
    assert content["seeds"] == [0, 5]
    assert [r["name"] for r in content["rows"]] == ["control", "ld", "bckd"]
    assert content["rows"][2]["gains"]["AP"]["over_seeds"]["values"] == pytest.approx([0.06, 0.04])
    assert content["teacher"]["metrics"] == {"AP": 0.44, "AP50": 0.44}
    assert "pr_curves" not in content["teacher"]
    before = outcome.plot.read_bytes()
    write_comparison(outcome)
    assert outcome.plot.read_bytes() == before


def test_what_is_compared_on_clouds_is_not_said_to_be_compared_on_images(outcome: ComparisonOutcome) -> None:
    on_clouds = replace(outcome, noun="cloud")
    write_comparison(on_clouds)
    table = on_clouds.table.read_text(encoding="utf-8")
    assert "20 validation clouds; seeds 0, 5" in table
    assert "4.0 ms per cloud" in table
    assert "image" not in table
    (legend,) = draw(outcome.rows, None, "AP", "cloud").legends
    assert "95 % interval over the validation clouds" in [text.get_text() for text in legend.get_texts()]


def words(canvas: Any) -> list[str]:
    return [text.get_text() for axes in canvas.axes for text in axes.texts]


def test_the_picture_shows_every_row_the_best_gain_first(outcome: ComparisonOutcome) -> None:
    canvas = draw(outcome.rows, 0.44, "AP")
    scores, gains = canvas.axes
    assert [label.get_text() for label in scores.get_yticklabels()] == ["control", "bckd", "ld"]
    assert words(canvas) == [
        "teacher 0.440", "0.320", "0.370", "0.320", "+0.050  [+0.030, +0.080]", "+0.000  [-0.020, +0.030]",
    ]  # fmt: skip
    dots = [line.get_xdata().tolist() for line in gains.lines if line.get_marker() == "o"]
    assert dots == [pytest.approx([0.06, 0.04]), pytest.approx([-0.01, 0.01])]
    ends = [list(line.get_xdata()) for line in gains.lines if len(line.get_xdata()) == 2 and line.get_marker() == "|"]
    assert ends == [pytest.approx([0.03, 0.08]), pytest.approx([-0.02, 0.03])]


def test_the_picture_does_without_a_teacher_and_with_one_seed(outcome: ComparisonOutcome) -> None:
    single = one_seed(outcome)
    assert words(draw(single.rows, None, "AP")) == ["0.300", "0.250", "-0.050  [-0.070, -0.020]"]
    assert "teacher 0.100" in words(draw(single.rows, 0.1, "AP"))


def test_it_is_said_in_what_a_student_differs_and_what_its_rows_are_held_against(outcome: ComparisonOutcome) -> None:
    thin, near = {"channels": 8}, {"postprocess": {"nms_iou": 0.5}}
    several = with_students(outcome, thin=thin, near=near, same={}, other={"model": "atss", "backbone": "resnet34"})
    lines, gain = notes(several), "AP -0.120 [-0.140, -0.090] over the first control"
    assert lines[1:5] == [
        f"control@thin: channels 8 instead of 32; {gain}.",
        f"control@near: postprocess nms_iou 0.5 instead of nms_iou 0.6; {gain}.",
        f"control@same: the same student; {gain}.",
        f"control@other: another student, atss with resnet34; {gain}.",
    ]
    assert "to the control of the same seed and student" in " ".join(lines)
    assert "to the control of the same seed, mean" in " ".join(notes(outcome))
    write_comparison(several)
    rows = json.loads((outcome.folder / "comparison.json").read_text())["rows"]
    assert [r["control"] for r in rows[:5]] == [None, "control", "control", None, "control@thin"]
    assert rows[4]["student"]["channels"] == 8


def test_controls_alone_are_held_against_the_first(outcome: ComparisonOutcome) -> None:
    alone = controls_only(outcome)
    assert notes(alone)[1].endswith("instead of 32; AP -0.120 [-0.140, -0.090] over the first control.")
    assert notes(alone)[2].startswith("Differences are those of the same seed, mean over the seeds; in brackets")
    assert "AP - control" not in " ".join(notes(alone))
    canvas = draw(alone.rows, None, "AP")
    assert len(canvas.axes) == 1
    assert words(canvas) == ["0.320", "0.200"]


def controls_only(outcome: ComparisonOutcome) -> ComparisonOutcome:
    several = with_students(outcome, thin={"channels": 8})
    return replace(several, rows=tuple(r for r in several.rows if not r.gains), teacher=None)


def test_the_line_of_a_control_goes_through_its_own_rows(outcome: ComparisonOutcome) -> None:
    scores, gains = draw(with_students(outcome, thin={"channels": 8}).rows, None, "AP").axes
    names = [label.get_text() for label in scores.get_yticklabels()]
    assert names == ["control", "bckd", "ld", "control@thin", "ld@thin"]
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in scores.lines if line.get_linestyle() == ":"]
    assert lines == [([pytest.approx(0.32)] * 2, [-0.8, 2.5]), ([pytest.approx(0.2)] * 2, [2.5, 4.5])]
    for axes in (scores, gains):
        parted = [line.get_ydata()[0] for line in axes.lines if line.get_color() == FAINT]
        assert parted == [2.5]
    assert gains.get_title(loc="left") == "AP over the control of the same seed and student"


def test_the_json_holds_the_rates_of_both_parts_without_their_curves(outcome: ComparisonOutcome) -> None:
    shares = {"CDR": 0.9, "MDR": 0.1, "FDR": 0.0}
    rates = FaultRates(0.5, 20, 10, shares, {}, [{"threshold": 0.0, **shares}])
    test = DetectionPart({"images": "images"}, {"AP": 0.4}, {"AP": (0, 1)}, {}, rates)
    write_comparison(replace(outcome, teacher=replace(evaluation("teacher", 0.4), fault_rates=rates, test=test)))
    teacher = json.loads((outcome.folder / "comparison.json").read_text())["teacher"]
    for part in (teacher, teacher["test"]):
        assert part["fault_rates"]["rates"] == shares
        assert "sweep" not in part["fault_rates"]


def as_segmentation(outcome: ComparisonOutcome) -> ComparisonOutcome:
    """Return the same numbers as those of segmenters."""
    names = {"AP": "mIoU", "AP50": "mF"}

    def evaluated(model: Evaluation) -> SegmentationEvaluation:
        common = {key: getattr(model, key) for key in Evaluation.__dataclass_fields__}
        common["metrics"] = {names[key]: value for key, value in model.metrics.items()}
        return SegmentationEvaluation(**common, confusion=[[3, 1], [0, 4]], image_IoU=[0.5, None])

    rows = tuple(
        replace(
            r,
            scores={names[key]: value for key, value in r.scores.items()},
            gains={names[key]: value for key, value in r.gains.items()},
        )
        for r in outcome.rows
    )
    models = {name: [evaluated(model) for model in found] for name, found in outcome.models.items()}
    assert outcome.teacher is not None
    return replace(outcome, metrics=("mIoU", "mF"), rows=rows, models=models, teacher=evaluated(outcome.teacher))


def test_segmenters_are_compared_by_their_own_metrics(outcome: ComparisonOutcome) -> None:
    segmented = as_segmentation(outcome)
    assert header(segmented)[1:4] == ("mIoU", "mF", "mIoU - control")
    assert table_rows(segmented) == table_rows(outcome)
    assert notes(segmented)[1].startswith("mIoU - control: to the control")
    write_comparison(segmented)
    assert "AP" not in segmented.table.read_text(encoding="utf-8").replace(str(segmented.folder), "")
    content = json.loads((segmented.folder / "comparison.json").read_text())
    assert content["teacher"]["metrics"] == {"mIoU": 0.44, "mF": 0.44}
    assert not {"confusion", "image_IoU"} & set(content["teacher"])
    scores, gains = draw(segmented.rows, 0.44, "mIoU").axes
    assert scores.get_title(loc="left") == "mIoU"
    assert gains.get_title(loc="left") == "mIoU over the control of the same seed"
