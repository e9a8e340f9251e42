"""Scenes made from a seed, on disk in parts, with what they were made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.data.config import PartName
from limbeck.errors import DataError
from limbeck.files import new_folder, write_json
from limbeck.version import VERSION

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PART_NUMBERS: Mapping[PartName, int] = {"train": 0, "val": 1, "test": 2}
"""The second of the three numbers that a scene is made from; the others are the seed and its place in the part."""
LICENCE = "free to use: made by limbeck"


def write_scene_parts(
    folder: Path,
    counts: Mapping[PartName, int],
    seed: int,
    config: DataclassInstance,
    classes: Sequence[str],
    folders: Sequence[str],
    write: Callable[[Path, PartName, int, tuple[int, int, int]], None],
    beside: Mapping[str, Any] | None = None,
) -> None:
    """Write the scenes of all parts, and ``scenes.json``.

    Args:
        folder: The folder to write; it must not exist or be empty.
        counts: How many scenes each part has.
        seed: Where the parts begin, 0 or more.
        config: What the scenes look like.
        classes: Class names.
        folders: The folders of a part, with ``{part}`` for its name.
        write: Writes a scene, given the folder, the part, its place in it and the numbers that it is made from.
        beside: What goes into further json files, by their names.

    Raises:
        DataError: The folder is not empty or cannot be written.
    """
    made_from = {"version": VERSION, "seed": seed, "scenes": dict(counts), "config": asdict(config)}
    made_from |= {"part_numbers": PART_NUMBERS, "classes": classes}
    try:
        with new_folder(folder) as work:
            for part, count in counts.items():
                for name in folders:
                    (work / name.format(part=part)).mkdir(parents=True)
                for place in range(count):
                    write(work, part, place, (seed, PART_NUMBERS[part], place))
            for name, content in {"scenes.json": made_from, **(beside or {})}.items():
                write_json(work / name, content)
    except OSError as error:
        problem = f"{error.filename or folder}: {(error.strerror or str(error)).lower()}"
        raise DataError("The scenes cannot be written:", [problem]) from error
