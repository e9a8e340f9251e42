"""Random images with boxes, for timing."""

from __future__ import annotations

from pathlib import Path

import torch

from limbeck.core.samples import Batch, Boxes2D, Frame
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
