"""What the doctor says of the data: what is labelled, and whether an image is in two parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from limbeck.data.config import PAIRS, PARTS, PartName
from limbeck.data.duplicates import Thumbnails, draw_images, shared_images
from limbeck.errors import DataError
from limbeck.files import sha256_of
from limbeck.tasks.base import AnyTask
from limbeck.tasks.detection2d import Detection2DTask
from limbeck.tasks.segmentation import SegmentationTask
from limbeck.training.doctor.boxes import box_label_findings
from limbeck.training.doctor.findings import Finding, failures
from limbeck.training.doctor.masks import mask_label_findings

MAX_COMPARED = 1000
"""So many images of each part are compared as pictures: a few seconds, where all could take minutes."""


def data_findings(task: AnyTask) -> Iterator[Finding]:
    """Yield all that is said of the data; it is the same for every run on it."""
    if isinstance(task, SegmentationTask):
        yield from mask_label_findings(task)
    else:
        assert isinstance(task, Detection2DTask)
        yield from box_label_findings(task)
    yield from leak_findings(task)


def leak_findings(task: AnyTask) -> Iterator[Finding]:
    """Yield whether images of one part are in another one, as they are or nearly so."""
    files = {part: [frame.path for frame in frames] for part, frames in task.frames.items()}
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
    check = "data leak"
    old, new = f"{PARTS[earlier]} image", f"{PARTS[later]} image"
    compared = _compared([pictures[earlier], pictures[later]], files[earlier], files[later])
    shared = shared_images(pictures[earlier], pictures[later])
    leaked = same_files(files[earlier], files[later]) | shared.leaked
    if leaked:
        first = next(path for path in files[later] if path in leaked)
        are = f"is a {old}" if len(leaked) == 1 else f"are {old}s"
        text = f"{len(leaked)} of {len(files[later])} {new}s {are} too, such as {first}"
        text += f" ({leaked[first]})" if leaked[first] != first else ""
        yield Finding("fail", check, f"{text}: scores would measure memory; take them out of one part")
    near = [pair for pair in shared.near if pair.val not in leaked]
    if near:
        count = len({pair.val for pair in near})
        show = "shows" if count == 1 else "show"
        text = f"{count} of {len(files[later])} {new}s nearly {show} a {old}{compared}, most of all"
        text += f" {near[0].val} ({near[0].train})"
        yield Finding("warn", check, f"{text}: scores may be too good; split by scene or by time")
    if not leaked and not near:
        yield Finding("ok", check, f"no {new} is a {old} too{compared}")


def _compared(thumbnails: Sequence[Thumbnails], earlier: Sequence[Path], later: Sequence[Path]) -> str:
    """Say how many images were looked at, if not all."""
    seen = tuple(len(part.paths) for part in thumbnails)
    if seen == (len(earlier), len(later)):
        return ""
    return f" (of {seen[0]} and {seen[1]} drawn from the two parts; `limbeck data check` compares all)"


def same_files(earlier: Sequence[Path], later: Sequence[Path]) -> dict[Path, Path]:
    """Return for every image of the later part whose file has the bytes of one of the earlier part that one.

    Only files of equal size are read, so that all images can be looked at.
    """
    by_size: defaultdict[int, list[Path]] = defaultdict(list)
    for path in earlier:
        by_size[path.stat().st_size].append(path)
    alike = [path for path in later if path.stat().st_size in by_size]
    by_content = {sha256_of(path): path for size in {p.stat().st_size for p in alike} for path in by_size[size]}
    return {path: by_content[content] for path in alike if (content := sha256_of(path)) in by_content}
