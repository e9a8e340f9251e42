"""Reader of COCO json annotations with boxes. Everything is checked, and all problems are reported at once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from limbeck.data.checks import TITLE, data_error, read_text
from limbeck.data.coco_entries import parse_annotation, parse_category, parse_image, read_entries
from limbeck.data.config import ANNOTATIONS, OnBroken, SplitConfig, source_problems
from limbeck.data.image_folder import image_folder_problem
from limbeck.data.parsed import Key, Parsed, choose_categories, finish
from limbeck.data.records import BoxData
from limbeck.errors import DataError

_FOLDER_HINT = "set data.format to 'voc' for a folder of xml files, to 'yolo' for a folder of txt files"


def read_coco(
    split: SplitConfig,
    classes: Sequence[str] | None = None,
    on_broken: OnBroken = "error",
    *,
    need_objects: bool = False,
    verify_pixels: bool = False,
) -> BoxData:
    """Read boxes in the COCO format.

    Annotations with ``iscrowd`` or ``ignore`` become ignore regions. A box may hang over the edge of its image by up to
    1 pixel or 1 % of that side, whichever is more, and is clipped; more is an error, as it mostly means a wrong image.

    Args:
        split: Where images and annotations are.
        classes: Classes to learn, in the order of the labels; annotations of others are left out. None for all
            categories of the file, in order of their ids.
        on_broken: ``skip`` leaves broken images and annotations out and lists them in `BoxData.skipped`. A file that
            cannot be understood as a whole is an error all the same.
        need_objects: Whether a data set without a single object is an error.
        verify_pixels: Decode every image to find truncated files; else only the headers are read.

    Raises:
        DataError: Something is missing, broken or does not fit together; all problems at once.
    """
    where = split.annotations
    if where is None:
        raise DataError(TITLE, source_problems("coco", {"": split}, classes, names=None))
    content = _load(where)
    if problem := image_folder_problem(split.images):
        raise DataError(TITLE, [problem])
    categories = _read_categories(content["categories"], where)
    chosen = choose_categories(categories, where, classes)
    broken: list[str] = []
    images = read_entries(content["images"], "image", where, broken, parse_image)
    parse = partial(parse_annotation, images=images, categories=categories)
    boxes = read_entries(content["annotations"], "annotation", where, broken, parse)
    sound = [box for box in boxes.values() if box is not None]
    parsed = Parsed(where, split.images, images, sound, categories, broken)
    ids = [int(key) for key in chosen]
    return finish(parsed, chosen, ids, on_broken, need_objects=need_objects, verify_pixels=verify_pixels)


def _load(where: Path) -> dict[str, list[Any]]:
    """Read the json file and check that it has the three lists of a COCO file."""
    if where.is_dir():
        raise DataError(TITLE, [f"{where}: a folder, but the format coco needs {ANNOTATIONS['coco']}"], _FOLDER_HINT)
    try:
        content = json.loads(read_text(where))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno} ({error.msg})"
        raise DataError(TITLE, [f"{where}: not valid json; it breaks off or is wrong at {place}"]) from error
    if not isinstance(content, dict):
        raise DataError(TITLE, [f"{where}: not a COCO file; it is a {type(content).__name__}, not an object"])
    missing = [key for key in ("images", "annotations", "categories") if not isinstance(content.get(key), list)]
    if missing:
        raise DataError(TITLE, [f"{where}: not a COCO file; it has no list '{key}'" for key in missing])
    return content


def _read_categories(entries: list[Any], where: Path) -> dict[Key, str]:
    """Return the name of every category by its id; any problem here is a problem of the whole file."""
    problems: list[str] = []
    found = read_entries(entries, "category", where, problems, parse_category)
    names = {key: name for key, name in found.items() if name is not None}
    counts = Counter(names.values())
    problems += [f"{where}: {count} categories are called '{name}'" for name, count in counts.items() if count > 1]
    problems += [f"{where}: category id {key!r} is not an integer" for key in found if not isinstance(key, int)]
    if not entries:
        problems.append(f"{where}: the list of categories is empty")
    if problems:
        raise data_error(TITLE, problems)
    return names
