"""Random images with boxes or masks, for timing."""

from __future__ import annotations

from pathlib import Path

import torch

from limbeck.core.samples import Batch, Boxes2D, Frame, SemanticMask
from limbeck.imaging import Fit


def scene(images: int, side: int, num_classes: int, objects: int = 8, seed: int = 0) -> Batch[Boxes2D]:
    """Return a batch of noise images with ``objects`` boxes each."""
    generator = torch.Generator().manual_seed(seed)
    fit = Fit.of((side, side), (side, side), "stretch")
    targets = []
    for _ in range(images):
        corner = torch.rand(objects, 2, generator=generator) * side * 0.6
        size = side * (0.08 + 0.3 * torch.rand(objects, 2, generator=generator))
        labels = torch.randint(0, num_classes, (objects,), generator=generator)
        targets.append(Boxes2D(torch.cat([corner, corner + size], 1), labels, torch.zeros(objects, dtype=torch.bool)))
    pixels = torch.randint(0, 256, (images, 3, side, side), generator=generator, dtype=torch.uint8)
    return Batch({"image": pixels}, targets, [Frame(i, Path(f"{i}.jpg"), fit) for i in range(images)])


def mask_scene(images: int, size_hw: tuple[int, int], num_classes: int, seed: int = 0) -> Batch[SemanticMask]:
    """Return a batch of noise images with masks of noise, and surface normals of noise beside them."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (images, 3, *size_hw), generator=generator, dtype=torch.uint8)
    normals = torch.nn.functional.normalize(torch.randn(images, 3, *size_hw, generator=generator), dim=1)
    labels = torch.randint(0, num_classes, (images, *size_hw), generator=generator, dtype=torch.uint8)
    frames = [Frame(i, Path(f"{i}.png")) for i in range(images)]
    return Batch({"image": pixels, "normals": normals}, [SemanticMask(mask) for mask in labels], frames)
