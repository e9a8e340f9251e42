"""The second stage of a two-stage detector: two fully connected layers over what was cut out at a RoI."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import TwoMLPHead

from limbeck.ops.precision import at_least_float32


class RoiHead(nn.Module):
    """torchvision's two-layer head, with class logits and boxes of each class behind it.

    Args:
        in_channels: Numbers per RoI: channels times cells.
        hidden: Width of the two layers.
        num_classes: K.
    """

    def __init__(self, in_channels: int, hidden: int, num_classes: int) -> None:
        super().__init__()
        self.layers = TwoMLPHead(in_channels, hidden)
        self.class_out = nn.Linear(hidden, num_classes + 1)
        self.box_out = nn.Linear(hidden, 4 * num_classes)
        for layer in (self.layers.fc6, self.layers.fc7):
            nn.init.kaiming_uniform_(layer.weight, a=1)
        nn.init.normal_(self.class_out.weight, std=0.01)
        nn.init.normal_(self.box_out.weight, std=0.001)
        for layer in (self.layers.fc6, self.layers.fc7, self.class_out, self.box_out):
            nn.init.zeros_(layer.bias)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits (R,K+1), the background last, and coded boxes (R,K,4) of RoIs (R,C,S,S)."""
        hidden = self.layers(pooled)
        return at_least_float32(self.class_out(hidden)), at_least_float32(self.box_out(hidden)).unflatten(1, (-1, 4))
