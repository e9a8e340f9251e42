"""Reading data with masks in any of its formats."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

from limbeck.core.samples import IGNORED_LABEL
from limbeck.data.checks import TITLE, check_images, data_error, in_pixels, read_header
from limbeck.data.config import PartName
from limbeck.data.frames import MASK_SUFFIXES, X_SUFFIXES, FrameFiles, find_files, find_frames
from limbeck.data.image_folder import files_in, image_folder_problem, missing_folder
from limbeck.data.map_files import MapHeader, read_map_header
from limbeck.data.mask_code import build_code
from limbeck.data.mask_config import CameraConfig, MaskDataConfig, MaskPartConfig
from limbeck.data.mask_formats import layout_of, read_camera, with_levels, x_patterns
from limbeck.data.mask_records import MaskCode, MaskData, MaskRecord
from limbeck.data.masks import mask_problem, read_labels
from limbeck.data.x_maps import map_problem, read_x
from limbeck.errors import DataError
from limbeck.files import sha256_of
from limbeck.imaging import IMAGE_ERRORS, unreadable_reason

_SKIP_HINT = "set data.on_broken to 'skip' to leave broken images out"


def read_mask_parts(config: MaskDataConfig, verify_pixels: bool = False) -> dict[PartName, MaskData]:
    """Read all parts of a data set that there are.

    Args:
        config: Where the data is.
        verify_pixels: Decode every file, which also finds truncated ones, levels that stand for no class and X maps
            without a valid pixel; else only the headers are read.

    Raises:
        DataError: A part is broken; the problems of all are reported.
    """
    problems: list[str] = []
    hint: str | None = None
    parts: dict[PartName, MaskData] = {}
    for name, split in config.parts.items():
        try:
            parts[name] = read_masks(config, split, need_labels=name == "train", verify_pixels=verify_pixels)
        except DataError as error:
            problems += [problem for problem in error.problems if problem not in problems]
            hint = hint or error.hint
    if problems:
        raise data_error(TITLE, problems, hint)
    return parts


def read_masks(
    config: MaskDataConfig, split: MaskPartConfig, *, need_labels: bool = False, verify_pixels: bool = False
) -> MaskData:
    """Read one part of a data set.

    Args:
        config: How it is to be read; ``on_broken: skip`` leaves broken frames out and lists them in
            `MaskData.skipped`.
        split: Where the files are.
        need_labels: Whether it is an error if no pixel of any mask counts; known only if pixels are verified.
        verify_pixels: See `read_mask_parts`.

    Raises:
        DataError: Something is missing, broken or does not fit together; all problems at once.
    """
    if problems := _folder_problems(split):
        raise DataError(TITLE, problems)
    broken: list[str] = []
    layout = layout_of(config)
    frames = find_frames(split, layout, x_patterns(config, layout), broken)
    classes, code, left_out = build_code(config, with_levels(layout, config, split, frames))
    records = [record for frame in frames if (record := _record(config, split, code, frame, broken)) is not None]
    if verify_pixels:
        records = list(_verified(records, config, code, broken))
    broken = list(dict.fromkeys(broken))  # one calibration file may be that of many frames
    if broken and config.on_broken == "error":
        raise data_error(TITLE, broken, _SKIP_HINT)
    if not records:
        raise DataError(TITLE, [f"{split.images}: the data set is empty; it has no usable image"])
    if need_labels and verify_pixels and not any(_is_labelled(record, code) for record in records):
        what = f"the data set is empty; none of its {len(records)} masks has a pixel that counts"
        raise DataError(TITLE, [f"{split.masks}: {what}"])
    return MaskData(tuple(records), classes, (*broken, *left_out), code, config.x)


def _folder_problems(split: MaskPartConfig) -> list[str]:
    found = {split.images: image_folder_problem(split.images)}
    for setting, folder in {"masks": split.masks, **{f"x.{name}": folder for name, folder in split.x.items()}}.items():
        is_file = f"{folder}: a file, but '{setting}' is a folder" if folder.is_file() else None
        found.setdefault(folder, is_file if is_file or folder.is_dir() else missing_folder(folder, setting))
    if split.cameras is not None and not split.cameras.exists():
        found.setdefault(split.cameras, missing_folder(split.cameras, "cameras"))
    return [problem for problem in found.values() if problem is not None]


def _record(
    config: MaskDataConfig, split: MaskPartConfig, code: MaskCode, frame: FrameFiles, broken: list[str]
) -> MaskRecord | None:
    """Return a frame whose files are there and fit together by their headers; ``broken`` gets what does not."""
    path = split.images / frame.image
    try:
        size_wh, sideways = read_header(path)
    except IMAGE_ERRORS as error:
        broken.append(f"{path}: {unreadable_reason(error)}")
        return None
    image_text = f"its image {path} has {in_pixels(size_wh)}" + (" after its EXIF rotation" if sideways else "")
    problems = [f"{path}: there is no mask for it in {split.masks}"] if frame.mask is None else []
    if frame.mask is not None:
        problems += _map_problems(frame.mask, partial(mask_problem, code=code), size_wh, image_text)
    for name, file in frame.x.items():
        if file is None:
            problems.append(f"{path}: there is no {name} for it in {split.x[name]}")
        else:
            problems += _map_problems(file, partial(map_problem, config=config.x[name]), size_wh, image_text)
    cameras = _cameras(config, split, frame.name, problems)
    broken += problems
    if problems or frame.mask is None:
        return None
    x = {name: file for name, file in frame.x.items() if file is not None}
    return MaskRecord(frame.image, path, size_wh, frame.mask, x, cameras)


def _map_problems(
    path: Path, problem_of: Callable[[MapHeader], str | None], size_wh: tuple[int, int], image_text: str
) -> Iterator[str]:
    try:
        header = read_map_header(path)
    except DataError as error:
        yield from error.problems
        return
    if problem := problem_of(header):
        yield f"{path}: {problem}"
    if header.size_wh != size_wh:
        yield f"{path}: has {in_pixels(header.size_wh)}, but {image_text}"


def _cameras(config: MaskDataConfig, split: MaskPartConfig, frame: str, problems: list[str]) -> dict[str, CameraConfig]:
    """Return the camera of each modality that gives normals: its own, else that of the calibration files."""
    cameras = {}
    for name, x in config.x.items():
        if x.gives == "normals" and x.camera is not None:
            cameras[name] = x.camera
        elif x.gives == "normals" and split.cameras is not None:
            try:
                cameras[name] = read_camera(config.format, split.cameras, frame)
            except DataError as error:
                problems += error.problems
    return cameras


def _verified(
    records: list[MaskRecord], config: MaskDataConfig, code: MaskCode, broken: list[str]
) -> Iterator[MaskRecord]:
    """Yield the frames whose files can all be decoded and hold something; ``broken`` gets what does not."""
    unreadable = check_images(records, verify_pixels=True)
    for record in records:
        problems = [unreadable[record.id]] if record.id in unreadable else []
        try:
            read_labels(record, code)
        except DataError as error:
            problems += error.problems
        for name, x in config.x.items():
            try:
                _, valid = read_x(record, name, x)
            except DataError as error:
                problems += error.problems
            else:
                if not valid.any():
                    problems.append(f"{record.x[name]}: {name} of {record.path} has no valid pixel")
        if problems:
            broken += problems
        else:
            yield record


def _is_labelled(record: MaskRecord, code: MaskCode) -> bool:
    return bool((read_labels(record, code) != IGNORED_LABEL).any())


def hash_masks(config: MaskDataConfig) -> dict[str, str]:
    """Return the sha256 of all that decides what the images are labelled with and what their X maps show, by path.

    The hash of a folder is that of the names and hashes of its masks and calibration files, and of the names and sizes
    of its X maps, which may be many gigabytes.
    """
    layout = layout_of(config)
    patterns = x_patterns(config, layout)
    entries: defaultdict[Path, dict[str, None]] = defaultdict(dict)
    for split in config.parts.values():
        for name in _names(split.masks, layout.mask, MASK_SUFFIXES):
            entries[split.masks][f"{name}\0{sha256_of(split.masks / name)}\n"] = None
        for x_name, folder in split.x.items():
            for name in _names(folder, patterns[x_name], X_SUFFIXES):
                entries[folder][f"{name}\0{(folder / name).stat().st_size}\n"] = None
        for path in filter(None, (split.list, split.cameras)):
            for file in [path] if path.is_file() else [path / name for name in files_in(path, {".json", ".txt"})]:
                entries[path][f"{file.name}\0{sha256_of(file)}\n"] = None
    return {str(path): hashlib.sha256("".join(lines).encode()).hexdigest() for path, lines in entries.items()}


def mask_paths(config: MaskDataConfig, part: PartName) -> list[Path]:
    """Return the files and folders that `hash_masks` looks at for a part; none if the part is not there."""
    split = config.parts.get(part)
    if split is None:
        return []
    return [path for path in (split.masks, *split.x.values(), split.list, split.cameras) if path is not None]


def _names(folder: Path, pattern: str, suffixes: Collection[str]) -> list[str]:
    return [name for names in find_files(folder, pattern, suffixes).values() for name in names]
