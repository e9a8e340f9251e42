"""Reader of YOLO annotations: one txt file per image, one object per line, in fractions of the image's sides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import yaml

from limbeck.data.checks import TITLE, data_error, image_size, read_text
from limbeck.data.config import OnBroken, SplitConfig, source_problems
from limbeck.data.image_folder import check_folders, pair_files
from limbeck.data.parsed import (
    BoxEntry,
    ImageEntry,
    Key,
    Parsed,
    SideBox,
    choose_categories,
    clip_box,
    finish,
)
from limbeck.data.records import BoxData
from limbeck.errors import BrokenEntryError, DataError

CLASS_FILE = "classes.txt"
LARGEST_FRACTION = 2.0
"""Above this, a number is meant in pixels; below, the rule for boxes that hang over the edge says what is wrong."""


def read_yolo(
    split: SplitConfig,
    classes: Sequence[str] | None = None,
    on_broken: OnBroken = "error",
    *,
    names: Path | None = None,
    need_objects: bool = False,
    verify_pixels: bool = False,
) -> BoxData:
    """Read boxes in the YOLO format.

    A line is ``class cx cy w h``, or ``class x1 y1 x2 y2 x3 y3 ...`` for a polygon, of which the bounding box is taken.
    An image without a txt file is an image without objects.

    Args:
        split: Where images and annotations are.
        classes: Classes to learn, in the order of the labels; objects of others are left out. None for all of
            ``names``. Without ``names`` these are the names that the numbers in the files stand for.
        on_broken: See `limbeck.data.coco.read_coco`.
        names: A data.yaml with ``names``, or a text file with one name per line.
        need_objects: See `limbeck.data.coco.read_coco`.
        verify_pixels: See `limbeck.data.coco.read_coco`.

    Raises:
        DataError: Something is missing, broken or does not fit together; all problems at once.
    """
    if problems := source_problems("yolo", {"": split}, classes, names):
        raise DataError(TITLE, problems)
    known: dict[Key, str] = dict(enumerate(read_names(names) if names else classes or ()))
    chosen = choose_categories(known, names or split.images, classes, "class")
    folder = label_folder(split)
    check_folders(split, folder, "yolo")
    broken: list[str] = []
    others = {CLASS_FILE, *(path.name for path in (split.list, names) if path)}
    images, boxes = _read_files(split, folder, others, known, broken)
    parsed = Parsed(folder, split.images, images, boxes, known, broken)
    ids = range(1, len(chosen) + 1)
    return finish(parsed, chosen, ids, on_broken, need_objects=need_objects, verify_pixels=verify_pixels)


def label_folder(split: SplitConfig) -> Path:
    """Return where the txt files lie, under the same names as the images in their folder.

    The last ``images`` in the path of the images becomes ``labels``, as YOLO tools do it; if there is no such folder,
    the txt files lie beside their images.
    """
    if split.annotations is not None:
        return split.annotations
    parts = split.images.parts
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        beside = Path(*parts[:last], "labels", *parts[last + 1 :])
        if beside.is_dir():
            return beside
    return split.images


def _read_files(
    split: SplitConfig, folder: Path, others: set[str], known: dict[Key, str], broken: list[str]
) -> tuple[dict[Key, ImageEntry | None], list[BoxEntry]]:
    pairs = pair_files(split, folder, ".txt", broken, others)
    if pairs and all(file is None for _, file in pairs):
        what = f"none of its {len(pairs)} images has a txt file of its name in {folder}"
        raise DataError(TITLE, [f"{split.images}: {what}"], "give the folder of the txt files as 'annotations'")
    images: dict[Key, ImageEntry | None] = {}
    boxes: list[BoxEntry] = []
    for name, file in pairs:
        images[name] = None
        try:
            image = ImageEntry(name, image_size(split.images / name), size_from_file=True)
            lines = read_text(file).splitlines() if file else []
        except DataError as error:
            broken += error.problems
            continue
        images[name] = image
        boxes += _read_lines(lines, image, known, file, broken)
    return images, boxes


def _read_lines(
    lines: Sequence[str], image: ImageEntry, known: dict[Key, str], file: Path | None, broken: list[str]
) -> list[BoxEntry]:
    boxes = []
    seen: dict[tuple[float, ...], int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = _numbers(line)
            if values in seen:
                raise BrokenEntryError(f"says the same as line {seen[values]}")
            seen[values] = number
            boxes.append(_box(values, image, known))
        except BrokenEntryError as error:
            broken.append(f"{file}: line {number} {error}")
    return boxes


def _numbers(line: str) -> tuple[float, ...]:
    values = []
    for text in line.split():
        try:
            values.append(float(text))
        except ValueError:
            raise BrokenEntryError(f"has '{text}' in it, which is not a number") from None
        if not math.isfinite(values[-1]):
            raise BrokenEntryError(f"has '{text}' in it, which is not finite")
    return tuple(values)


def _box(values: tuple[float, ...], image: ImageEntry, known: dict[Key, str]) -> BoxEntry:
    number, numbers = values[0], values[1:]
    if len(numbers) != 4 and (len(numbers) < 6 or len(numbers) % 2):
        what = "a line is the class and centre x, centre y, width, height, or the class and the corners of a polygon"
        raise BrokenEntryError(f"has {len(values)} numbers; {what}")
    if number not in known:
        raise BrokenEntryError(f"has the class {number:g}, but there are {len(known)} classes, counted from 0")
    if largest := [value for value in numbers if abs(value) > LARGEST_FRACTION]:
        raise BrokenEntryError(f"has the number {largest[0]:g}, but fractions of the image's sides are from 0 to 1")
    width, height = image.size_wh
    left, top, right, bottom = _sides(numbers)
    box_xyxy = (left * width, top * height, right * width, bottom * height)
    return BoxEntry(image.file_name, int(number), clip_box(box_xyxy, numbers, image), ignore=False)


def _sides(numbers: tuple[float, ...]) -> SideBox:
    if len(numbers) > 4:
        return min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])
    x, y, width, height = numbers
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def read_names(path: Path) -> tuple[str, ...]:
    """Return the class names in a data.yaml (``names`` as a list, or as a map from number to name) or a classes.txt.

    Raises:
        DataError: The file cannot be read, or does not give every number one name of its own.
    """
    text = read_text(path)
    names = _names_of_yaml(text, path) if path.suffix.lower() in (".yaml", ".yml") else text.rstrip().splitlines()
    problems = [] if names else [f"{path}: has no class names in it"]
    numbers: dict[str, int] = {}
    for number, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            problems.append(f"{path}: class {number} has the name {name!r}, which is not a text")
        elif name.strip() in numbers:
            problems.append(f"{path}: class {number} has the name '{name}', as class {numbers[name.strip()]}")
        else:
            numbers[name.strip()] = number
    if problems:
        raise data_error(TITLE, problems)
    return tuple(numbers)


def _names_of_yaml(text: str, path: Path) -> Sequence[object]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(TITLE, [f"{path}: not valid YAML; {' '.join(str(error).split())}"]) from error
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise DataError(TITLE, [f"{path}: the numbers of the classes are {list(names)}, not 0 to {len(names) - 1}"])
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list):
        raise DataError(TITLE, [f"{path}: has no list or map 'names'"])
    stated = content.get("nc", len(names))
    if stated != len(names):
        raise DataError(TITLE, [f"{path}: 'nc' says {stated} classes, but 'names' has {len(names)}"])
    return names
