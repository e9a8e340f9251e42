"""What the page of a LiDAR run consists of."""

from __future__ import annotations

from pathlib import Path

from limbeck.report.detection3d.collect import Detection3DRun, collect
from limbeck.report.detection3d.figures import pr_curves
from limbeck.report.detection3d.pictures import COLOURS, NEAR_M, best_score, gallery
from limbeck.report.detection3d.wording import (
    RANGE_METRICS,
    agreement_rows,
    class_columns,
    class_rows,
    range_rows,
    score_rows,
)
from limbeck.report.sections import MADE, Page, Section, export_section, models_section, training_section

METRICS = ("mAP", "NDS", "AP_3D", "AP_BEV", "mAPH")


def detection3d_page(run_dir: Path) -> Page:
    """Return the page of a run folder.

    Raises:
        RunFolderError: A file of the run folder is missing or broken.
    """
    run = collect(run_dir)
    parity = run.bundle and run.bundle.parity
    classes = {"columns": class_columns(run), "rows": class_rows(run), "pr_curves": pr_curves(run)}
    return Page(
        run=run,
        main=METRICS[0],
        sections=[
            models_section(run, score_rows([model.evaluation for model in run.models.values()]), METRICS),
            _pictures_section(run),
            training_section(run, METRICS),
            Section("detection3d/classes.html.j2", classes),
            Section("detection3d/ranges.html.j2", {"rows": range_rows(run), "metrics": RANGE_METRICS}),
            export_section(agreement_rows(parity) if parity else []),
            MADE,
        ],
        footnote="mAP and NDS are those of nuScenes without attributes, AP_3D and AP_BEV those of KITTI at 40 recalls, "
        "APH that of Waymo.",
    )


def _pictures_section(run: Detection3DRun) -> Section:
    least = {role: best_score(model.counts) for role, model in run.models.items()}
    values = {"gallery": gallery(run, least), "least": least, "near": NEAR_M, "marks": COLOURS}
    return Section("detection3d/pictures.html.j2", values)
