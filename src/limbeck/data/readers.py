"""Reading a data set in any of its formats: the one place that knows which reader reads which."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from limbeck.data.checks import TITLE, data_error
from limbeck.data.coco import read_coco
from limbeck.data.config import DataConfig, Format, OnBroken, PartName, SplitConfig, source_problems
from limbeck.data.image_folder import files_in
from limbeck.data.records import BoxData
from limbeck.data.voc import read_voc
from limbeck.data.yolo import label_folder, read_yolo
from limbeck.errors import DataError
from limbeck.files import sha256_of


def read_all_parts(config: DataConfig, verify_pixels: bool = False) -> dict[PartName, BoxData]:
    """Read all parts of a data set that there are, the others with the classes of the training part.

    Args:
        config: Where the data is.
        verify_pixels: Decode every image to find truncated files; else only the headers are read.

    Raises:
        DataError: A part is broken; the problems of all are reported.
    """
    problems: list[str] = []
    hint: str | None = None
    parts: dict[PartName, BoxData] = {}
    classes = config.classes
    for name, split in config.parts.items():
        try:
            parts[name] = read_boxes(
                split,
                config.format,
                classes,
                config.on_broken,
                names=config.names,
                need_objects=name == "train",
                verify_pixels=verify_pixels,
            )
        except DataError as error:
            problems += [problem for problem in error.problems if problem not in problems]
            hint = hint or error.hint
        else:
            classes = parts[name].classes
    if problems:
        raise data_error(TITLE, problems, hint)
    return parts


def read_boxes(
    split: SplitConfig,
    format: Format,
    classes: Sequence[str] | None = None,
    on_broken: OnBroken = "error",
    *,
    names: Path | None = None,
    need_objects: bool = False,
    verify_pixels: bool = False,
) -> BoxData:
    """Read one part of a data set.

    Args:
        split: Where images and annotations are.
        format: Which reader reads them; see `read_coco`, `read_voc` and `read_yolo`, also for the other arguments.
        classes: Classes to learn, in the order of the labels; None for all.
        on_broken: ``skip`` leaves broken images and annotations out and lists them in `BoxData.skipped`.
        names: File with the class names of the format yolo.
        need_objects: Whether a data set without a single object is an error.
        verify_pixels: Decode every image to find truncated files; else only the headers are read.

    Raises:
        DataError: Something is missing, broken or does not fit together; all problems at once.
    """
    if problems := source_problems(format, {"": split}, classes, names):
        raise DataError(TITLE, problems)
    if format == "coco":
        return read_coco(split, classes, on_broken, need_objects=need_objects, verify_pixels=verify_pixels)
    if format == "voc":
        return read_voc(split, classes, on_broken, need_objects=need_objects, verify_pixels=verify_pixels)
    return read_yolo(split, classes, on_broken, names=names, need_objects=need_objects, verify_pixels=verify_pixels)


def hash_annotations(config: DataConfig) -> dict[str, str]:
    """Return the sha256 of all that decides what the images are labelled with, by path.

    The hash of a folder is that of the names and hashes of its annotation files.
    """
    paths = dict.fromkeys(path for part in config.parts for path in annotation_paths(config, part))
    return {str(path): _hash_folder(path, config.format) if path.is_dir() else sha256_of(path) for path in paths}


def annotation_paths(config: DataConfig, part: PartName) -> list[Path]:
    """Return the files and folders that decide what the images of a part are labelled with; none if it is not there."""
    split = config.parts.get(part)
    if split is None:
        return []
    annotations = label_folder(split) if config.format == "yolo" else split.annotations
    return [path for path in (annotations, split.list, config.names) if path is not None]


def _hash_folder(folder: Path, format: Format) -> str:
    digest = hashlib.sha256()
    for name in files_in(folder, {".xml"} if format == "voc" else {".txt"}):
        digest.update(f"{name}\0{sha256_of(folder / name)}\n".encode())
    return digest.hexdigest()
