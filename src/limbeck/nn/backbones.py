"""Backbones: any timm model that gives feature maps, and our own."""

from __future__ import annotations

from typing import Any, Self

import timm
import torch
from timm.models import FeatureListNet
from timm.models.efficientnet import EfficientNetFeatures
from timm.models.mobilenetv3 import MobileNetV3Features
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from limbeck.errors import CheckpointError, IncompatibleError, nearest
from limbeck.nn import asmlp, lean, mit
from limbeck.nn.asmlp import AsMlp
from limbeck.nn.lean import LeanNet
from limbeck.nn.mit import MiT

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
RGB_CHANNELS = 3

OWN_STRIDES = (
    dict.fromkeys(lean.WIDTHS, lean.STRIDES)
    | dict.fromkeys(asmlp.SIZES, asmlp.STRIDES)
    | dict.fromkeys(mit.SIZES, mit.STRIDES)
)
"""Strides of the maps of limbeck's own backbones, by name."""
STEM_STRIDE = 4
"""Stride of the map up to which a frozen stem reaches."""


class Normalise(nn.Module):
    """Turn (B,3,H,W) grey levels 0 to 255 into zero-mean, unit-variance floats.

    It sits inside the model so that training, evaluation, export and server cannot disagree.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD) -> None:
        super().__init__()
        self.register_buffer("scale", 1 / torch.tensor(std).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("shift", -(torch.tensor(mean) / torch.tensor(std)).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the normalised images in the memory format of the weights that follow (channels last)."""
        return torch.addcmul(self.shift, images.to(self.scale.dtype), self.scale).contiguous(
            memory_format=torch.channels_last
        )


class Backbone(nn.Module):
    """A network cut at the strides asked for.

    Args:
        name: A network of our own (see `OWN_STRIDES`), or any timm model name that supports ``features_only``.
        strides: Strides of the maps to return, in pixels per cell.
        pretrained: Fetch timm's pretrained weights. This is the one place where limbeck may use the network, and only
            when the user asks for it.
        frozen_stem: Keep the weights of all layers up to the map of stride 4 and the statistics of every batch norm, as
            detectors on pretrained backbones do.
        in_channels: Channels of the input, 3 or 1. The first convolution for one channel is the mean over the channels
            of the one for three, so that it can use pretrained weights (hlwang1124/SNE-RoadSeg).

    Attributes:
        channels: Channels of each map returned.

    Raises:
        IncompatibleError: timm does not know the name, or the model has no map of a stride asked for, or no convolution
            over the channels of an image.
        CheckpointError: Pretrained weights were asked for and cannot be had.
    """

    def __init__(
        self,
        name: str,
        strides: tuple[int, ...],
        pretrained: bool = False,
        frozen_stem: bool = False,
        in_channels: int = RGB_CHANNELS,
    ) -> None:
        super().__init__()
        reductions = strides_of(name)
        missing = [stride for stride in strides if stride not in reductions]
        if missing:
            raise IncompatibleError(
                f"The backbone '{name}' has no map of stride {missing[0]}; its maps have the strides {reductions}."
            )
        self.body, self.channels = (
            _own(name, strides, pretrained) if name in OWN_STRIDES else _timm(name, reductions, strides, pretrained)
        )
        if in_channels != RGB_CHANNELS:
            _read_one_channel(name, self.body)
        self.name = name
        self.frozen_stem = frozen_stem
        if frozen_stem:
            for layer in _stem(name, self.body):
                layer.requires_grad_(False)
        self._gives_nhwc = getattr(self.body, "output_fmt", None) == "NHWC"  # Swin and a few others

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps, (B,C,H/stride,W/stride) each."""
        maps: list[Tensor] = self.body(images)
        return [self.as_map(m) for m in maps]

    def as_map(self, cells: Tensor) -> Tensor:
        """Return as (B,C,H,W) what a stage of the body gives, which for some networks is (B,H,W,C)."""
        return cells.permute(0, 3, 1, 2) if self._gives_nhwc else cells

    def stages(self) -> list[list[nn.Module]]:
        """Return for each map the layers that lead to it, from the images or from what gave the map before.

        Run one after another they give what ``forward`` does; in between, other features may be added.

        Raises:
            IncompatibleError: The maps of the network are not those of layers that run one after another.
        """
        body: Any = self.body
        if isinstance(body, LeanNet | MiT):
            strides = lean.STRIDES if isinstance(body, LeanNet) else mit.STRIDES
            return _cut(list(body.stages), [strides.index(stride) for stride in body.strides])
        if isinstance(body, FeatureListNet):
            names = list(body.keys())
            return _cut(list(body.values()), [names.index(name) for name in body.return_layers])
        if isinstance(body, EfficientNetFeatures | MobileNetV3Features) and body.feature_hooks is None:
            stem = [layer for name, layer in body.named_children() if name != "blocks"]
            ends = [len(stem) - 1 + info["stage"] for info in body.feature_info.get_dicts()]
            return _cut([*stem, *body.blocks], ends)
        raise IncompatibleError(
            f"Nothing can be added between the stages of the backbone '{self.name}'.",
            hint="take a ResNet, RegNet, ConvNeXt, EfficientNet, MobileNetV3, Swin, lean_* or mit_*, or the model "
            "late_fusion, which leaves the backbones alone",
        )

    def train(self, mode: bool = True) -> Self:
        """Switch to training or evaluation; with a frozen stem batch norms stay in evaluation."""
        super().train(mode)
        if self.frozen_stem:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


def _own(name: str, strides: tuple[int, ...], pretrained: bool) -> tuple[nn.Module, tuple[int, ...]]:
    if pretrained:
        raise CheckpointError(
            f"There are no pretrained weights of '{name}'.",
            hint="train it from scratch: leave them out",
        )
    body: LeanNet | MiT | AsMlp
    if name in lean.WIDTHS:
        body = LeanNet(name, strides)
    else:
        body = MiT(mit.SIZES[name], strides) if name in mit.SIZES else AsMlp(asmlp.SIZES[name], strides)
    return body, body.channels


def _timm(
    name: str, reductions: list[int], strides: tuple[int, ...], pretrained: bool
) -> tuple[nn.Module, tuple[int, ...]]:
    # timm keeps the last map of a stride that occurs more than once, which is the deepest one.
    indices = tuple(len(reductions) - 1 - reductions[::-1].index(stride) for stride in strides)
    try:
        body: Any = timm.create_model(name, features_only=True, out_indices=indices, pretrained=pretrained)
    except Exception as error:
        if not pretrained:
            raise
        first_line = str(error).partition("\n")[0]
        raise CheckpointError(
            f"The pretrained weights of '{name}' cannot be had: {first_line}",
            hint="set 'pretrained: false' to train from scratch, or put the weights into the hub's cache first",
        ) from error
    return body, tuple(body.feature_info.channels())


def strides_of(name: str) -> list[int]:
    """Return the strides of all maps of a backbone, in pixels per cell.

    Raises:
        IncompatibleError: timm does not know the name, or the model has no maps.
    """
    if name in OWN_STRIDES:
        return list(OWN_STRIDES[name])
    if not timm.is_model(name):
        raise IncompatibleError(f"timm knows no backbone '{name}'{nearest(name, timm.list_models())}.")
    try:
        with torch.device("meta"):
            body: Any = timm.create_model(name, features_only=True, pretrained=False)
        return list(body.feature_info.reduction())
    except (AssertionError, AttributeError, RuntimeError) as error:
        raise IncompatibleError(f"The timm model '{name}' cannot give feature maps ({error}).") from error


def strides_among(name: str, wanted: tuple[int, ...]) -> tuple[int, ...]:
    """Return those of the strides wanted at which a backbone has a map.

    Raises:
        IncompatibleError: timm does not know the name, or the model has none of these maps.
    """
    there = strides_of(name)
    found = tuple(stride for stride in wanted if stride in there)
    if not found:
        raise IncompatibleError(f"The backbone '{name}' has maps of the strides {there}, and none of {list(wanted)}.")
    return found


def _cut(layers: list[nn.Module], ends: list[int]) -> list[list[nn.Module]]:
    """Cut a sequence behind each of the places given."""
    starts = [0, *(end + 1 for end in ends)]
    return [layers[start : end + 1] for start, end in zip(starts, ends, strict=False)]


@torch.no_grad()
def _read_one_channel(name: str, body: nn.Module) -> None:
    convs = (module for module in body.modules() if isinstance(module, nn.Conv2d))
    first = next((conv for conv in convs if conv.in_channels == RGB_CHANNELS), None)
    if first is None:
        raise IncompatibleError(f"The backbone '{name}' has no convolution over the channels of an image to change.")
    first.weight = nn.Parameter(first.weight.mean(dim=1, keepdim=True))
    first.in_channels = 1


def _stem(name: str, body: Any) -> list[nn.Module]:
    """Return the layers up to the map of `STEM_STRIDE`.

    Raises:
        IncompatibleError: The network does not say which layers these are.
    """
    if isinstance(body, AsMlp):
        return [body.patch, body.stages[0]]
    if isinstance(body, LeanNet):
        return list(body.stages[: lean.STRIDES.index(STEM_STRIDE) + 1])
    layers = dict(body.named_children())
    ends = [info["module"].replace(".", "_") for info in body.feature_info.info if info["reduction"] <= STEM_STRIDE]
    if not ends or ends[-1] not in layers:
        raise IncompatibleError(f"The backbone '{name}' does not say where its stem ends: frozen_stem must be false.")
    return list(layers.values())[: list(layers).index(ends[-1]) + 1]
