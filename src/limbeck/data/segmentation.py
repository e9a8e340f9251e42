"""Images with masks and X maps as the network sees them: views that are a pure function of the seed and the draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.core.samples import Batch, Frame, SemanticMask
from limbeck.data.augment import Placement, draw_colour, draw_placement, plain_pixels, read_reduced, render
from limbeck.data.mask_augment import plain_placement, render_mask, render_x, zoom_of
from limbeck.data.mask_config import MaskAugment
from limbeck.data.mask_records import MaskData, MaskRecord
from limbeck.data.masks import read_mask
from limbeck.data.shadow import cast_shadow, draw_shadow
from limbeck.data.views import Draw
from limbeck.data.x_maps import read_x
from limbeck.imaging import Fit, ResizeMode
from limbeck.ops.normals import compile_normals


@dataclass(slots=True)
class MaskSample:
    """One view of one image.

    Attributes:
        inputs: ``image`` (3,H,W) uint8 RGB, and each X modality by name, (C,H,W) float32.
        mask: The labels of its pixels.
        frame: Where the image came from.
    """

    inputs: dict[str, Tensor]
    mask: SemanticMask
    frame: Frame


class MaskViews(Dataset[MaskSample]):
    """Views of images with masks and X maps; ``views[draw]`` depends on nothing but the seed and the draw.

    `Frame.fit` holds the place of the image without augmentation, as in `limbeck.data.detection2d.DetectionViews`.

    Args:
        data: The images, and what their masks and X maps hold.
        canvas_wh: Width and height of the network's input in pixels, where a draw says no other. Depth and disparity
            are those of objects as large as they are on this canvas.
        resize: ``letterbox`` or ``stretch``.
        modalities: Names of the X modalities to load; the others cost nothing.
        augment: Training augmentation; None for evaluation, where every view is the same.
        seed: Seed of the augmentation.
        class_weights: (K,) weight of the pixels of each class; None weighs all alike.
    """

    def __init__(
        self,
        data: MaskData,
        canvas_wh: tuple[int, int],
        resize: ResizeMode,
        *,
        modalities: Sequence[str] = (),
        augment: MaskAugment | None = None,
        seed: int = 0,
        class_weights: NDArray[np.float32] | None = None,
    ) -> None:
        self.data = data
        self.canvas_wh = canvas_wh
        self.resize = resize
        self.modalities = tuple(modalities)
        self.augment = augment
        self.seed = seed
        self.class_weights = None if class_weights is None else torch.from_numpy(class_weights)
        if any(data.x[name].gives == "normals" for name in modalities):
            compile_normals()  # here, not in the loader's workers, which live for one epoch

    def __len__(self) -> int:
        return len(self.data.records)

    def __getitem__(self, draw: Draw) -> MaskSample:
        record = self.data.records[draw.index]
        fit = Fit.of(record.size_wh, draw.canvas_wh or self.canvas_wh, self.resize)
        image, placement = self._plain(record, fit) if self.augment is None else self._drawn(draw, fit, self.augment)
        labels = render_mask(read_mask(record, self.data.code), self.data.code, record.mask, placement)
        zoom = zoom_of(placement, Fit.of(record.size_wh, self.canvas_wh, self.resize))
        x = {name: self._x(record, name, placement, zoom) for name in self.modalities}
        return MaskSample(
            {"image": image, **x}, SemanticMask(labels, self.class_weights), Frame(record.id, record.path, fit)
        )

    def _plain(self, record: MaskRecord, fit: Fit) -> tuple[Tensor, Placement]:
        return plain_pixels(record, fit.canvas_wh, self.resize)[0], plain_placement(fit)

    def _drawn(self, draw: Draw, fit: Fit, augment: MaskAugment) -> tuple[Tensor, Placement]:
        generator = np.random.default_rng([self.seed, draw.view, draw.index, draw.repeat])
        placement = draw_placement(augment, fit, generator)
        colour = draw_colour(augment, generator)
        image, reduced_by = read_reduced(self.data.records[draw.index], placement.reduction)
        pixels = render(image, reduced_by, placement, colour)
        shadow = draw_shadow(augment, generator)
        return pixels if shadow is None else cast_shadow(pixels, shadow), placement

    def _x(self, record: MaskRecord, name: str, placement: Placement, zoom: float) -> Tensor:
        config = self.data.x[name]
        return render_x(*read_x(record, name, config), config, placement, zoom)


def collate(samples: Sequence[MaskSample]) -> Batch[SemanticMask]:
    """Stack samples into a batch with ``image`` (B,3,H,W) and each X modality (B,C,H,W)."""
    return Batch(
        inputs={name: torch.stack([sample.inputs[name] for sample in samples]) for name in samples[0].inputs},
        targets=[sample.mask for sample in samples],
        frames=[sample.frame for sample in samples],
    )
