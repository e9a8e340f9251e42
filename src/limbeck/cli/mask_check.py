"""What ``limbeck data check`` prints and writes for data with masks: classes, X maps, duplicates and a verdict."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from limbeck.cli.check_lines import conclude, new_table, print_table
from limbeck.data.mask_audit import MaskAudit, audit_masks
from limbeck.data.mask_config import MaskDataConfig
from limbeck.data.mask_survey import ClassPixels
from limbeck.report.formats import percent
from limbeck.report.mask_sheet import draw_mask_sheet


def check_masks(config: MaskDataConfig, out: Console, *, to: Path | None = None, seed: int = 0) -> MaskAudit:
    """Look at a data set with masks, print what was found, and write it where that was asked for.

    Args:
        config: The data.
        out: Where to print.
        to: Folder for the sheet of samples and the numbers; None to write nothing.
        seed: Draws the X maps that are measured, and the images that are looked at for duplicates where there are very
            many.

    Raises:
        LimbeckError: The folder cannot be written.
    """
    with Console(stderr=True).status("reading and decoding all images, masks and X maps", spinner="line"):
        found = audit_masks(config, seed=seed)
    if found.surveys:
        _print_classes(out, found)
    if any(found.x_surveys.values()):
        _print_x(out, found)
    conclude(
        out,
        config,
        found,
        near=found.images.near,
        compared=found.images.compared,
        to=to,
        draw=lambda: draw_mask_sheet(found.data),
    )
    return found


def _print_classes(out: Console, found: MaskAudit) -> None:
    table = new_table("class")
    for part in found.surveys:
        for name in (f"{part}\npixels", "\nimages"):
            table.add_column(name, justify="right")
    surveys = list(found.surveys.values())
    for row in zip(*(survey.classes for survey in surveys), strict=True):
        cells = [_class_cells(count, survey.pixels) for count, survey in zip(row, surveys, strict=True)]
        table.add_row(escape(row[0].name), *itertools.chain(*cells))
    table.add_section()
    table.add_row("ignored", *itertools.chain(*((percent(survey.ignored_share), "") for survey in surveys)))
    table.add_row("all", *itertools.chain(*(("", str(survey.images)) for survey in surveys)))
    print_table(out, table, ["pixels: share of those that count; ignored: share of all"])


def _class_cells(count: ClassPixels, total: int) -> tuple[str, str]:
    return (f"{count.pixels / total:.2%}", str(count.images)) if count.pixels else ("[red]none[/]", "-")


def _print_x(out: Console, found: MaskAudit) -> None:
    table = new_table("X maps")
    for name in ("maps", "unit", "measured", "least", "median", "most"):
        table.add_column(name, justify="right")
    for part, surveys in found.x_surveys.items():
        for survey in surveys:
            numbers = map(_number, (survey.least, survey.median, survey.most))
            cells = (str(survey.maps), survey.unit or "-", percent(survey.measured), *numbers)
            table.add_row(escape(f"{part}: {survey.name}"), *cells)
    heights = [
        f"{part}: {survey.name}: the camera is {survey.camera_height:.3g} m above the road"
        for part, surveys in found.x_surveys.items()
        for survey in surveys
        if survey.camera_height is not None
    ]
    print_table(out, table, ["of a sample of the maps, drawn by the seed", *heights])


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"
