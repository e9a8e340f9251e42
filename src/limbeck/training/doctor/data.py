"""What the doctor says of the data: what is labelled, and whether an image is in two parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from limbeck.data.config import PAIRS, PARTS, PartName
from limbeck.data.duplicates import Thumbnails, draw_images, shared_images
from limbeck.data.records import BoxData
from limbeck.errors import DataError
from limbeck.files import sha256_of
from limbeck.tasks import Detection2DTask
from limbeck.training.doctor.findings import Finding, failures

MAX_COMPARED = 1000
"""So many images of each part are compared as pictures: a few seconds, where all could take minutes."""


def data_findings(task: Detection2DTask) -> Iterator[Finding]:
    """Yield all that is said of the data; it is the same for every run on it."""
    yield from label_findings(task)
    yield from leak_findings(task)


def label_findings(task: Detection2DTask) -> Iterator[Finding]:
    """Yield what is labelled; without any box in either part there is nothing to train or to measure."""
    train, val = _boxes(task.train), _boxes(task.val)
    classes = "1 class" if len(task.classes) == 1 else f"{len(task.classes)} classes"
    text = (
        f"{len(task.train.records)} training images with {train} boxes of {classes}, "
        f"{len(task.val.records)} validation images with {val}"
    )
    if task.test is not None:
        text += f", {len(task.test.records)} test images with {_boxes(task.test)}"
    yield Finding("ok" if train and val else "fail", "data", text)
    if task.skipped:
        yield Finding("warn", "data", f"{len(task.skipped)} broken entries are left out; the first: {task.skipped[0]}")
    found = {int(label) for record in task.train.records for label in record.labels[~record.ignore]}
    missing = [name for label, name in enumerate(task.classes) if label not in found]
    if missing:
        yield Finding("warn", "classes", f"no training image shows: {', '.join(missing)}")


def _boxes(data: BoxData) -> int:
    return sum(int((~record.ignore).sum()) for record in data.records)


def leak_findings(task: Detection2DTask) -> Iterator[Finding]:
    """Yield whether images of one part are in another one, as they are or nearly so."""
    parts: dict[PartName, BoxData] = {"train": task.train, "val": task.val}
    if task.test is not None:
        parts["test"] = task.test
    files = {part: [record.path for record in data.records] for part, data in parts.items()}
    try:
        pictures = {part: Thumbnails.read(draw_images(paths, MAX_COMPARED)) for part, paths in files.items()}
    except DataError as error:
        yield from failures("data", error)
        return
    for earlier, later in PAIRS:
        if later in parts:
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
