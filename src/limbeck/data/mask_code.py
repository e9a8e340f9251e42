"""From the settings to what the levels of a mask stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from limbeck.core.samples import IGNORED_LABEL
from limbeck.data.checks import TITLE, data_error
from limbeck.data.frames import Layout
from limbeck.data.mask_config import LAST_LEVEL, Level, MaskDataConfig
from limbeck.data.mask_records import UNKNOWN_LABEL, MaskCode
from limbeck.errors import nearest


class ClassLevels(NamedTuple):
    """The levels of each class by name, in order, and those that do not count; None for all others."""

    classes: Mapping[str, tuple[int, ...]]
    ignored: tuple[int, ...] | None


def build_code(config: MaskDataConfig, layout: Layout) -> tuple[tuple[str, ...], MaskCode, list[str]]:
    """Return the classes to learn, what the levels of a mask stand for, and a sentence for the classes left out.

    Args:
        config: The settings.
        layout: The format, with the names of its levels.

    Raises:
        DataError: A class or a level has no such name, or one level stands for two things; all problems at once.
    """
    levels = _class_levels(config, layout)
    chosen = tuple(levels.classes) if config.classes is None else config.classes
    unknown = [name for name in chosen if name not in levels.classes]
    if unknown:
        raise data_error(
            TITLE, [f"data.classes: no class is called '{name}'{nearest(name, levels.classes)}" for name in unknown]
        )
    count = 1 << 24 if layout.in_colour else LAST_LEVEL + 1
    table = np.full(count, UNKNOWN_LABEL if levels.ignored is not None else IGNORED_LABEL, dtype=np.uint8)
    table[list(levels.ignored or ())] = IGNORED_LABEL
    for name, members in levels.classes.items():
        table[list(members)] = chosen.index(name) if name in chosen else IGNORED_LABEL
    others = [name for name in levels.classes if name not in chosen]
    quoted = ", ".join(f"'{name}'" for name in others)
    left_out = [f"data.classes: pixels of {quoted} are ignored, as they are not among the classes to learn"]
    code = MaskCode(table, layout.in_colour, {level: name for name, level in layout.levels.items()})
    return chosen, code, left_out if others else []


def _class_levels(config: MaskDataConfig, layout: Layout) -> ClassLevels:
    problems: list[str] = []
    if config.class_map is not None:
        classes = {
            name: tuple(_numbers(f"class_map.{name}", members, layout, problems))
            for name, members in config.class_map.items()
        }
    elif layout.levels:
        classes = {name: (level,) for name, level in layout.levels.items() if name not in layout.void}
    else:
        classes = {name: (level,) for level, name in enumerate(config.classes or ())}
    ignored: tuple[int, ...] | None = None
    if config.ignore is None:
        ignored = tuple(layout.levels[name] for name in layout.void) if layout.levels else (IGNORED_LABEL,)
        ignored = tuple(level for level in ignored if all(level not in members for members in classes.values()))
    elif config.ignore != "others":
        ignored = tuple(_numbers("ignore", config.ignore, layout, problems))
    problems += _conflicts(classes, ignored or ())
    if problems:
        raise data_error(TITLE, problems)
    return ClassLevels(classes, ignored)


def _numbers(setting: str, members: Iterable[Level], layout: Layout, problems: list[str]) -> Iterable[int]:
    for level in members:
        if isinstance(level, int) and layout.in_colour:
            problems.append(f"data.{setting}: {level} is a number, but the masks are in colour; name the class instead")
        elif isinstance(level, int):
            yield level
        elif level in layout.levels:
            yield layout.levels[level]
        else:
            what = "no level is called" if layout.levels else "levels have no names in this format, so there is no"
            problems.append(f"data.{setting}: {what} '{level}'{nearest(level, layout.levels)}")


def _conflicts(classes: Mapping[str, tuple[int, ...]], ignored: Iterable[int]) -> Iterable[str]:
    """Find what the settings cannot tell, as a level may stand there by number and by name."""
    owner: dict[int, str] = {}
    for setting, members in [*((f"class_map.{name}", levels) for name, levels in classes.items()), ("ignore", ignored)]:
        for level in members:
            if level in owner:
                yield f"data.{setting}: has the level {level}, which {owner[level]} has too"
            owner[level] = f"data.{setting}"
