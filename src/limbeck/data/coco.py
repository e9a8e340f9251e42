"""Reader of COCO json annotations with boxes. Everything is checked, and all problems are reported at once."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.checks import check_images, data_error
from limbeck.data.coco_entries import (
    BoxEntry,
    ImageEntry,
    Key,
    parse_annotation,
    parse_category,
    parse_image,
    read_entries,
)
from limbeck.data.config import DataConfig, OnBroken, SplitConfig
from limbeck.data.records import BoxRecord
from limbeck.errors import DataError, nearest

_TITLE = "The data set cannot be used as it is:"
_SKIP_HINT = "set data.on_broken to 'skip' to leave broken images and annotations out"


@dataclass(frozen=True, slots=True)
class CocoData:
    """A data set that was read and found sound.

    Attributes:
        records: One per image, in the order of the file; images without boxes are kept.
        classes: Class names; a label is an index into them.
        category_ids: The file's category id of each class.
        skipped: One sentence for each image, annotation or class that was left out.
    """

    records: tuple[BoxRecord, ...]
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    skipped: tuple[str, ...]


def read_train_and_val(config: DataConfig, verify_pixels: bool = False) -> tuple[CocoData, CocoData]:
    """Read both parts of a data set, the second with the classes of the first.

    Args:
        config: Where the data is.
        verify_pixels: See `read_coco`.

    Raises:
        DataError: Either part is broken; the problems of both are reported.
    """
    problems: list[str] = []
    hint: str | None = None
    parts: list[CocoData] = []
    classes = config.classes
    for split, need_objects in ((config.train, True), (config.val, False)):
        try:
            part = read_coco(split, classes, config.on_broken, need_objects=need_objects, verify_pixels=verify_pixels)
        except DataError as error:
            problems += error.problems
            hint = hint or error.hint
        else:
            parts.append(part)
            classes = part.classes
    if problems:
        raise DataError(_TITLE, problems, hint)
    return parts[0], parts[1]


def read_coco(
    split: SplitConfig,
    classes: Sequence[str] | None = None,
    on_broken: OnBroken = "error",
    *,
    need_objects: bool = False,
    verify_pixels: bool = False,
) -> CocoData:
    """Read boxes in the COCO format.

    Annotations with ``iscrowd`` or ``ignore`` become ignore regions. A box may hang over the edge of its image by up to
    1 pixel or 1 % of that side, whichever is more, and is clipped; more is an error, as it mostly means a wrong image.

    Args:
        split: Where images and annotations are.
        classes: Classes to learn, in the order of the labels; annotations of others are left out. None for all
            categories of the file, in order of their ids.
        on_broken: ``skip`` leaves broken images and annotations out and lists them in `CocoData.skipped`. A file that
            cannot be understood as a whole is an error all the same.
        need_objects: Whether a data set without a single object is an error.
        verify_pixels: Decode every image to find truncated files; else only the headers are read.

    Raises:
        DataError: Something is missing, broken or does not fit together; all problems at once.
    """
    where = split.annotations
    content = _load(where)
    if not split.images.is_dir():
        raise DataError(_TITLE, [f"{split.images}: the folder of images does not exist"])
    categories = _read_categories(content["categories"], where)
    category_ids = _choose_categories(categories, where, classes)
    broken: list[str] = []
    images = read_entries(content["images"], "image", where, broken, parse_image)
    parse = partial(parse_annotation, images=images, categories=categories)
    boxes = read_entries(content["annotations"], "annotation", where, broken, parse)
    records = _records(split.images, images, boxes.values(), category_ids)
    broken_files = check_images(records, verify_pixels)
    broken += broken_files.values()
    if broken and on_broken == "error":
        raise data_error(_TITLE, broken, _SKIP_HINT)
    sound = tuple(record for record in records if record.id not in broken_files)
    _check_not_empty(sound, where, need_objects)
    skipped = (*broken, *_left_out(where, boxes.values(), categories, category_ids))
    return CocoData(sound, tuple(categories[key] for key in category_ids), category_ids, skipped)


def _load(where: Path) -> dict[str, list[Any]]:
    """Read the json file and check that it has the three lists of a COCO file."""
    try:
        content = json.loads(where.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno} ({error.msg})"
        raise DataError(_TITLE, [f"{where}: not valid json; it breaks off or is wrong at {place}"]) from error
    except UnicodeDecodeError as error:
        raise DataError(_TITLE, [f"{where}: not a text file"]) from error
    except OSError as error:
        raise DataError(_TITLE, [f"{where}: {(error.strerror or str(error)).lower()}"]) from error
    if not isinstance(content, dict):
        raise DataError(_TITLE, [f"{where}: not a COCO file; it is a {type(content).__name__}, not an object"])
    missing = [key for key in ("images", "annotations", "categories") if not isinstance(content.get(key), list)]
    if missing:
        raise DataError(_TITLE, [f"{where}: not a COCO file; it has no list '{key}'" for key in missing])
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
        raise data_error(_TITLE, problems)
    return names


def _choose_categories(categories: Mapping[Key, str], where: Path, classes: Sequence[str] | None) -> tuple[int, ...]:
    """Return the category ids in the order of the labels."""
    ids = {name: int(key) for key, name in categories.items()}
    if classes is None:
        return tuple(sorted(ids.values()))
    unknown = [name for name in classes if name not in ids]
    if unknown:
        raise DataError(_TITLE, [f"{where}: no category is called '{name}'{nearest(name, ids)}" for name in unknown])
    return tuple(ids[name] for name in classes)


def _records(
    folder: Path,
    images: Mapping[Key, ImageEntry | None],
    boxes: Iterable[BoxEntry | None],
    category_ids: Sequence[int],
) -> list[BoxRecord]:
    labels = {key: label for label, key in enumerate(category_ids)}
    rows: defaultdict[Key, list[BoxEntry]] = defaultdict(list)
    for box in boxes:
        if box is not None and box.category_id in labels:
            rows[box.image_id].append(box)
    return [
        BoxRecord(
            id=key,
            path=folder / image.file_name,
            size_wh=image.size_wh,
            boxes_xyxy=np.array([row.box_xyxy for row in rows[key]], dtype=np.float32).reshape(-1, 4),
            labels=np.array([labels[int(row.category_id)] for row in rows[key]], dtype=np.int64),
            ignore=np.array([row.ignore for row in rows[key]], dtype=np.bool_),
        )
        for key, image in images.items()
        if image is not None
    ]


def _left_out(
    where: Path, boxes: Iterable[BoxEntry | None], categories: Mapping[Key, str], category_ids: Sequence[int]
) -> list[str]:
    others = Counter(box.category_id for box in boxes if box is not None and box.category_id not in category_ids)
    return [
        f"{where}: {count} annotations of '{categories[key]}' are left out, as it is not among the classes to learn"
        for key, count in others.items()
    ]


def _check_not_empty(records: Sequence[BoxRecord], where: Path, need_objects: bool) -> None:
    if not records:
        raise DataError(_TITLE, [f"{where}: the data set is empty; it has no usable image"])
    if need_objects and all(record.ignore.all() for record in records):
        raise DataError(_TITLE, [f"{where}: the data set is empty; none of its {len(records)} images has an object"])
