"""Which clouds belong to a part of a data set, and which file of labels or calibration belongs to each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from limbeck.data.checks import TITLE
from limbeck.data.cloud_config import CloudPartConfig
from limbeck.data.image_folder import files_in, listed, missing_folder, quoted, without_suffix
from limbeck.errors import DataError
from limbeck.point_files.reading import CLOUD_SUFFIXES


def folder_problems(split: CloudPartConfig) -> list[str]:
    """Return a sentence for each folder of a part that is none."""
    found: dict[Path, str | None] = {}
    for setting, folder in {"clouds": split.clouds, "labels": split.labels, "calib": split.calib}.items():
        if folder is not None and folder not in found:
            is_file = f"{folder}: a file, but '{setting}' is a folder" if folder.is_file() else None
            found[folder] = is_file if is_file or folder.is_dir() else missing_folder(folder, setting)
    return [problem for problem in found.values() if problem is not None]


def find_clouds(split: CloudPartConfig, suffixes: Collection[str], broken: list[str]) -> dict[str, Path]:
    """Return the clouds of a part by their names without the ending, in order of the list, else of the names.

    Args:
        split: Where they are.
        suffixes: Their endings.
        broken: Gets one sentence for each line of the list that names no cloud, and for clouds of the same name.

    Raises:
        DataError: There is no cloud, or the list cannot be read.
    """
    names = files_in(split.clouds, suffixes)
    if not names:
        endings = ", ".join(sorted(suffixes))
        raise DataError(TITLE, [f"{split.clouds}: the folder has no point cloud in it; looked for {endings}"])
    if split.list is not None:
        names = listed(split.list, split.clouds, names, broken)
    by_stem: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        by_stem[without_suffix(name)].append(name)
    for same in by_stem.values():
        if len(same) > 1:
            what = "differ in their endings only, so that their labels would be one file"
            broken.append(f"{split.clouds}: {quoted(same)} {what}")
    return {stem: split.clouds / same[0] for stem, same in by_stem.items() if len(same) == 1}


def find_labels(
    split: CloudPartConfig, clouds: Mapping[str, Path], labels: Path, suffix: str, broken: list[str]
) -> dict[str, Path]:
    """Return the label file of each cloud that has one, by the cloud's name.

    Args:
        split: The part.
        clouds: Its clouds; see `find_clouds`.
        labels: Folder of the label files.
        suffix: Their ending.
        broken: Gets one sentence for each cloud without one and, where there is no list, the other way round.
    """
    files = {without_suffix(name): labels / name for name in files_in(labels, {suffix})}
    if split.list is None:
        orphans = [file for stem, file in files.items() if stem not in clouds and not _is_there(split.clouds, stem)]
        broken += [f"{file}: there is no cloud of this name in {split.clouds}" for file in orphans]
    for stem, path in clouds.items():
        if stem not in files:
            broken.append(f"{path}: there is no {suffix} file for it in {labels}; a cloud without objects has one too")
    return {stem: files[stem] for stem in clouds if stem in files}


def _is_there(folder: Path, stem: str) -> bool:
    """Return whether there are clouds of a name, of which none was chosen."""
    return any((folder / f"{stem}{suffix}").exists() for suffix in CLOUD_SUFFIXES)
