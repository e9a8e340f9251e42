"""SDD's dynamic teacher: labels and the student's own maps become the maps of a teacher (arXiv 2312.05832).

The parts are those of LGD (arXiv 2109.11496) with 1x1 convolutions, followed by an adaptor per level; released in
MVME-HBUT/SDD-FTI-FDet. No norm has weights of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limbeck.core.samples import Boxes2D
from limbeck.nn.label_encoder import LabelEncoder, normalised_relu
from limbeck.nn.permute_mlp import WeightedPermuteMlp
from limbeck.ops.instances import inside_masks, instances, masked_means, paste

BOX_NUMBERS = 4


class DynamicTeacher(nn.Module):
    """Label encoder, appearance encoder, interaction of the two, refinement and an adaptor per level.

    Args:
        channels: C of every level of the student's pyramid.
        num_classes: K.
        level_sizes_hw: Rows and columns of every level at the nominal input size; other sizes are interpolated.
        heads: Heads of the attention; C is a multiple of it.
        groups: Groups of channels in the adaptors; C is a multiple of it.
    """

    def __init__(
        self, channels: int, num_classes: int, level_sizes_hw: Sequence[tuple[int, int]], heads: int, groups: int
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.label_encoder = LabelEncoder(BOX_NUMBERS + num_classes, channels)
        self.label_project = nn.Linear(channels, channels)
        self.appearance_project = nn.Sequential(nn.Conv2d(channels, channels, 1), _norm(channels), nn.ReLU())
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.instance_project = nn.Linear(channels, channels)
        self.paste_conv = nn.Conv2d(channels, channels, 1)
        self.refine = nn.Sequential(
            *(nn.Conv2d(channels, channels, 1), _norm(channels), nn.ReLU()),
            *(nn.Conv2d(channels, channels, 1), _norm(channels), nn.ReLU()),
            *(nn.Conv2d(channels, channels, 1), _norm(channels)),
        )
        self.adaptors = nn.ModuleList(WeightedPermuteMlp(channels, groups, size_hw) for size_hw in level_sizes_hw)

    def forward(
        self, student_maps: Sequence[Tensor], targets: Sequence[Boxes2D], canvas_hw: tuple[int, int]
    ) -> list[Tensor]:
        """Return the teacher's maps, (B,C,H_l,W_l) each.

        Args:
            student_maps: (B,C,H_l,W_l) per level; they get no gradient.
            targets: The labelled boxes of every image, in pixels of the network's input.
            canvas_hw: Height and width of the network's input in pixels.
        """
        refined = self.refined(student_maps, targets, canvas_hw)
        return [adaptor(level) for adaptor, level in zip(self.adaptors, refined, strict=True)]

    def refined(
        self, student_maps: Sequence[Tensor], targets: Sequence[Boxes2D], canvas_hw: tuple[int, int]
    ) -> list[Tensor]:
        """Return the maps that the adaptors get, see `forward`."""
        found = [instances(t.boxes_xyxy, t.labels, self.num_classes, canvas_hw) for t in (x.objects() for x in targets)]
        boxes = [image_boxes for _, image_boxes in found]
        masks = [[inside_masks(b, canvas_hw, (m.shape[2], m.shape[3])) for b in boxes] for m in student_maps]
        labels = self.label_encoder([descriptors for descriptors, _ in found])
        vectors = self._interact(self.appearance(student_maps, masks), labels, [len(b) for b in boxes])
        return [
            self.refine(self._pasted(level_vectors, level_masks))
            for level_vectors, level_masks in zip(vectors, masks, strict=True)
        ]

    def appearance(self, student_maps: Sequence[Tensor], masks: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """Return what every object looks like on every level, (T,C) each.

        Args:
            student_maps: (B,C,H_l,W_l) per level; they get no gradient.
            masks: Per level and image (M_i,H_l,W_l).
        """
        projected = [self.appearance_project(level.detach()) for level in student_maps]
        return [
            torch.cat([masked_means(image, mask) for image, mask in zip(level, level_masks, strict=True)])
            for level, level_masks in zip(projected, masks, strict=True)
        ]

    def _interact(self, appearance: Sequence[Tensor], labels: Tensor, counts: Sequence[int]) -> list[Tensor]:
        """Return the projected answer (T,C) per level: what an object looks like asks for what the labels are.

        Args:
            appearance: (T,C) per level.
            labels: (T,C).
            counts: Objects per image; an object attends to those of its own image only.
        """
        image = torch.arange(len(counts), device=labels.device).repeat_interleave(
            torch.tensor(counts, device=labels.device)
        )
        apart = image[:, None] != image[None, :]
        query = torch.stack(list(appearance))
        keys = normalised_relu(self.label_project(labels)).to(query.dtype).expand_as(query)
        answer, _ = self.attention(query, keys, keys, attn_mask=apart, need_weights=False)
        return list(self.instance_project(answer))

    def _pasted(self, vectors: Tensor, masks: Sequence[Tensor]) -> Tensor:
        per_image = vectors.split([len(mask) for mask in masks])
        pasted = torch.stack([paste(image, mask) for image, mask in zip(per_image, masks, strict=True)])
        answered: Tensor = self.paste_conv(pasted).relu()
        return answered


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(1, channels, affine=False)
