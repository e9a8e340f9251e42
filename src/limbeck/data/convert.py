"""Writing a data set in another format. What was written is read back and compared before it counts as done."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.data.checks import data_error
from limbeck.data.config import DataConfig, Format, OnBroken, SplitConfig
from limbeck.data.image_folder import without_suffix
from limbeck.data.readers import read_all_parts, read_boxes
from limbeck.data.records import BoxData, BoxRecord
from limbeck.data.writers import Named, write_coco, write_names, write_voc, write_yolo
from limbeck.errors import DataError
from limbeck.files import new_folder

Files = Literal["copy", "link", "none"]
TITLE = "The data set cannot be converted:"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a data set.

    Attributes:
        name: ``train``, ``val`` or ``test``; files and folders are named after it.
        folder: The folder that the file names of the images are relative to.
        data: What was read.
    """

    name: str
    folder: Path
    data: BoxData

    def named(self) -> Named:
        """Return the images with their file names."""
        return [(record.path.relative_to(self.folder).as_posix(), record) for record in self.data.records]


@dataclass(frozen=True, slots=True)
class Conversion:
    """A data set that was converted.

    Attributes:
        settings: The settings of the section ``data`` that read it.
        notes: One sentence for all that was left out, by the reader or to fit the format.
    """

    settings: dict[str, Any]
    notes: tuple[str, ...]


def read_parts(config: DataConfig) -> list[Part]:
    """Read all parts of a data set.

    Raises:
        DataError: See `read_all_parts`.
    """
    return [Part(name, config.parts[name].images, data) for name, data in read_all_parts(config).items()]


def read_part(
    name: str,
    split: SplitConfig,
    format: Format,
    classes: Sequence[str] | None = None,
    on_broken: OnBroken = "error",
    *,
    names: Path | None = None,
) -> Part:
    """Read one part of a data set; see `read_boxes`.

    Raises:
        DataError: See `read_boxes`.
    """
    return Part(name, split.images, read_boxes(split, format, classes, on_broken, names=names))


def convert(
    parts: Sequence[Part],
    to: Format,
    out: Path,
    *,
    files: Files = "copy",
    drop_ignore: bool = False,
    drop_duplicates: bool = False,
) -> Conversion:
    """Write boxes, classes and ignore regions in another format; nothing is written if that cannot be done exactly.

    Args:
        parts: What to write; all have the same classes.
        to: The format.
        out: The folder to write; it must not exist or be empty.
        files: Whether the images are copied into it, linked from it, or left where they are.
        drop_ignore: Leave out ignore regions if the format has none; they become background.
        drop_duplicates: Leave out boxes that stand twice if the format refuses them.

    Raises:
        DataError: The folder cannot be written, or the format cannot hold the data; all problems at once.
    """
    _check_place(out, parts)
    _check_names(parts, to)
    notes = [sentence for part in parts for sentence in part.data.skipped]
    if to == "yolo":
        parts, lost = _fit_to_yolo(parts, drop_ignore, drop_duplicates)
        notes += lost
    try:
        with new_folder(out) as work:
            _write(parts, to, work, files)
            if problems := _read_back(parts, _settings(parts, to, work, files)):
                raise data_error(f"The format {to} cannot hold this data set as it is:", problems)
    except OSError as error:
        problem = f"{error.filename or out}: {(error.strerror or str(error)).lower()}"
        raise DataError(TITLE, [problem]) from error
    return Conversion(_settings(parts, to, out, files), tuple(notes))


def _check_place(out: Path, parts: Sequence[Part]) -> None:
    inside = [part.folder for part in parts if out.resolve().is_relative_to(part.folder.resolve())]
    if inside:
        raise DataError(TITLE, [f"{out}: lies inside {inside[0]}, the images that are to be converted"])


def _check_names(parts: Sequence[Part], to: Format) -> None:
    outside = [
        f"{record.path}: lies outside {part.folder}, the folder of images"
        for part in parts
        for record in part.data.records
        if not record.path.is_relative_to(part.folder) or ".." in record.path.relative_to(part.folder).parts
    ]
    if outside:
        raise data_error(TITLE, outside)
    if to != "voc":
        return
    first: dict[str, Path] = {}
    shared = [
        f"{record.path}: would share its xml file with {first[stem]}, as the format voc has one folder for all"
        for part in parts
        for name, record in part.named()
        if first.setdefault(stem := without_suffix(name), record.path) != record.path
    ]
    if shared:
        raise data_error(
            TITLE, shared, "rename one of them, or convert one part after the other with --from and --part"
        )


def _fit_to_yolo(parts: Sequence[Part], drop_ignore: bool, drop_duplicates: bool) -> tuple[Sequence[Part], list[str]]:
    """Leave out what YOLO cannot hold, where that was asked for; returns the rest, and what was left out."""
    losses: tuple[tuple[str, bool, str, Callable[[BoxRecord], NDArray[np.bool_]]], ...] = (
        ("ignore regions, which the format yolo does not have", drop_ignore, "--drop-ignore", _is_object),
        ("boxes that stand twice, which the format yolo refuses", drop_duplicates, "--drop-duplicates", _is_first),
    )
    problems: list[str] = []
    notes: list[str] = []
    options: list[str] = []
    for what, drop, option, kept in losses:
        counts = {part.name: sum(int((~kept(record)).sum()) for record in part.data.records) for part in parts}
        found = [f"{name}: {count} {what}" for name, count in counts.items() if count]
        if drop:
            notes += [f"{sentence}, are left out" for sentence in found]
            parts = [_keep(part, kept) for part in parts]
        elif found:
            problems += found
            options.append(option)
    if problems:
        raise DataError(TITLE, problems, f"to leave them out: {' '.join(options)}")
    return parts, notes


def _is_object(record: BoxRecord) -> NDArray[np.bool_]:
    return ~record.ignore


def _is_first(record: BoxRecord) -> NDArray[np.bool_]:
    rows = np.column_stack([record.labels, record.boxes_xyxy])
    _, first = np.unique(rows, axis=0, return_index=True)
    return np.isin(np.arange(len(rows)), first)


def _keep(part: Part, kept: Callable[[BoxRecord], NDArray[np.bool_]]) -> Part:
    records = tuple(
        replace(
            record,
            boxes_xyxy=record.boxes_xyxy[kept(record)],
            labels=record.labels[kept(record)],
            ignore=record.ignore[kept(record)],
        )
        for record in part.data.records
    )
    return replace(part, data=replace(part.data, records=records))


class _Place(NamedTuple):
    """Where the images, the annotations and the list of a part lie in a written folder."""

    images: Path
    annotations: Path
    list: Path | None


def _place_of(part: Part, to: Format, folder: Path, files: Files) -> _Place:
    """Return the place of a part, as tools of the format expect it."""
    name, left = part.name, files == "none"
    if to == "voc":
        images = part.folder if left else folder / "JPEGImages"
        return _Place(images, folder / "Annotations", folder / f"ImageSets/Main/{name}.txt")
    images = part.folder if left else folder / "images" / name
    if to == "coco":
        return _Place(images, folder / f"annotations/instances_{name}.json", None)
    return _Place(images, folder / "labels" / name, folder / f"{name}.txt")


def _settings(parts: Sequence[Part], to: Format, folder: Path, files: Files) -> dict[str, Any]:
    settings: dict[str, Any] = {"format": to}
    for part in parts:
        place = _place_of(part, to, folder, files)
        settings[part.name] = {key: str(path) for key, path in place._asdict().items() if path is not None}
    if to == "voc":
        settings["classes"] = list(parts[0].data.classes)  # the files do not say in which order
    if to == "yolo":
        settings["names"] = str(folder / "data.yaml")
    return settings


def _write(parts: Sequence[Part], to: Format, folder: Path, files: Files) -> None:
    classes = parts[0].data.classes
    for part in parts:
        place, named = _place_of(part, to, folder, files), part.named()
        names = [name for name, _ in named]
        if files != "none":
            for name, record in named:
                _put_image(record.path, place.images / name, files)
        if to == "coco":
            write_coco(place.annotations, named, classes)
        elif to == "voc":
            write_voc(place.annotations, named, classes)
            names = [without_suffix(name) for name in names]
        else:
            write_yolo(place.annotations, named)
            if files != "none":  # "./" stands for the folder of the list
                names = [f"./images/{part.name}/{name}" for name in names]
        if place.list is not None:
            place.list.parent.mkdir(parents=True, exist_ok=True)
            place.list.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    if to == "yolo":
        folders = {} if files == "none" else {part.name: f"images/{part.name}" for part in parts}
        write_names(folder / "data.yaml", classes, folders)


def _put_image(source: Path, target: Path, files: Files) -> None:
    if target.exists():  # two entries of a COCO file may name one image, and so may two parts
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if files == "link":
        target.symlink_to(source.resolve())
    else:
        shutil.copy2(source, target)


def _read_back(parts: Sequence[Part], settings: Mapping[str, Any]) -> list[str]:
    """Return a sentence for everything that reads differently from what was meant."""
    problems: list[str] = []
    for part in parts:
        split = SplitConfig.model_validate(settings[part.name])
        names = Path(settings["names"]) if "names" in settings else None
        try:
            data = read_boxes(split, settings["format"], settings.get("classes"), names=names)
        except DataError as error:
            problems += error.problems
        else:
            problems += differences(part, Part(part.name, split.images, data))
    return problems


def differences(before: Part, after: Part) -> list[str]:
    """Return a sentence for each image whose labels are not the same, bit for bit; ids do not count."""
    if before.data.classes != after.data.classes:
        return [f"{before.name}: the classes {before.data.classes} became {after.data.classes}"]
    old, new = before.named(), after.named()
    if [name for name, _ in old] != [name for name, _ in new]:
        return [f"{before.name}: the images are not the same, or not in the same order"]
    pairs = zip(old, new, strict=True)
    return [f"{before.name}: '{name}' has other labels" for (name, a), (_, b) in pairs if not _equal(a, b)]


def _equal(a: BoxRecord, b: BoxRecord) -> bool:
    arrays = ((a.boxes_xyxy, b.boxes_xyxy), (a.labels, b.labels), (a.ignore, b.ignore))
    return a.size_wh == b.size_wh and all(np.array_equal(x, y) for x, y in arrays)
