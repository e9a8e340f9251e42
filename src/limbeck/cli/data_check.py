"""What ``limbeck data check`` prints and writes: counts, sizes, duplicates, problems and a verdict."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from limbeck.cli.check_lines import conclude, new_table, print_table
from limbeck.data.audit import Audit, audit
from limbeck.data.config import DataConfig
from limbeck.data.survey import HUGE_SHARE, MEDIUM_SIDE, QUANTILES, SMALL_SIDE, TINY_SIDE, ClassCount
from limbeck.report.formats import percent
from limbeck.report.sheet import draw_sheet

MAX_CLASSES = 40
"""Of more classes, the most frequent and the rarest are shown, half of each."""


def check_data(config: DataConfig, out: Console, *, to: Path | None = None, seed: int = 0) -> Audit:
    """Look at a data set, print what was found, and write it where that was asked for.

    Args:
        config: The data.
        out: Where to print.
        to: Folder for the sheet of samples and the numbers; None to write nothing.
        seed: Draws the images that are looked at for duplicates where there are very many.

    Raises:
        LimbeckError: The folder cannot be written.
    """
    with Console(stderr=True).status("reading and decoding all images", spinner="line"):
        found = audit(config, seed=seed)
    if found.surveys:
        _print_classes(out, found)
        _print_counts(out, found, config)
        _print_sizes(out, found)
    conclude(
        out,
        config,
        found,
        near=found.near,
        compared=found.compared,
        to=to,
        draw=lambda: draw_sheet(found.data, config.size, config.resize),
    )
    return found


def _print_classes(out: Console, found: Audit) -> None:
    table = new_table("class")
    for part in found.surveys:
        for name in (f"{part}\nboxes", "\nshare", "\nimages"):
            table.add_column(name, justify="right")
    surveys = list(found.surveys.values())
    rows = list(zip(*(survey.classes for survey in surveys), strict=True))
    frequent_first = sorted(rows, key=lambda row: [-count.boxes for count in row])
    half = MAX_CLASSES // 2
    shown = rows if len(rows) <= MAX_CLASSES else [*frequent_first[:half], *frequent_first[-half:]]
    for row in shown:
        cells = [_class_cells(count, survey.boxes) for count, survey in zip(row, surveys, strict=True)]
        table.add_row(escape(row[0].name), *itertools.chain(*cells))
    notes = [_imbalance([row[0] for row in frequent_first])]
    if len(shown) < len(rows):
        notes.append(f"{len(rows) - len(shown)} classes between the most frequent and the rarest are left out here")
    print_table(out, table, notes)


def _class_cells(count: ClassCount, total: int) -> tuple[str, str, str]:
    share = percent(count.boxes / total) if total else "-"
    return (str(count.boxes), share, str(count.images)) if count.boxes else ("[red]none[/]", "-", "-")


def _imbalance(frequent_first: Sequence[ClassCount]) -> str:
    """Compare the most frequent class with the rarest that occurs at all."""
    counts = [count for count in frequent_first if count.boxes]
    if len(counts) < 2:
        return ""
    most, least = counts[0], counts[-1]
    return f"{most.boxes / least.boxes:.1f} times as many boxes of '{most.name}' as of '{least.name}'"


def _print_counts(out: Console, found: Audit, config: DataConfig) -> None:
    surveys = found.surveys.values()
    rows = {
        "images": [survey.images for survey in surveys],
        "images without a box": [survey.empty_images for survey in surveys],
        "ignore regions": [survey.ignored for survey in surveys],
        "boxes": [survey.boxes for survey in surveys],
        f"  small, below {SMALL_SIDE:g} x {SMALL_SIDE:g} pixels": [survey.small for survey in surveys],
        f"    of them tiny, below {TINY_SIDE:g} x {TINY_SIDE:g}": [len(survey.tiny) for survey in surveys],
        f"  medium, below {MEDIUM_SIDE:g} x {MEDIUM_SIDE:g}": [survey.medium for survey in surveys],
        "  large": [survey.large for survey in surveys],
        f"  covering more than {percent(HUGE_SHARE)} of the image": [len(survey.huge) for survey in surveys],
        "  on top of another of the same class": [len(survey.twins) for survey in surveys],
    }
    table = new_table("")
    for part in found.surveys:
        table.add_column(part, justify="right")
    for name, counts in rows.items():
        table.add_row(name, *map(str, counts))
    width, height = config.size
    print_table(out, table, [f"pixels of the canvas, {width} x {height} ({config.resize})"])


def _print_sizes(out: Console, found: Audit) -> None:
    table = new_table("size of the boxes")
    for share in QUANTILES:
        table.add_column({0.0: "least", 0.5: "median", 1.0: "most"}.get(share, percent(share)), justify="right")
    for part, survey in found.surveys.items():
        sizes = survey.sizes
        table.add_row(f"{part}: side in the image", *(_short(side, 1) for side in sizes.side))
        table.add_row(f"{part}: side on the canvas", *(_short(side, 1) for side in sizes.canvas_side))
        table.add_row(f"{part}: width / height", *(_short(aspect, 2) for aspect in sizes.aspect))
        if sizes.canvas_aspect != sizes.aspect:
            table.add_row("  the same on the canvas", *(_short(aspect, 2) for aspect in sizes.canvas_aspect))
    print_table(out, table, ["a side is the square root of the area, in pixels"])


def _short(value: float, digits: int) -> str:
    return f"{value:.{digits if value < 9.995 else digits - 1}f}"
