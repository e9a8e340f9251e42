"""What the page of a segmentation run consists of."""

from __future__ import annotations

from pathlib import Path

from limbeck.report.sections import MADE, Page, Section, export_section, models_section, training_section
from limbeck.report.segmentation.collect import SegmentationRun, collect
from limbeck.report.segmentation.confusion import cells
from limbeck.report.segmentation.figures import class_charts, confusion_chart
from limbeck.report.segmentation.pictures import IGNORED, WRONG, gallery
from limbeck.report.segmentation.wording import CLASS_METRICS, agreement_rows, class_rows, score_rows

METRICS = ("mIoU", "mF", "pixel_accuracy", "boundary_F")
MAX_NUMBERS = 20
"""Classes up to which a confusion matrix is a table of numbers; larger ones are drawn."""


def segmentation_page(run_dir: Path) -> Page:
    """Return the page of a run folder.

    Raises:
        RunFolderError: A file of the run folder is missing or broken.
    """
    run = collect(run_dir)
    parity = run.bundle and run.bundle.parity
    rows = class_rows(run)
    charts = class_charts(run, [row.name for row in rows])
    return Page(
        run=run,
        main=METRICS[0],
        sections=[
            models_section(run, score_rows([model.evaluation for model in run.models.values()]), METRICS),
            Section("segmentation/pictures.html.j2", {"gallery": gallery(run), "wrong": WRONG, "ignored": IGNORED}),
            training_section(run, METRICS),
            Section("segmentation/classes.html.j2", {"rows": rows, "metrics": CLASS_METRICS, "charts": charts}),
            _confusion_section(run),
            export_section(agreement_rows(parity) if parity else []),
            MADE,
        ],
        footnote="IoU, F-score, precision and recall of a class are those of all its pixels in all images; mIoU and mF "
        "are means over the classes.",
    )


def _confusion_section(run: SegmentationRun) -> Section:
    """Return the confusion matrices: tables of numbers, or drawn where there are too many classes for that."""
    tables, drawn = {}, []
    if len(run.truth.classes) <= MAX_NUMBERS:
        tables = {role: cells(model.evaluation.confusion) for role, model in run.models.items()}
    else:
        drawn = [confusion_chart(run, model) for model in run.models.values()]
    return Section("segmentation/confusion.html.j2", {"tables": tables, "drawn": drawn})
