"""What the doctor says of the data: what is labelled, and whether the validation images were trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from limbeck.data.duplicates import Thumbnails, draw_images, identical_images, near_duplicates
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
    """Yield whether validation images are among the training images, as they are or nearly so."""
    train, val = ([record.path for record in part.records] for part in (task.train, task.val))
    try:
        pictures = [Thumbnails.read(draw_images(paths, MAX_COMPARED)) for paths in (train, val)]
    except DataError as error:
        yield from failures("data", error)
        return
    check, compared = "data leak", _compared(pictures, train, val)
    leaked = same_files(train, val)
    for group in identical_images(*pictures):
        leaked |= {path: group.train[0] for path in group.val if group.train}
    if leaked:
        first = next(path for path in val if path in leaked)
        are = "is a training image" if len(leaked) == 1 else "are training images"
        text = f"{len(leaked)} of {len(val)} validation images {are} too, such as {first}"
        text += f" ({leaked[first]})" if leaked[first] != first else ""
        yield Finding("fail", check, f"{text}: scores would measure memory; take them out of one part")
    near = [pair for pair in near_duplicates(*pictures) if pair.val not in leaked]
    if near:
        count = len({pair.val for pair in near})
        show = "shows" if count == 1 else "show"
        text = f"{count} of {len(val)} validation images nearly {show} a training image{compared}, most of all"
        text += f" {near[0].val} ({near[0].train})"
        yield Finding("warn", check, f"{text}: scores may be too good; split by scene or by time")
    if not leaked and not near:
        yield Finding("ok", check, f"no validation image is a training image too{compared}")


def _compared(thumbnails: Sequence[Thumbnails], train: Sequence[Path], val: Sequence[Path]) -> str:
    """Say how many images were looked at, if not all."""
    seen_train, seen_val = (len(part.paths) for part in thumbnails)
    if (seen_train, seen_val) == (len(train), len(val)):
        return ""
    return f" (of {seen_train} and {seen_val} drawn from the two parts; `limbeck data check` compares all)"


def same_files(train: Sequence[Path], val: Sequence[Path]) -> dict[Path, Path]:
    """Return for every validation image whose file has the bytes of a training image that training image.

    Only files of equal size are read, so that all images can be looked at.
    """
    by_size: defaultdict[int, list[Path]] = defaultdict(list)
    for path in train:
        by_size[path.stat().st_size].append(path)
    alike = [path for path in val if path.stat().st_size in by_size]
    by_content = {sha256_of(path): path for size in {p.stat().st_size for p in alike} for path in by_size[size]}
    return {path: by_content[content] for path in alike if (content := sha256_of(path)) in by_content}
