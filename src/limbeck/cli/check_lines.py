"""What the checks of all kinds of data print alike: duplicates, lines, tables and the verdict."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from limbeck.data.config import PARTS, AnyDataConfig, PartName
from limbeck.data.duplicates import Pair
from limbeck.report.formats import counted

MAX_GROUPS = 10
SHEET, NUMBERS = "sheet.png", "check.json"


def print_near(out: Console, near: Sequence[Sequence[Pair]], config: AnyDataConfig) -> None:
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
    val, train = _relative(best.val, config.val.images), _relative(best.train, config.train.images)
    return escape(val), escape(train), f"{best.likeness:.3f}", ", ".join(notes)


def not_compared(compared: Mapping[PartName, int], images: Mapping[PartName, int]) -> Iterator[str]:
    """Yield a sentence for every part of which not all images were looked at for duplicates."""
    for part, count_of_part in images.items():
        if compared[part] < count_of_part:
            count = f"{compared[part]} of {count_of_part} {PARTS[part]} images"
            yield f"duplicates were looked for among {count}, drawn by the seed"


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def verdict(images: Mapping[PartName, int], problems: Collection[str], warnings: Collection[str]) -> str:
    """Return the last sentence of a check."""
    parts = [f"{count} {PARTS[part]}" for part, count in images.items()]
    listed = [", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts
    looked_at = f"{' and '.join(listed) or 'no'} images"
    if problems:
        count = counted(len(problems), "problem")
        return f"{looked_at} are sound; {count}: a training would stop, or leave out what is broken (data.on_broken)"
    if warnings:
        return f"sound: {looked_at}, with {counted(len(warnings), 'warning')}"
    return f"sound: {looked_at}"


def print_lines(out: Console, mark: str, lines: Iterable[str]) -> None:
    """Print lines with a mark before each."""
    for line in lines:
        out.print(f"{mark}{escape(line)}", soft_wrap=True)


def print_table(out: Console, table: Table, notes: Iterable[str]) -> None:
    """Print a table, its notes below, and an empty line."""
    out.print(table)
    print_lines(out, "", [*filter(None, notes), ""])


def new_table(first_column: str) -> Table:
    """Return an empty table."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column(first_column, overflow="fold")
    return table
