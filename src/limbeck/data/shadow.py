"""Dark patches with ragged edges: shadows, wet ground, dirt. What is dark need not be another thing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from limbeck.data.mask_config import MaskAugment

CELLS = ((2, 3), (6, 9), (24, 36))
"""Rows and columns of the noise that a patch is made of, from coarse to fine, each half as strong as the one before."""
COVERED = (0.1, 0.5)
"""Least and largest share of the picture that is darkened."""
LEVEL = (0.3, 0.8)
"""Least and largest factor of the grey levels in a patch."""
_ONE = 256


@dataclass(frozen=True, slots=True, eq=False)
class Shadow:
    """One drawn set of dark patches.

    Attributes:
        noise: One (rows, columns) float32 per scale of `CELLS`.
        covered: Share of the picture that is darkened.
        levels: (3,) factor of red, green and blue in a patch, in parts of 256.
    """

    noise: tuple[NDArray[np.float32], ...]
    covered: float
    levels: NDArray[np.int64]


def draw_shadow(config: MaskAugment, generator: np.random.Generator) -> Shadow | None:
    """Draw dark patches, or none; nothing is drawn where the settings have none."""
    if config.shadow == 0 or generator.random() >= config.shadow:
        return None
    noise = tuple(generator.random(cells, dtype=np.float32) for cells in CELLS)
    level, tint = generator.uniform(*LEVEL), generator.uniform(0.9, 1.1, 3)
    return Shadow(noise, generator.uniform(*COVERED), np.rint(_ONE * np.minimum(level * tint, 1)).astype(np.int64))


def cast_shadow(pixels: Tensor, shadow: Shadow) -> Tensor:
    """Darken (3,H,W) uint8 where the sum of the noises is highest, in whole numbers."""
    height, width = pixels.shape[1:]
    total = torch.zeros(height, width)
    for scale, noise in enumerate(shadow.noise):
        field = interpolate(torch.from_numpy(noise)[None, None], (height, width), mode="bilinear", align_corners=True)
        total.add_(field[0, 0], alpha=0.5**scale)
    dark = total >= total.flatten().kthvalue(max(1, round((1 - shadow.covered) * total.numel()))).values
    factor = torch.where(dark, torch.from_numpy(shadow.levels)[:, None, None], _ONE)
    return (pixels.to(torch.int32) * factor.to(torch.int32) >> 8).to(torch.uint8)
