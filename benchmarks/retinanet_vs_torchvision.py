"""RetinaNet-R18-FPN: ours against torchvision's, training step and eager inference at 320 px, in one run.

python benchmarks/retinanet_vs_torchvision.py
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from scene import scene
from timing import medians, save
from torchvision.models.detection import RetinaNet as TorchvisionRetinaNet
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from limbeck.config import TrainConfig
from limbeck.core.samples import Batch, Boxes2D
from limbeck.lookup import model_config
from limbeck.training.fit import seeded_model
from limbeck.training.module import Distillation
from limbeck.training.precision import resolve_precision

SIDE, NUM_CLASSES, BATCH = 320, 80, 8


def theirs() -> TorchvisionRetinaNet:
    """Return torchvision's detector with a ResNet-18, random weights, all layers trained."""
    backbone = resnet_fpn_backbone(
        backbone_name="resnet18",
        weights=None,
        norm_layer=torch.nn.BatchNorm2d,
        trainable_layers=5,
        returned_layers=[2, 3, 4],
        extra_blocks=LastLevelP6P7(256, 256),
    )
    return TorchvisionRetinaNet(backbone, NUM_CLASSES, min_size=SIDE, max_size=SIDE)


def their_inputs(batch: Batch[Boxes2D]) -> tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]:
    """Return images and targets as torchvision takes them."""
    images = [image.float() / 255 for image in batch.images]
    return images, [{"boxes": target.boxes_xyxy, "labels": target.labels} for target in batch.targets]


def their_step(batch: Batch[Boxes2D]) -> Callable[[], None]:
    """One training step of torchvision's detector, AdamW as ours."""
    model = theirs().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    images, targets = their_inputs(batch)

    def step() -> None:
        optimizer.zero_grad()
        sum(model(images, targets).values()).backward()
        optimizer.step()

    return step


def our_step(batch: Batch[Boxes2D], precision: str) -> Callable[[], None]:
    """One training step of our detector."""
    settings = model_config({"model": "retinanet", "backbone": "resnet18"})
    student = seeded_model(settings, tuple(f"class {k}" for k in range(NUM_CLASSES)), 0).train()
    module = Distillation(student, [], None, TrainConfig(), seed=0, total_steps=1000)
    optimizer = module.configure_optimizers()["optimizer"]

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            total = torch.stack(list(module.loss_terms(batch).losses.values())).sum()
        total.backward()
        optimizer.step()

    return step


def their_inference(batch: Batch[Boxes2D]) -> Callable[[], None]:
    """Inference of torchvision's detector."""
    model = theirs().eval()
    images, _ = their_inputs(batch)

    def infer() -> None:
        with torch.inference_mode():
            model(images)

    return infer


def our_inference(batch: Batch[Boxes2D], precision: str) -> Callable[[], None]:
    """Inference of our detector, from pixels to boxes in the original image."""
    settings = model_config({"model": "retinanet", "backbone": "resnet18"})
    model = seeded_model(settings, tuple(f"class {k}" for k in range(NUM_CLASSES)), 0).eval()
    model.to(memory_format=torch.channels_last)

    def infer() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            model.predict(model(batch), batch)

    return infer


def main() -> None:
    """Measure."""
    default = resolve_precision("auto")
    rows = []
    for what, size, their, our in (
        ("training step", BATCH, their_step, our_step),
        ("inference", 1, their_inference, our_inference),
        ("inference", BATCH, their_inference, our_inference),
    ):
        batch = scene(size, SIDE, NUM_CLASSES)
        seconds = medians(
            {"torchvision": their(batch), "limbeck_fp32": our(batch, "fp32"), "limbeck_default": our(batch, default)},
            rounds=9,
        )
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
    save("retinanet_vs_torchvision", rows, "python benchmarks/retinanet_vs_torchvision.py")


if __name__ == "__main__":
    main()
