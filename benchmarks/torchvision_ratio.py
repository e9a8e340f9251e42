"""Our detectors against torchvision's, ResNet-18 and FPN: training step and eager inference at 320 px, in one run.

python benchmarks/torchvision_ratio.py                     # all, a file of results each
python benchmarks/torchvision_ratio.py --detector fcos     # one of them
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from scene import scene
from timing import medians, save
from torch import nn
from torchvision.models import detection
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from limbeck.config import TrainConfig
from limbeck.core.dense2d import Postprocess
from limbeck.core.model import Model
from limbeck.core.samples import Batch, Boxes2D
from limbeck.lookup import model_config
from limbeck.training.fit import seeded_model
from limbeck.training.module import Distillation
from limbeck.training.precision import resolve_precision

SIDE, NUM_CLASSES, BATCH = 320, 80, 8
THEIRS: dict[str, Callable[..., nn.Module]] = {"retinanet": detection.RetinaNet, "fcos": detection.FCOS}
ROI_SAMPLES = {"faster_rcnn": 2, "faster_rcnn_adaptive": 0}
"""Samples along each side of a cell of a RoI in torchvision's Faster R-CNN: its own number, or by size (0) as ours."""
DETECTORS = (*THEIRS, *ROI_SAMPLES)


def theirs(detector: str) -> nn.Module:
    """Return torchvision's detector with random weights, all layers trained, and our settings of the last step."""
    return their_faster_rcnn(ROI_SAMPLES[detector]) if detector in ROI_SAMPLES else their_dense(detector)


def their_faster_rcnn(roi_samples: int) -> nn.Module:
    """Return torchvision's Faster R-CNN with as many anchors, proposals and rows to train on as ours."""
    backbone = resnet_fpn_backbone(
        backbone_name="resnet18", weights=None, norm_layer=nn.BatchNorm2d, trainable_layers=5
    )
    return detection.FasterRCNN(
        backbone,
        NUM_CLASSES + 1,
        min_size=SIDE,
        max_size=SIDE,
        rpn_post_nms_top_n_train=1000,
        box_roi_pool=MultiScaleRoIAlign(["0", "1", "2", "3"], output_size=7, sampling_ratio=roi_samples),
    )


def their_dense(detector: str) -> nn.Module:
    """Return a dense detector of torchvision."""
    backbone = resnet_fpn_backbone(
        backbone_name="resnet18",
        weights=None,
        norm_layer=nn.BatchNorm2d,
        trainable_layers=5,
        returned_layers=[2, 3, 4],
        extra_blocks=LastLevelP6P7(256, 256),
    )
    ours = Postprocess()
    return THEIRS[detector](
        backbone,
        NUM_CLASSES,
        min_size=SIDE,
        max_size=SIDE,
        score_thresh=ours.score_threshold,
        nms_thresh=ours.nms_iou,
        topk_candidates=ours.pre_nms,
        detections_per_img=ours.max_detections,
    )


def our_model(detector: str) -> Model:
    """Return our detector with random weights and its default settings."""
    name = "faster_rcnn" if detector in ROI_SAMPLES else detector
    settings = model_config({"model": name, "backbone": "resnet18"})
    return seeded_model(settings, tuple(f"class {k}" for k in range(NUM_CLASSES)), 0)


def their_inputs(batch: Batch[Boxes2D]) -> tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]:
    """Return images and targets as torchvision takes them."""
    images = [image.float() / 255 for image in batch.images]
    return images, [{"boxes": target.boxes_xyxy, "labels": target.labels} for target in batch.targets]


def their_step(detector: str, batch: Batch[Boxes2D]) -> Callable[[], None]:
    """One training step of torchvision's detector, AdamW as ours."""
    model = theirs(detector).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    images, targets = their_inputs(batch)

    def step() -> None:
        optimizer.zero_grad()
        sum(model(images, targets).values()).backward()
        optimizer.step()

    return step


def our_step(detector: str, batch: Batch[Boxes2D], precision: str) -> Callable[[], None]:
    """One training step of our detector."""
    module = Distillation(our_model(detector).train(), [], None, TrainConfig(), seed=0, total_steps=1000)
    optimizer = module.configure_optimizers()["optimizer"]

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            total = torch.stack(list(module.loss_terms(batch).losses.values())).sum()
        total.backward()
        optimizer.step()

    return step


def their_inference(detector: str, batch: Batch[Boxes2D]) -> Callable[[], None]:
    """Inference of torchvision's detector."""
    model = theirs(detector).eval()
    images, _ = their_inputs(batch)

    def infer() -> None:
        with torch.inference_mode():
            model(images)

    return infer


def our_inference(detector: str, batch: Batch[Boxes2D], precision: str) -> Callable[[], None]:
    """Inference of our detector, from pixels to boxes in the original image."""
    model = our_model(detector).eval().to(memory_format=torch.channels_last)

    def infer() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            model.predict(model(batch), batch)

    return infer


def measure(detector: str, rounds: int) -> None:
    """Measure one detector and write its results."""
    default = resolve_precision("auto")
    rows = []
    for what, size, their, our in (
        ("training step", BATCH, their_step, our_step),
        ("inference", 1, their_inference, our_inference),
        ("inference", BATCH, their_inference, our_inference),
    ):
        batch = scene(size, SIDE, NUM_CLASSES)
        candidates = {
            "torchvision": their(detector, batch),
            "limbeck_fp32": our(detector, batch, "fp32"),
            "limbeck_default": our(detector, batch, default),
        }
        seconds = medians(candidates, rounds)
        rows.append(
            {
                "what": what,
                "batch_size": size,
                "default_precision": default,
                **{name: round(value, 4) for name, value in seconds.items()},
                "fp32_ratio": round(seconds["limbeck_fp32"] / seconds["torchvision"], 3),
                "default_ratio": round(seconds["limbeck_default"] / seconds["torchvision"], 3),
            }
        )
    save(f"{detector}_vs_torchvision", rows, f"python benchmarks/torchvision_ratio.py --detector {detector}")


def main() -> None:
    """Measure the detectors that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detector", choices=DETECTORS, help="all if none is named")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    for detector in [arguments.detector] if arguments.detector else DETECTORS:
        measure(detector, arguments.rounds)


if __name__ == "__main__":
    main()
