"""Which images belong to a part of a data set, in the formats whose annotations lie in one file per image."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

from limbeck.data.checks import TITLE, read_text
from limbeck.data.config import ANNOTATIONS, Format, SplitConfig
from limbeck.errors import DataError, nearest
from limbeck.imaging import IMAGE_SUFFIXES


def files_in(folder: Path, suffixes: Collection[str]) -> list[str]:
    """Return the files of a folder and of those in it, by the ending in lower case, hidden ones left aside.

    Returns:
        Names relative to the folder with ``/`` between the parts, sorted.
    """
    found = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(place).relative_to(folder)
        found += [
            (inside / name).as_posix()
            for name in names
            if os.path.splitext(name)[1].lower() in suffixes and not name.startswith(".")
        ]
    return sorted(found)


def without_suffix(name: str) -> str:
    """Return the name by which an image and its annotation know each other."""
    return str(PurePosixPath(name).with_suffix(""))


def check_folders(split: SplitConfig, annotations: Path, format: Format) -> None:
    """Refuse images and annotations that are no folders.

    Raises:
        DataError: One of them is a file or is not there; both problems at once.
    """
    found = {split.images: image_folder_problem(split.images)}
    found.setdefault(annotations, _annotation_folder_problem(annotations, format))
    if problems := [problem for problem in found.values() if problem is not None]:
        is_json = annotations.is_file() and annotations.suffix.lower() == ".json"
        raise DataError(TITLE, problems, "set data.format to 'coco' for a json file" if is_json else None)


def image_folder_problem(folder: Path) -> str | None:
    """Return what is wrong with a folder of images that is none, or None."""
    if folder.is_file():
        return f"{folder}: a file, but 'images' is a folder; a text file that names the images goes into 'list'"
    return None if folder.is_dir() else missing_folder(folder, "images")


def _annotation_folder_problem(folder: Path, format: Format) -> str | None:
    if folder.is_file():
        return f"{folder}: a file, but the format {format} needs {ANNOTATIONS[format]}"
    return None if folder.is_dir() else missing_folder(folder, "annotations")


def missing_folder(folder: Path, what: str) -> str:
    """Say that the folder of ``what`` does not exist, and which one that is there has nearly the name that is wrong."""
    there = next(place for place in folder.parents if place.is_dir())
    known = [place.name for place in there.iterdir() if place.is_dir()] if os.access(there, os.R_OK) else []
    wrong = folder.relative_to(there).parts[0]
    return f"{folder}: the folder of {what} does not exist{nearest(wrong, known)}"


def pair_files(
    split: SplitConfig, annotations: Path, suffix: str, broken: list[str], others: Collection[str] = ()
) -> list[tuple[str, Path | None]]:
    """Find the images of a part and the annotation file of each, which has the same name but for its ending.

    Args:
        split: Where the images are.
        annotations: The folder of the annotation files; see `check_folders`.
        suffix: Ending of the annotation files.
        broken: Gets one sentence for each image, file and line of the list that has no partner or more than one.
        others: Names of files with this ending that are no annotations.

    Returns:
        File name relative to the folder of images and annotation file (None where there is none) of every image, in
        order of the list, else of the names.

    Raises:
        DataError: There is no list or no image.
    """
    images = _image_files(split.images)
    files = {without_suffix(name): annotations / name for name in files_in(annotations, {suffix})}
    if split.list is None:
        stems = {without_suffix(name) for name in images}
        orphans = [file for stem, file in files.items() if stem not in stems and file.name not in others]
        broken += [f"{file}: there is no image of this name in {split.images}" for file in orphans]
    else:
        images = listed(split.list, split.images, images, broken)
    by_stem = _by_stem(images)
    for same in by_stem.values():
        if len(same) > 1:
            what = "differ in their endings only, so that their annotations would be one file"
            broken.append(f"{split.images}: {quoted(same)} {what}")
    return [(same[0], files.get(stem)) for stem, same in by_stem.items() if len(same) == 1]


def _image_files(folder: Path) -> list[str]:
    names = files_in(folder, IMAGE_SUFFIXES)
    if not names:
        endings = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(TITLE, [f"{folder}: the folder has no image in it; looked for {endings}"])
    return names


def _by_stem(names: Sequence[str]) -> Mapping[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        found[without_suffix(name)].append(name)
    return found


def quoted(names: Sequence[str]) -> str:
    """Return names in quotation marks with "and" between them."""
    return " and ".join(f"'{name}'" for name in names)


def listed(where: Path, folder: Path, names: Sequence[str], broken: list[str]) -> list[str]:
    """Return the images that a list names, in its order.

    Args:
        where: Text file with one image per line, with or without its ending.
        folder: The folder of the images.
        names: Names of all images relative to the folder.
        broken: Gets one sentence for each line that names no image, several, or one that was named before.

    Raises:
        DataError: The list cannot be read.
    """
    by_name = {name: [name] for name in names}
    known = {**_by_stem(names), **by_name}  # a name with its ending stands for itself only
    lines: dict[str, int] = {}
    for number, line in enumerate(read_text(where).splitlines(), start=1):
        if not line.strip():
            continue
        place, entry = f"{where}: line {number}:", line.strip()
        found = _look_up(entry, where, folder, known)
        if not found:
            broken.append(f"{place} {folder} has no image '{entry}'")
        elif len(found) > 1:
            broken.append(f"{place} '{entry}' may be {quoted(found)}")
        elif found[0] in lines:
            broken.append(f"{place} '{entry}' stands in line {lines[found[0]]} already")
        else:
            lines[found[0]] = number
    return list(lines)


def _look_up(entry: str, where: Path, folder: Path, known: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Find a listed image. The path may begin at the image folder, at the list's folder, or where we are."""
    if entry in known:
        return known[entry]
    for base in (folder, where.parent, Path()):
        name = Path(os.path.relpath(base / entry, folder)).as_posix()
        if name in known:
            return known[name]
    return ()
