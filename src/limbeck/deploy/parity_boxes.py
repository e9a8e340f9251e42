"""Whether an exported 2D detector answers as the trained one does, on the user's own images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from limbeck.config import ExportConfig
from limbeck.core.dense2d import Postprocess
from limbeck.core.outputs import Detections2D, DetectorRaw2D
from limbeck.core.samples import Batch, Boxes2D, Frame
from limbeck.deploy.agreement import Agreement, Answer, compare
from limbeck.deploy.graphs import DetectionGraph2D, Detector2D, deployable
from limbeck.deploy.parity import ParityVerdict
from limbeck.deploy.runtime.detector import Detector
from limbeck.errors import IncompatibleError
from limbeck.metrics.coco import CocoResult, CocoTruth, evaluate

REPLAYS = 16
REPLAY_NOISE = 0.1
"""Noise on the logits of a replay, in units of the largest score difference allowed."""


@dataclass(frozen=True, slots=True)
class BoxVerdict(ParityVerdict):
    """How an exported 2D detector compares with PyTorch.

    Attributes:
        canvas: Agreement of the two engines on equal pixels of the network's input.
        files: Agreement from the image file to boxes in the original image, through the runtime's own reading,
            resizing and mapping back.
        ap_torch: AP of PyTorch's boxes in the original images.
        ap_onnx: AP of the runtime's boxes in the original images.
    """

    canvas: Agreement
    files: Agreement
    ap_torch: float
    ap_onnx: float

    def summary(self) -> str:
        """Say what both engines reached."""
        return f"on {self.images} images: AP {self.ap_torch:.4f} in PyTorch, {self.ap_onnx:.4f} exported"


@torch.no_grad()
def check_boxes(
    model: Detector2D, folder: Path, batches: Iterable[Batch[Boxes2D]], truth: CocoTruth, limits: ExportConfig
) -> BoxVerdict:
    """Compare a bundle with the trained model.

    Args:
        model: The trained model.
        folder: Its bundle.
        batches: All validation images, not augmented.
        truth: What should be found in them.
        limits: The largest differences allowed.

    Raises:
        BundleError: The bundle cannot be loaded.
        IncompatibleError: The model knows a class that the truth does not.
    """
    graph, detector = DetectionGraph2D(deployable(model)), Detector(folder)
    images, canvas, files = 0, Agreement(), Agreement()
    torch_results, onnx_results = list[CocoResult](), list[CocoResult]()
    category_ids = _category_ids(truth, model.spec.classes)
    for batch in (given.to("cpu") for given in batches):
        raw = graph.model(batch)
        compare_with = partial(compare_batch, raw=raw, postprocess=graph.postprocess, limits=limits)
        canvas += compare_with(partial(_on_canvas, graph), onnx_answers=_run_canvases(detector, batch))
        found = [_run_file(detector, frame) for frame in batch.frames]
        onnx_answers = [_to_canvas(one, frame) for one, frame in zip(found, batch.frames, strict=True)]
        files += compare_with(partial(_predicted, graph, batch), onnx_answers=onnx_answers)
        torch_results += _coco_results(graph.model.predict(raw, batch), batch.frames, category_ids)
        onnx_results += _coco_results(found, batch.frames, category_ids)
        images += len(batch)
    ap_torch, ap_onnx = (evaluate(truth, results).metrics["AP"] for results in (torch_results, onnx_results))
    problems = [] if 0 < images == len(truth.images) else [f"{images} of {len(truth.images)} images were compared"]
    problems += _problems(canvas, files, abs(ap_torch - ap_onnx), limits)
    return BoxVerdict(images, tuple(problems), canvas, files, ap_torch, ap_onnx)


def _problems(canvas: Agreement, files: Agreement, ap_gap: float, limits: ExportConfig) -> list[str]:
    problems = [f"on equal pixels {problem}" for problem in canvas.problems(limits)]
    problems += [f"from the image files {problem}" for problem in files.problems(limits)]
    if not ap_gap <= limits.max_ap_difference:
        problems.append(f"AP differs by {ap_gap:.3g} (limit {limits.max_ap_difference:g})")
    return problems


def compare_batch(
    torch_engine: Callable[[DetectorRaw2D], list[Answer]],
    *,
    raw: DetectorRaw2D,
    onnx_answers: Sequence[Answer],
    postprocess: Postprocess,
    limits: ExportConfig,
) -> Agreement:
    """Compare PyTorch's answers from its raw output with those of ONNX Runtime, image by image.

    Where they disagree, PyTorch is asked again from scores that are disturbed by next to nothing. Where two overlapping
    boxes score alike, the last bit decides which of them non-maximum suppression keeps, and both answers are right: a
    replay breaks such a tie anew, while a real fault does not go away by it.
    """
    total = Agreement()
    for index, (ours, theirs) in enumerate(zip(torch_engine(raw), onnx_answers, strict=True)):
        agreement = compare(ours, theirs, postprocess, limits)
        if agreement.problems(limits):
            replays = (torch_engine(_disturbed(raw, limits, seed))[index] for seed in range(REPLAYS))
            replayed = (compare(replay, theirs, postprocess, limits) for replay in replays)
            tie = next((found for found in replayed if not found.problems(limits)), None)
            agreement = agreement if tie is None else replace(tie, ties=1)
        total += agreement
    return total


def _disturbed(raw: DetectorRaw2D, limits: ExportConfig, seed: int) -> DetectorRaw2D:
    noise = torch.rand(raw.class_logits.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return replace(raw, class_logits=raw.class_logits + REPLAY_NOISE * limits.max_score_difference * noise)


def _on_canvas(graph: DetectionGraph2D, raw: DetectorRaw2D) -> list[Answer]:
    return _used(graph.postprocess.select(raw))


def _run_canvases(detector: Detector, batch: Batch[Boxes2D]) -> list[Answer]:
    return _used([torch.from_numpy(output) for output in detector.answer(batch.images.numpy())])


def _predicted(graph: DetectionGraph2D, batch: Batch[Boxes2D], raw: DetectorRaw2D) -> list[Answer]:
    return [_to_canvas(one, frame) for one, frame in zip(graph.model.predict(raw, batch), batch.frames, strict=True)]


def _run_file(detector: Detector, frame: Frame) -> Detections2D:
    found = detector.detect(frame.path)
    return Detections2D(*map(torch.from_numpy, (found.boxes_xyxy, found.scores, found.labels)))


def _used(outputs: Sequence[Tensor]) -> list[Answer]:
    """Split boxes (B,D,4), scores (B,D) and labels (B,D) into images, without the unused places."""
    return [Answer(boxes[s > 0], s[s > 0], labels[s > 0]) for boxes, s, labels in zip(*outputs, strict=True)]


def _to_canvas(found: Detections2D, frame: Frame) -> Answer:
    """Map detections from the original image to the canvas, where the limit on boxes is meant."""
    if frame.fit is None:
        raise ValueError(f"the frame of {frame.path} does not say how the image lies on the canvas")
    return Answer(torch.from_numpy(frame.fit.to_canvas(found.boxes_xyxy.numpy())), found.scores, found.labels)


def _category_ids(truth: CocoTruth, classes: Sequence[str]) -> list[int]:
    by_name = {name: number for number, name in truth.categories}
    unknown = [name for name in classes if name not in by_name]
    if unknown:
        raise IncompatibleError(f"The model knows the class '{unknown[0]}' and the validation data does not.")
    return [by_name[name] for name in classes]


def _coco_results(
    found: Iterable[Detections2D], frames: Sequence[Frame], category_ids: Sequence[int]
) -> list[CocoResult]:
    return [
        {"image_id": frame.id, "category_id": category_ids[label], "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
        for one, frame in zip(found, frames, strict=True)
        for (x1, y1, x2, y2), score, label in zip(
            one.boxes_xyxy.tolist(), one.scores.tolist(), one.labels.tolist(), strict=True
        )
    ]
