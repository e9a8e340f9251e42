"""What the doctor says of the data: what is labelled, and whether an image is in two parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from limbeck.data.config import PAIRS, PARTS, PartName
from limbeck.data.duplicates import Thumbnails, draw_images, shared_images
from limbeck.errors import DataError
from limbeck.files import sha256_of
from limbeck.tasks.base import AnyTask
from limbeck.tasks.detection2d import Detection2DTask
from limbeck.tasks.detection3d import Detection3DTask
from limbeck.tasks.segmentation import SegmentationTask
from limbeck.training.doctor.boxes import box_label_findings
from limbeck.training.doctor.clouds import cloud_label_findings
from limbeck.training.doctor.findings import Finding, failures
from limbeck.training.doctor.masks import mask_label_findings

CHECK = "data leak"
START = 4096
"""Files that differ do so in their first bytes mostly."""
MAX_COMPARED = 1000
"""So many images of each part are compared as pictures: a few seconds, where all could take minutes."""


def data_findings(task: AnyTask) -> Iterator[Finding]:
    """Yield all that is said of the data; it is the same for every run on it."""
    if isinstance(task, SegmentationTask):
        yield from mask_label_findings(task)
    elif isinstance(task, Detection3DTask):
        yield from cloud_label_findings(task)
    else:
        assert isinstance(task, Detection2DTask)
        yield from box_label_findings(task)
    yield from leak_findings(task)


def leak_findings(task: AnyTask) -> Iterator[Finding]:
    """Yield whether images of one part are in another one, as they are or nearly so, or point clouds as they are."""
    files = {part: [frame.path for frame in frames] for part, frames in task.frames.items()}
    if isinstance(task, Detection3DTask):
        yield from (_cloud_leak(earlier, later, files) for earlier, later in PAIRS if later in files)
        return
    try:
        pictures = {part: Thumbnails.read(draw_images(paths, MAX_COMPARED)) for part, paths in files.items()}
    except DataError as error:
        yield from failures("data", error)
        return
    for earlier, later in PAIRS:
        if later in files:
            yield from _leaks(earlier, later, files, pictures)


def _leaks(
    earlier: PartName,
    later: PartName,
    files: Mapping[PartName, Sequence[Path]],
    pictures: Mapping[PartName, Thumbnails],
) -> Iterator[Finding]:
    old, new = f"{PARTS[earlier]} image", f"{PARTS[later]} image"
    compared = _compared([pictures[earlier], pictures[later]], files[earlier], files[later])
    shared = shared_images(pictures[earlier], pictures[later])
    leaked = same_files(files[earlier], files[later]) | shared.leaked
    if leaked:
        yield _leaked(old, new, leaked, files[later])
    near = [pair for pair in shared.near if pair.val not in leaked]
    if near:
        count = len({pair.val for pair in near})
        show = "shows" if count == 1 else "show"
        text = f"{count} of {len(files[later])} {new}s nearly {show} a {old}{compared}, most of all"
        text += f" {near[0].val} ({near[0].train})"
        yield Finding("warn", CHECK, f"{text}: scores may be too good; split by scene or by time")
    if not leaked and not near:
        yield Finding("ok", CHECK, f"no {new} is a {old} too{compared}")


def _cloud_leak(earlier: PartName, later: PartName, files: Mapping[PartName, Sequence[Path]]) -> Finding:
    old, new = f"{PARTS[earlier]} cloud", f"{PARTS[later]} cloud"
    if leaked := same_files(files[earlier], files[later]):
        return _leaked(old, new, leaked, files[later])
    return Finding("ok", CHECK, f"no {new} is a {old} too")


def _leaked(old: str, new: str, leaked: Mapping[Path, Path], files: Sequence[Path]) -> Finding:
    """Say which files of the later part are in the earlier one too; a file may hold several clouds."""
    found = [path for path in files if path in leaked]
    are = f"is a {old}" if len(found) == 1 else f"are {old}s"
    text = f"{len(found)} of {len(files)} {new}s {are} too, such as {found[0]}"
    text += f" ({leaked[found[0]]})" if leaked[found[0]] != found[0] else ""
    return Finding("fail", CHECK, f"{text}: scores would measure memory; take them out of one part")


def _compared(thumbnails: Sequence[Thumbnails], earlier: Sequence[Path], later: Sequence[Path]) -> str:
    """Say how many images were looked at, if not all."""
    seen = tuple(len(part.paths) for part in thumbnails)
    if seen == (len(earlier), len(later)):
        return ""
    return f" (of {seen[0]} and {seen[1]} drawn from the two parts; `limbeck data check` compares all)"


def same_files(earlier: Sequence[Path], later: Sequence[Path]) -> dict[Path, Path]:
    """Return for every file of the later part that has the bytes of one of the earlier part the first such one.

    Only files of equal size are opened, and only those that begin alike are read, so that all can be looked at: the
    point clouds of one LiDAR may all be of one size.
    """
    old, new = dict.fromkeys(earlier), dict.fromkeys(later)
    for look in (_size, _start, sha256_of):
        looks = {path: look(path) for path in old | new}
        shared = {looks[path] for path in old} & {looks[path] for path in new}
        old, new = (dict.fromkeys(path for path in side if looks[path] in shared) for side in (old, new))
    first = {looks[path]: path for path in reversed(old)}
    return {path: first[looks[path]] for path in new}


def _size(path: Path) -> int:
    return path.stat().st_size


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(START)
