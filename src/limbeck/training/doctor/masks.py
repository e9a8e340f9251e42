"""What the doctor says of data with a class for every pixel, and of a teacher that segments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from limbeck.data.mask_records import MaskData
from limbeck.data.mask_survey import MaskSurvey, survey_masks
from limbeck.data.x_check import survey_x, x_concerns
from limbeck.metrics.boundary import BOUNDARY_COUNTS
from limbeck.metrics.segmentation import SegmentationCounts, evaluate
from limbeck.tasks.segmentation import MaskTally, SegmentationTask
from limbeck.training.doctor.class_order import likely_order, wrong_labels
from limbeck.training.doctor.findings import Finding

MAX_X_MAPS = 20
"""So many X maps of each modality and part are looked at."""
MAX_MASKS = 200
"""So many masks of each part are read: a few seconds, where all could take minutes."""
RARE_SHARE = 0.001
"""A class with a smaller share of the training pixels may be learned badly without weights."""


def mask_label_findings(task: SegmentationTask) -> Iterator[Finding]:
    """Yield what is labelled; without a pixel that counts in either part there is nothing to train or to measure."""
    train, val = _survey(task.train), _survey(task.val)
    counted = "1 class" if len(task.classes) == 1 else f"{len(task.classes)} classes"
    text = f"{len(task.train.records)} training and {len(task.val.records)} validation images of {counted}"
    if task.test is not None:
        text += f", {len(task.test.records)} test images"
    if not train.pixels or not val.pixels:
        yield Finding("fail", "data", f"{text}; in a part no pixel counts")
        return
    shares = ", ".join(f"{found.name} {found.pixels / train.pixels:.2%}" for found in train.classes)
    yield Finding("ok", "data", f"{text}; training pixels: {shares}")
    if task.skipped:
        yield Finding("warn", "data", f"{len(task.skipped)} broken entries are left out; the first: {task.skipped[0]}")
    yield from _class_findings(task, train, val)
    for concern in x_concerns({part: survey_x(data, max_maps=MAX_X_MAPS) for part, data in task.parts.items()}):
        yield Finding("warn", "X maps", concern)


def _survey(data: MaskData) -> MaskSurvey:
    """Count the pixels of all masks of a part, or of `MAX_MASKS` of them."""
    some = np.linspace(0, len(data.records) - 1, min(MAX_MASKS, len(data.records))).round().astype(int)
    return survey_masks(replace(data, records=tuple(data.records[n] for n in some)))


def _class_findings(task: SegmentationTask, train: MaskSurvey, val: MaskSurvey) -> Iterator[Finding]:
    looked_at = "" if max(len(task.train.records), len(task.val.records)) <= MAX_MASKS else " looked at"
    for part, survey in (("training", train), ("validation", val)):
        if survey.missing:
            yield Finding("warn", "classes", f"no {part} mask{looked_at} shows: {', '.join(survey.missing)}")
    rare = [found.name for found in train.classes if 0 < found.pixels < RARE_SHARE * train.pixels]
    if rare and task.config.class_weights is None and task.config.repeat_threshold is None:
        text = f"rare in the training masks, below {RARE_SHARE:.1%} of the pixels: {', '.join(rare)}"
        yield Finding("warn", "classes", f"{text}; consider data.class_weights: auto")


def mask_score_findings(task: SegmentationTask, tally: MaskTally) -> Iterator[Finding]:
    """Yield whether a teacher's labels are what they are called, and whether it is better than chance."""
    order = _order_finding(task, tally.counts)
    yield order
    if order.status != "fail":
        yield _score_finding(task, tally)


def _order_finding(task: SegmentationTask, counts: SegmentationCounts) -> Finding:
    check, confusion = "labels of the teacher", counts.confusion.sum(axis=0)
    if wrong := wrong_labels(confusion):
        order = likely_order(task.classes, wrong)
        mend = "correct the classes in the json beside its weights" + (f", probably to {order}" if order else "")
        pairs = [
            f"{confusion[k, other] / confusion[k].sum():.0%} of '{task.classes[k]}' is called '{task.classes[other]}'"
            for k, other in wrong.items()
        ]
        return Finding("fail", check, f"{', '.join(pairs)}: its logits are not in the order of its classes; {mend}")
    return Finding("ok", check, f"right for {np.trace(confusion) / max(confusion.sum(), 1):.1%} of the pixels")


def _score_finding(task: SegmentationTask, tally: MaskTally) -> Finding:
    check, found, blind = "score of the teacher", tally.metrics(), blind_miou(tally.counts)
    text = f"mIoU {found['mIoU']:.3f}, mF {found['mF']:.3f} on the validation images"
    most = f"giving every pixel the most frequent class reaches mIoU {blind:.3f}"
    if found["mIoU"] <= blind:
        return Finding("fail", check, f"{text}: no better than chance, as {most}; train it longer or give another one")
    return Finding("ok", check, f"{text}; {most}")


def blind_miou(counts: SegmentationCounts) -> float:
    """Return the mIoU of the answer that gives every pixel the class that is most frequent in the truth."""
    truth = counts.truth
    blind = np.zeros_like(counts.confusion)
    blind[:, :, truth.sum(axis=0).argmax()] = truth
    no_boundary = np.zeros((counts.num_images, len(counts.classes), len(BOUNDARY_COUNTS)), np.int64)
    return evaluate(SegmentationCounts(counts.classes, blind, no_boundary)).metrics["mIoU"]
