"""Whether an exported segmenter answers as the trained one does, on the user's own images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from limbeck.config import MaskExportConfig
from limbeck.core.outputs import Segmentation
from limbeck.core.samples import Frame
from limbeck.core.segmentation import Segmenter, class_map
from limbeck.deploy.graphs import deployable
from limbeck.deploy.parity import ParityVerdict, larger
from limbeck.deploy.runtime.segmenter import Segmenter as RuntimeSegmenter
from limbeck.errors import IncompatibleError
from limbeck.tasks.segmentation import SegmentationTask


@dataclass(frozen=True, slots=True)
class MapAgreement:
    """How closely two engines agree on class maps, on one image or on many.

    Attributes:
        pixels: Pixels compared.
        differing: Pixels to which the engines give different classes.
        clearly_differing: Those of them at which PyTorch's best two classes are further apart than the limit on the
            confidence, so that rounding does not explain it.
        confidence_difference: Largest difference of the confidence over the pixels of equal class.
    """

    pixels: int = 0
    differing: int = 0
    clearly_differing: int = 0
    confidence_difference: float = 0.0

    def __add__(self, other: MapAgreement) -> MapAgreement:
        return MapAgreement(
            self.pixels + other.pixels,
            self.differing + other.differing,
            self.clearly_differing + other.clearly_differing,
            larger(self.confidence_difference, other.confidence_difference),
        )

    def problems(self, limits: MaskExportConfig) -> list[str]:
        """Name each number that is over its limit."""
        found = []
        if not self.clearly_differing <= limits.max_label_share * self.pixels:
            found.append(
                f"{self.clearly_differing} of {self.pixels} pixels have another class "
                f"(limit {limits.max_label_share:g} of them)"
            )
        if not self.confidence_difference <= limits.max_confidence_difference:
            found.append(
                f"a confidence differs by {self.confidence_difference:.3g} (limit {limits.max_confidence_difference:g})"
            )
        return found


@dataclass(frozen=True, slots=True)
class MaskVerdict(ParityVerdict):
    """How an exported segmenter compares with PyTorch.

    Attributes:
        canvas: Agreement of the two engines on equal pixels of the network's input.
        files: Agreement from the image file to the class map of the original image, through the runtime's own reading,
            resizing and mapping back.
        miou_torch: mIoU of PyTorch on the original images.
        miou_onnx: mIoU of the runtime on the original images.
    """

    canvas: MapAgreement
    files: MapAgreement
    miou_torch: float
    miou_onnx: float

    def summary(self) -> str:
        """Say what both engines reached."""
        return f"on {self.images} images: mIoU {self.miou_torch:.4f} in PyTorch, {self.miou_onnx:.4f} exported"


@torch.no_grad()
def check_masks(model: Segmenter, folder: Path, task: SegmentationTask, limits: MaskExportConfig) -> MaskVerdict:
    """Compare a bundle with the trained model on all validation images.

    Args:
        model: The trained model.
        folder: Its bundle.
        task: The validation images and how they are measured.
        limits: The largest differences allowed.

    Raises:
        BundleError: The bundle cannot be loaded.
        IncompatibleError: The model knows other classes than the data.
    """
    if model.spec.classes != task.classes:
        raise IncompatibleError(f"The model knows {list(model.spec.classes)} and the data {list(task.classes)}.")
    plain, runtime = deployable(model), RuntimeSegmenter(folder)
    by_torch, by_onnx = task.tally(), task.tally()
    images, canvas, files = 0, MapAgreement(), MapAgreement()
    for batch in task.val_loader(inputs=model.spec.inputs):
        raw = plain(batch)
        margin = _margin(raw.class_logits)
        answers = plain.predict(raw, batch)
        inputs = {name: batch.inputs[name].numpy() for name in model.spec.inputs}
        ours = Segmentation(*class_map(raw.class_logits))
        theirs = Segmentation(*map(torch.from_numpy, runtime.answer(inputs)))
        canvas += compare_maps(ours, theirs, margin, limits)
        exported = [_run_file(runtime, task, frame) for frame in batch.frames]
        for one, other, apart, frame in zip(answers, exported, margin, batch.frames, strict=True):
            files += compare_maps(one, other, _on_image(apart, frame), limits)
        by_torch.add(answers, batch.frames)
        by_onnx.add(exported, batch.frames)
        images += len(batch)
    miou_torch, miou_onnx = (tally.metrics()["mIoU"] for tally in (by_torch, by_onnx))
    expected = len(task.frames["val"])
    problems = [] if 0 < images == expected else [f"{images} of {expected} images were compared"]
    problems += [f"on equal pixels {problem}" for problem in canvas.problems(limits)]
    problems += [f"from the image files {problem}" for problem in files.problems(limits)]
    if not abs(miou_torch - miou_onnx) <= limits.max_miou_difference:
        gap = abs(miou_torch - miou_onnx)
        problems.append(f"mIoU differs by {gap:.3g} (limit {limits.max_miou_difference:g})")
    return MaskVerdict(images, tuple(problems), canvas, files, miou_torch, miou_onnx)


def compare_maps(ours: Segmentation, theirs: Segmentation, margin: Tensor, limits: MaskExportConfig) -> MapAgreement:
    """Compare two class maps of the same shape.

    Args:
        ours: That of PyTorch.
        theirs: That of the other engine.
        margin: How much likelier PyTorch's class is than its second best, by softmax probability.
        limits: The largest differences allowed.
    """
    differs = ours.labels != theirs.labels
    apart = (ours.confidence - theirs.confidence).abs()[~differs]
    return MapAgreement(
        pixels=differs.numel(),
        differing=int(differs.sum()),
        clearly_differing=int((differs & (margin > limits.max_confidence_difference)).sum()),
        confidence_difference=float(apart.max()) if apart.numel() else 0.0,
    )


def _margin(class_logits: Tensor) -> Tensor:
    """Return how much likelier the best class of every pixel is than the second one, (B,H,W)."""
    best = class_logits.float().softmax(dim=1).topk(min(2, class_logits.shape[1]), dim=1).values
    return best[:, 0] - best[:, 1] if best.shape[1] > 1 else best[:, 0]


def _run_file(runtime: RuntimeSegmenter, task: SegmentationTask, frame: Frame) -> Segmentation:
    found = runtime.segment(frame.path, task.read_maps(frame, runtime.maps))
    return Segmentation(torch.from_numpy(found.labels), torch.from_numpy(found.confidence))


def _on_image(values: Tensor, frame: Frame) -> Tensor:
    if frame.fit is None:
        raise ValueError(f"the frame of {frame.path} does not say how the image lies on the canvas")
    return torch.from_numpy(frame.fit.map_to_image(values.numpy()))
