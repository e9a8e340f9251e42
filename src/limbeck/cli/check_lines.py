"""What the checks of all kinds of data print alike: duplicates, lines, tables and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from limbeck.core.model import IMAGE
from limbeck.data.config import PARTS, AnyDataConfig, PartName
from limbeck.data.duplicates import Pair
from limbeck.errors import LimbeckError
from limbeck.files import write_json
from limbeck.report.formats import counted
from limbeck.tasks.base import PartData

MAX_GROUPS = 10
SHEET, NUMBERS = "sheet.png", "check.json"


class Found(Protocol):
    """What an audit of any kind of data has found."""

    @property
    def problems(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def warnings(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def data(self) -> Mapping[PartName, PartData]: ...  # noqa: D102

    def to_json(self) -> dict[str, Any]:
        """Return all but the records as plain numbers and texts."""
        ...


def conclude(
    out: Console,
    config: AnyDataConfig,
    found: Found,
    *,
    to: Path | None,
    draw: Callable[[], Image.Image],
    near: Sequence[Sequence[Pair]] = (),
    compared: Mapping[PartName, int] | None = None,
    noun: str = IMAGE,
) -> None:
    """Print what the parts have in common, write what was asked for, and print problems, warnings and the verdict.

    Args:
        out: Where to print.
        config: The data.
        found: What was found in it.
        to: Folder for the sheet of samples and the numbers; None to write nothing.
        draw: Draws the sheet.
        near: Validation images that show the same picture as a training image, in groups.
        compared: How many images of each part were looked at for duplicates; None for all.
        noun: What the data consists of.

    Raises:
        LimbeckError: The folder cannot be written.
    """
    if near:
        _print_near(out, near, config)
    images = {part: len(data.records) for part, data in found.data.items()}
    _print_lines(out, "", _not_compared(compared or images, images))
    if to is not None:
        _write(found, to, draw)
        _print_lines(out, "", [f"numbers: {to / NUMBERS}", *([f"samples: {to / SHEET}"] if found.data else [])])
    _print_lines(out, "[red]problem:[/] ", found.problems)
    _print_lines(out, "[yellow]warning:[/] ", found.warnings)
    _print_lines(out, "", [_verdict(images, noun, found.problems, found.warnings)])


def _write(found: Found, to: Path, draw: Callable[[], Image.Image]) -> None:
    try:
        to.mkdir(parents=True, exist_ok=True)
        write_json(to / NUMBERS, found.to_json())
        if found.data:
            draw().save(to / SHEET)
    except OSError as error:
        raise LimbeckError(f"A result cannot be written: {error}.") from error


def _print_near(out: Console, near: Sequence[Sequence[Pair]], config: AnyDataConfig) -> None:
    """Print the validation images that show the same picture as a training image."""
    table = new_table("validation image")
    table.add_column("training image", overflow="fold")
    table.add_column("likeness", justify="right")
    table.add_column("")
    for group in near[:MAX_GROUPS]:
        table.add_row(*_pair_cells(group, config))
    left_out = len(near) - MAX_GROUPS
    notes = ["they show the same picture; of a group that hangs together, the most alike pair"]
    print_table(out, table, [*notes, *([f"{left_out} smaller groups are left out here"] if left_out > 0 else [])])


def _pair_cells(group: Sequence[Pair], config: AnyDataConfig) -> tuple[str, str, str, str]:
    best = group[0]
    others = len({pair.val for pair in group}) - 1
    notes = (["mirrored"] if best.mirrored else []) + ([f"and {others} more"] if others else [])
    val, train = _relative(best.val, config.val.folder), _relative(best.train, config.train.folder)
    return escape(val), escape(train), f"{best.likeness:.3f}", ", ".join(notes)


def _not_compared(compared: Mapping[PartName, int], images: Mapping[PartName, int]) -> Iterator[str]:
    """Yield a sentence for every part of which not all images were looked at for duplicates."""
    for part, count_of_part in images.items():
        if compared[part] < count_of_part:
            count = f"{compared[part]} of {count_of_part} {PARTS[part]} images"
            yield f"duplicates were looked for among {count}, drawn by the seed"


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _verdict(images: Mapping[PartName, int], noun: str, problems: Collection[str], warnings: Collection[str]) -> str:
    """Return the last sentence of a check."""
    parts = [f"{count} {PARTS[part]}" for part, count in images.items()]
    listed = [", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts
    looked_at = f"{' and '.join(listed) or 'no'} {noun}s"
    if problems:
        count = counted(len(problems), "problem")
        return f"{looked_at} are sound; {count}: a training would stop, or leave out what is broken (data.on_broken)"
    if warnings:
        return f"sound: {looked_at}, with {counted(len(warnings), 'warning')}"
    return f"sound: {looked_at}"


def _print_lines(out: Console, mark: str, lines: Iterable[str]) -> None:
    """Print lines with a mark before each."""
    for line in lines:
        out.print(f"{mark}{escape(line)}", soft_wrap=True)


def print_table(out: Console, table: Table, notes: Iterable[str]) -> None:
    """Print a table, its notes below, and an empty line."""
    out.print(table)
    _print_lines(out, "", [*filter(None, notes), ""])


def new_table(first_column: str) -> Table:
    """Return an empty table."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column(first_column, overflow="fold")
    return table
