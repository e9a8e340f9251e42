import copy
import io
import re
from dataclasses import replace

from rich.console import Console

from limbeck.cli.table import comparison_table, rows_table


def text_of(outcome):
    console = Console(width=80, file=io.StringIO())
    console.print(comparison_table(outcome))
    return console.file.getvalue()


def row_of(text, name):
    (line,) = [line for line in text.splitlines() if line.strip().startswith(name)]
    return re.split(r"\s{2,}", line.strip())


def test_the_three_models_stand_side_by_side(finished_run):
    outcome = finished_run.outcome
    text = text_of(outcome)
    for role in ("teacher", "control", "student"):
        assert role in text
    models = list(outcome.evaluations.values())
    assert row_of(text, "AP ")[1:] == [
        f"{m['metrics']['AP']:.3f} [{m['intervals']['AP'][0]:.3f}, {m['intervals']['AP'][1]:.3f}]" for m in models
    ]
    rates = [m["fault_rates"] for m in models]
    assert [cell[:5] for cell in row_of(text, "CDR")[1:]] == [f"{found['rates']['CDR']:.3f}" for found in rates]
    assert ", test" not in text
    assert row_of(text, "parameters")[1:] == [f"{m['parameters'] / 1e6:.2f} M" for m in models]
    assert f"student - control: AP {outcome.student_minus_control['AP']['difference']:+.3f}" in text


def test_what_is_undefined_is_not_shown_as_a_number(finished_run):
    outcome = copy.deepcopy(finished_run.outcome)
    outcome.evaluations["student"]["metrics"]["AP"] = -1
    outcome.evaluations["student"]["intervals"]["AP"] = (-1, -1)
    outcome.evaluations["student"]["train_seconds"] = None
    text = text_of(replace(outcome, gap_closed=None))
    assert row_of(text, "AP ")[3] == "n/a [n/a, n/a]"
    assert row_of(text, "training")[3] == "-"
    assert "gap closed" not in text


def test_a_run_of_segmentation_shows_its_own_metrics(finished_run):
    names = {"AP": "mIoU", "AP50": "mF", "AP75": "pixel_accuracy", "AR100": "boundary_F", "APs": "fwIoU"}
    outcome = copy.deepcopy(finished_run.outcome)
    for model in outcome.evaluations.values():
        model["metrics"] = {new: 0.1 * n for n, new in enumerate(names.values())}
        model["intervals"] = {new: (0.0, 1.0) for new in names.values() if new != "boundary_F"}
        del model["fault_rates"]
    changes = {names[name]: change for name, change in outcome.student_minus_control.items()}
    text = text_of(replace(outcome, student_minus_control={"IoU/sky": {}} | changes))
    rows = [re.split(r"\s{2,}", line.strip())[0] for line in text.splitlines()]
    assert [row for row in rows if row.replace(" ", "_") in names.values()] == [
        "mIoU",
        "mF",
        "pixel accuracy",
        "boundary F",
    ]
    assert row_of(text, "mF")[1] == "0.100 [0.000, 1.000]"
    assert row_of(text, "boundary F")[1] == "0.300"
    assert f"student - control: mIoU {changes['mIoU']['difference']:+.3f}" in text
    assert "AP" not in text


def test_test_images_have_rows_of_their_own_and_a_run_of_before_there_were_rates_has_none(finished_run):
    outcome = copy.deepcopy(finished_run.outcome)
    for model in outcome.evaluations.values():
        model["test"] = {"metrics": {"AP": 0.25, "AP50": 0.5}, "intervals": {"AP": (0.2, 0.3), "AP50": (0.4, 0.6)}}
        del model["fault_rates"]
    text = text_of(outcome)
    assert row_of(text, "AP, test")[1:] == ["0.250 [0.200, 0.300]"] * 3
    assert "CDR" not in text
    outcome.evaluations["student"]["test"]["fault_rates"] = finished_run.outcome.evaluations["student"]["fault_rates"]
    assert row_of(text_of(outcome), "MDR, test")[1:3] == ["n/a", "n/a"]


def test_the_rows_of_a_comparison_stand_below_one_another(finished_comparison):
    console = Console(width=80, file=io.StringIO())
    console.print(rows_table(finished_comparison.outcome))
    text = console.file.getvalue()
    control, bckd = (row_of(text, name) for name in ("control", "bckd"))
    outcome = finished_comparison.outcome
    assert control[1] == f"{outcome.rows[0].scores['AP'].mean:.3f}"
    gain = outcome.rows[1].gains["AP"].over_images
    assert bckd[3] == f"{gain.difference:+.3f}"
    assert f"[{gain.low:+.3f}, {gain.high:+.3f}]" in text
    assert f"± {outcome.rows[1].scores['AP'].deviation:.3f}" in text
