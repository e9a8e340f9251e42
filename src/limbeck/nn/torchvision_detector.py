"""What the adapters of torchvision's dense detectors share: settings, backbone with FPN, anchors and spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import field_validator, model_validator
from torch import Tensor, nn
from torchvision.models import get_model_weights, resnet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.feature_pyramid_network import LastLevelP6P7
from torchvision.ops.misc import FrozenBatchNorm2d

from limbeck.core.dense2d import Postprocess
from limbeck.core.model import DenseSpec2D, ModelConfig
from limbeck.errors import CheckpointError, nearest
from limbeck.nn.backbones import IMAGENET_MEAN, IMAGENET_STD
from limbeck.ops.pyramid import PriorGrid

STRIDES = (8, 16, 32, 64, 128)
CHANNELS = 256
"""Width of the pyramid; torchvision has no setting for it."""
BACKBONES = tuple(name for name in resnet.__all__ if name.islower())


class TorchvisionConfig(ModelConfig):
    """Settings that torchvision's dense detectors share."""

    backbone: str = "resnet50"
    pretrained: bool = False
    norm: Literal["batch", "frozen"] = "batch"
    first_label: Literal[0, 1] = 0
    postprocess: Postprocess = Postprocess()

    @model_validator(mode="before")
    @classmethod
    def _pretrained_norms_are_frozen(cls, settings: Any) -> Any:
        """Follow torchvision's builders, unless the user says otherwise."""
        if isinstance(settings, Mapping) and settings.get("pretrained") is True:
            return {"norm": "frozen", **settings}
        return settings

    @field_validator("backbone")
    @classmethod
    def _backbone_is_known(cls, backbone: str) -> str:
        if backbone not in BACKBONES:
            raise ValueError(f"torchvision knows no such ResNet{nearest(backbone, BACKBONES)}")
        return backbone


def resnet_fpn(config: TorchvisionConfig, *, p6_from_c5: bool = False) -> nn.Module:
    """Return torchvision's ResNet with the pyramid P3 to P7; all its layers are trained.

    Args:
        config: Settings of the detector.
        p6_from_c5: Compute P6 from the last map of the ResNet, not from P5.

    Raises:
        CheckpointError: Pretrained weights were asked for and cannot be had.
    """
    c5_channels = 512 if config.backbone in ("resnet18", "resnet34") else 2048
    try:
        backbone: nn.Module = resnet_fpn_backbone(
            backbone_name=config.backbone,
            weights=get_model_weights(config.backbone)["IMAGENET1K_V1"] if config.pretrained else None,
            norm_layer=FrozenBatchNorm2d if config.norm == "frozen" else nn.BatchNorm2d,
            trainable_layers=5,
            returned_layers=[2, 3, 4],
            extra_blocks=LastLevelP6P7(c5_channels if p6_from_c5 else CHANNELS, CHANNELS),
        )
    except Exception as error:
        if not config.pretrained:
            raise
        first_line = str(error).partition("\n")[0]
        raise CheckpointError(
            f"torchvision's pretrained weights of '{config.backbone}' cannot be had: {first_line}",
            hint="set 'pretrained: false' to train from scratch, or put the weights into the hub's cache first",
        ) from error
    return backbone


def anchors_xyxy(generator: AnchorGenerator, features: Sequence[Tensor], canvas_hw: tuple[int, int]) -> Tensor:
    """Return torchvision's own anchors (N,4) in pixels, float32, in limbeck's flat order.

    As in torchvision a cell is ``canvas // cells`` pixels wide. That is the stride where the sides of the canvas are
    multiples of it, and less elsewhere.

    Args:
        generator: The anchor generator of a torchvision detector. Its ``forward`` is not called, because it changes the
            generator, which the ONNX exporter does not allow.
        features: The pyramid, (B,C,H_l,W_l) each.
        canvas_hw: Height and width of the network's input in pixels.
    """
    sizes_hw = [(level.shape[2], level.shape[3]) for level in features]
    cells_hw = [(canvas_hw[0] // rows, canvas_hw[1] // columns) for rows, columns in sizes_hw]
    return torch.cat(generator.grid_anchors(sizes_hw, cells_hw)).to(features[0].device, torch.float32)


def detector_spec(classes: tuple[str, ...], priors: PriorGrid) -> DenseSpec2D:
    """Return the spec of a torchvision detector with these priors."""
    return DenseSpec2D(
        task="detection2d",
        classes=classes,
        inputs=("image",),
        channels=(CHANNELS,) * len(STRIDES),
        strides=STRIDES,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        priors=priors,
        reg_max=None,
        backbone="net.backbone.body",
    )
