"""What ``limbeck data check`` prints and writes for point clouds: objects, ranges, sizes, points and a verdict."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from limbeck.cli.check_lines import conclude, new_table, print_table
from limbeck.core.model import CLOUD
from limbeck.data.cloud_audit import CloudAudit, audit_clouds
from limbeck.data.cloud_config import CloudDataConfig
from limbeck.data.cloud_survey import ClassObjects
from limbeck.report.cloud_sheet import draw_cloud_sheet


def check_clouds(config: CloudDataConfig, out: Console, *, to: Path | None = None, seed: int = 0) -> CloudAudit:
    """Look at a data set with point clouds, print what was found, and write it where that was asked for.

    Args:
        config: The data.
        out: Where to print.
        to: Folder for the sheet of samples and the numbers; None to write nothing.
        seed: Draws the clouds whose boxes are compared with their points.

    Raises:
        LimbeckError: The folder cannot be written.
    """
    with Console(stderr=True).status("reading all clouds and their boxes", spinner="line"):
        found = audit_clouds(config, seed=seed)
    if found.surveys:
        _print_classes(out, found)
        _print_counts(out, found)
        _print_sizes(out, found)
    conclude(out, config, found, to=to, draw=lambda: draw_cloud_sheet(found.data, config), noun=CLOUD)
    return found


def _print_classes(out: Console, found: CloudAudit) -> None:
    table = new_table("class")
    for part in found.surveys:
        for name in (f"{part}\nobjects", "\nignored", "\nclouds"):
            table.add_column(name, justify="right")
    surveys = found.surveys.values()
    for row in zip(*(survey.classes for survey in surveys), strict=True):
        table.add_row(escape(row[0].name), *itertools.chain(*map(_class_cells, row)))
    table.add_section()
    totals = ((str(survey.objects), _ignored(survey.classes), str(survey.clouds)) for survey in surveys)
    table.add_row("all", *itertools.chain(*totals))
    print_table(out, table, ["ignored: those of the objects that are neither to be found nor background"])


def _class_cells(found: ClassObjects) -> tuple[str, str, str]:
    return (str(found.objects), str(found.ignored), str(found.clouds)) if found.objects else ("[red]none[/]", "-", "-")


def _ignored(classes: tuple[ClassObjects, ...]) -> str:
    return str(sum(found.ignored for found in classes))


def _print_counts(out: Console, found: CloudAudit) -> None:
    surveys = found.surveys.values()
    rows = {
        "clouds": [survey.clouds for survey in surveys],
        "clouds with nothing to be found": [survey.without_objects for survey in surveys],
        "objects": [survey.objects for survey in surveys],
        "  without a point": [survey.empty for survey in surveys],
        "  ignored by the labels": [survey.marked for survey in surveys],
        "  farther away than max_range": [survey.too_far for survey in surveys],
        "  with fewer points than min_points": [survey.too_few for survey in surveys],
        "points of the smallest cloud": [survey.fit.sizes[0] for survey in surveys],
        "points of the median cloud": [survey.fit.sizes[1] for survey in surveys],
        "points of the largest cloud": [survey.fit.sizes[2] for survey in surveys],
    }
    table = new_table("")
    for part in found.surveys:
        table.add_column(part, justify="right")
    for name, counts in rows.items():
        table.add_row(name, *map(str, counts))
    samples = ", ".join(f"{survey.fit.clouds} {part}" for part, survey in found.surveys.items())
    read = any(survey.fit.clouds < survey.clouds for survey in surveys)
    print_table(out, table, [f"points: of {samples} clouds, drawn by the seed"] if read else [])


def _print_sizes(out: Console, found: CloudAudit) -> None:
    table = new_table("median object")
    for name in ("length", "width", "height", "range", "farthest"):
        table.add_column(name, justify="right")
    for part, survey in found.surveys.items():
        for of_class in survey.classes:
            cells = map(_metres, (*of_class.size, of_class.median_range, of_class.farthest))
            table.add_row(escape(f"{part}: {of_class.name}"), *cells)
    print_table(out, table, ["metres; the range is along the ground"])


def _metres(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.{2 if value < 9.995 else 1}f}"
