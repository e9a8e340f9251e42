"""What the page of a detection run consists of."""

from __future__ import annotations

from pathlib import Path

from limbeck.report.detection.collect import collect
from limbeck.report.detection.figures import pr_curves, rate_curves
from limbeck.report.detection.pictures import MIN_SCORE, gallery
from limbeck.report.detection.wording import agreement_rows, class_rows, score_rows
from limbeck.report.sections import MADE, Page, Section, export_section, models_section, training_section

METRICS = ("AP", "AP50")


def detection_page(run_dir: Path) -> Page:
    """Return the page of a run folder.

    Raises:
        RunFolderError: A file of the run folder is missing or broken.
    """
    run = collect(run_dir)
    models = [model.evaluation for model in run.models.values()]
    rates = rate_curves(run)
    parity = run.bundle and run.bundle.parity
    return Page(
        run=run,
        main=METRICS[0],
        sections=[
            models_section(run, score_rows(models), METRICS),
            *([Section("detection/rates.html.j2", {"rate_curves": rates})] if rates else []),
            Section("detection/pictures.html.j2", {"gallery": gallery(run), "min_score": MIN_SCORE}),
            training_section(run, METRICS),
            Section("detection/classes.html.j2", {"classes": class_rows(run), "pr_curves": pr_curves(run)}),
            export_section(agreement_rows(parity) if parity else []),
            MADE,
        ],
        footnote="AP is the mean over IoU 0.50 to 0.95 as in COCO.",
    )
