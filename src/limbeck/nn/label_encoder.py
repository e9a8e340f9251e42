"""The label encoder of LGD and SDD: from the objects of a batch to one vector each, in the manner of PointNet.

arXiv 2109.11496, arXiv 2312.05832; MVME-HBUT/SDD-FTI-FDet. No norm has weights of its own.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

LOCAL, MIDDLE, GLOBAL = 64, 128, 1024
"""Widths of the layers."""


class SpatialTransformer(nn.Module):
    """From a vector of k numbers to a k x k matrix for it; no identity is added.

    Args:
        size: k.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        widths = (size, LOCAL, MIDDLE, GLOBAL, 512, 256)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.out = nn.Linear(widths[-1], size * size)

    def forward(self, x: Tensor) -> Tensor:
        """Return (T,k,k) of (T,k)."""
        for layer in self.layers:
            x = normalised_relu(layer(x))
        matrices: Tensor = self.out(x).unflatten(1, (self.size, self.size))
        return matrices


class LabelEncoder(nn.Module):
    """Descriptor of an object, and of all objects beside it, to its label embedding.

    Args:
        descriptor_size: k, numbers that describe an object; see `limbeck.ops.instances.instances`.
        channels: C.
    """

    def __init__(self, descriptor_size: int, channels: int) -> None:
        super().__init__()
        self.descriptor_transformer = SpatialTransformer(descriptor_size)
        self.feature_transformer = SpatialTransformer(LOCAL)
        self.local = nn.Linear(descriptor_size, LOCAL)
        self.middle = nn.Linear(LOCAL, MIDDLE)
        self.whole = nn.Linear(MIDDLE, GLOBAL)
        self.fuse = nn.Linear(LOCAL + GLOBAL, channels)

    def forward(self, descriptors: list[Tensor]) -> Tensor:
        """Return (T,C) of the descriptors (M_i,k) of every image; T is the sum of the M_i, none of which is 0."""
        x = torch.cat(descriptors)
        x = normalised_relu(self.local(_times(x, self.descriptor_transformer(x))))
        local = _times(x, self.feature_transformer(x))
        whole = normalised_relu(self.whole(normalised_relu(self.middle(local))))
        counts = [len(image) for image in descriptors]
        per_image = [image.amax(dim=0).expand(len(image), -1) for image in whole.split(counts)]
        return normalised_relu(self.fuse(torch.cat([local, torch.cat(per_image)], dim=1)))


def normalised_relu(x: Tensor) -> Tensor:
    """Return ReLU of the layer norm over the last axis."""
    return functional.layer_norm(x, x.shape[-1:]).relu()


def _times(x: Tensor, matrices: Tensor) -> Tensor:
    """Return row vectors (T,k) times matrices (T,k,l)."""
    return torch.bmm(x[:, None], matrices).squeeze(1)
