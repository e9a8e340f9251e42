"""How closely two engines agree on the detections of one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.config import ExportConfig
from limbeck.core.dense2d import Postprocess
from limbeck.deploy.parity import larger
from limbeck.ops.boxes2d import pairwise_iou

SAME_OBJECT_IOU = 0.5
"""Detections of two engines that overlap less than this are never the same one."""


class Answer(NamedTuple):
    """The detections of one image by one engine.

    Attributes:
        boxes_xyxy: (D,4) in pixels of the network's canvas.
        scores: (D,), all above 0.
        labels: (D,) int64.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True)
class Agreement:
    """How closely two engines agree, on one image or on many.

    Attributes:
        detections: Detections of PyTorch.
        unmatched: Detections that only one engine has, though their score is no borderline case.
        box_difference: Largest difference of a coordinate over all matched detections, in canvas pixels.
        score_difference: Largest difference of a score over all matched detections.
        ties: Images where PyTorch itself gives the other engine's answer when its scores change by next to nothing.
    """

    detections: int = 0
    unmatched: int = 0
    box_difference: float = 0.0
    score_difference: float = 0.0
    ties: int = 0

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.detections + other.detections,
            self.unmatched + other.unmatched,
            larger(self.box_difference, other.box_difference),
            larger(self.score_difference, other.score_difference),
            self.ties + other.ties,
        )

    def problems(self, limits: ExportConfig) -> list[str]:
        """Name each number that is over its limit."""
        found = []
        if self.unmatched:
            found.append(f"{self.unmatched} of {self.detections} detections have no counterpart")
        if not self.box_difference <= limits.max_box_difference:
            found.append(f"a box differs by {self.box_difference:.3g} pixels (limit {limits.max_box_difference:g})")
        if not self.score_difference <= limits.max_score_difference:
            found.append(f"a score differs by {self.score_difference:.3g} (limit {limits.max_score_difference:g})")
        return found


def compare(torch_answer: Answer, onnx_answer: Answer, postprocess: Postprocess, limits: ExportConfig) -> Agreement:
    """Compare two answers for one image.

    Detections of one class are paired, closest first. One without counterpart is a borderline case, and not counted, if
    its score is within ``max_score_difference`` of what the other engine left out: below the score threshold, or below
    its last detection where it has as many as it may.
    """
    rows, columns = match(torch_answer, onnx_answer, limits)
    boxes = (torch_answer.boxes_xyxy[rows] - onnx_answer.boxes_xyxy[columns]).abs()
    scores = (torch_answer.scores[rows] - onnx_answer.scores[columns]).abs()
    return Agreement(
        detections=len(torch_answer.scores),
        unmatched=_clearly_alone(torch_answer, rows, _cut(onnx_answer, postprocess) + limits.max_score_difference)
        + _clearly_alone(onnx_answer, columns, _cut(torch_answer, postprocess) + limits.max_score_difference),
        box_difference=float(boxes.max()) if rows else 0.0,
        score_difference=float(scores.max()) if rows else 0.0,
    )


def match(a: Answer, b: Answer, limits: ExportConfig) -> tuple[list[int], list[int]]:
    """Pair the detections of two answers, closest in box and score first; returns the places in ``a`` and in ``b``."""
    apart = (a.boxes_xyxy[:, None] - b.boxes_xyxy).abs().amax(dim=2)
    same = (pairwise_iou(a.boxes_xyxy, b.boxes_xyxy) >= SAME_OBJECT_IOU) | (apart <= limits.max_box_difference)
    cost = apart + (a.scores[:, None] - b.scores).abs()
    cost = cost.masked_fill(~same | (a.labels[:, None] != b.labels), torch.inf)
    rows, columns = list[int](), list[int]()
    while cost.numel() and cost.min() < torch.inf:
        row, column = divmod(int(cost.argmin()), cost.shape[1])
        cost[row], cost[:, column] = torch.inf, torch.inf
        rows.append(row)
        columns.append(column)
    return rows, columns


def _cut(answer: Answer, postprocess: Postprocess) -> float:
    """Return the score below which an engine left detections out."""
    full = len(answer.scores) >= postprocess.max_detections
    return max(postprocess.score_threshold, float(answer.scores.min()) if full else 0.0)


def _clearly_alone(answer: Answer, matched: list[int], floor: float) -> int:
    alone = torch.ones(len(answer.scores), dtype=torch.bool)
    alone[matched] = False
    return int((alone & (answer.scores > floor)).sum())
