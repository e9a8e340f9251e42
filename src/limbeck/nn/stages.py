"""A backbone that is a row of stages, each of which gives a map."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn


def maps_of_stages(
    stages: Iterable[nn.Module], strides: Sequence[int], wanted: Iterable[int], images: Tensor
) -> list[Tensor]:
    """Run stages one after the other and return their maps at the strides wanted, (B,C,H/stride,W/stride) each.

    Args:
        stages: The stages; there may be fewer than strides.
        strides: Pixels per cell of the map of each stage.
        wanted: Strides of the maps to return.
        images: What the first stage takes, (B,C,H,W).
    """
    maps: dict[int, Tensor] = {}
    for stride, stage in zip(strides, stages, strict=False):
        images = stage(images)
        maps[stride] = images
    return [maps[stride] for stride in wanted]
