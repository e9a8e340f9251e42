"""The controller that weighs the two parts of DKD pixel by pixel: the logit side of LIX (reconstruction)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from limbeck.nn.pixel_mlp import PixelMlp
from limbeck.ops.precision import at_least_float32

Update = Literal["min", "max", "none"]
Granularity = Literal["pixel", "class"]

LOG_RANGE = math.log(4)
"""A weight lies between 1/4 and 4 times another, before both are divided by their mean."""


class WeightController(nn.Module):
    """Weights alpha_i of TCKD and beta_i of NCKD from what the student says of pixel i, with fixed means.

    An MLP gives r from the student's softmax, and w = exp(ln 4 tanh(r)). Both parts of DKD are never negative, so that
    free weights under the same loss would all go to 0 and end the distillation. Therefore w is divided by its mean over
    the pixels that count, which the gradient takes part in, and alpha_i = alpha w_i. The last layer starts at zero:
    training starts with equal weights.

    Args:
        num_classes: K.
        alpha: Mean of alpha_i.
        beta: Mean of beta_i.
        update: ``min``: the MLP learns with the student to make the loss small. ``max``: it learns to make it large,
            by a reversed gradient, and so looks for pixels that are not matched yet. ``none``: nothing is learned,
            alpha_i is alpha and beta_i is beta (1 - p_t^S) over its mean.
        granularity: ``pixel``: one beta per pixel. ``class``: one per pixel and class, whose mean is over all classes
            but the label's.
        layers: Linear layers of the MLP.
        hidden: Channels of its hidden layers.
        confidence: Whether it also sees p_t^S and the entropy of the softmax, as a share of log K.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        alpha: float,
        beta: float,
        update: Update,
        granularity: Granularity,
        layers: int,
        hidden: int,
        confidence: bool,
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.beta = beta
        self.update = update
        self.confidence = confidence
        self.by_class = granularity == "class"
        inputs, outputs = num_classes + 2 * confidence, 1 + (num_classes if self.by_class else 1)
        self.mlp = PixelMlp((inputs, *[hidden] * (layers - 1), outputs)) if update != "none" else None

    def forward(
        self, student_logits: Tensor, labels: Tensor, pixel_weights: Tensor, temperature: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Return alpha_i (B,H,W) and beta_i (B,H,W), or by class (B,K,H,W). No gradient reaches the student.

        Args:
            student_logits: (B,K,H,W).
            labels: (B,H,W) int64.
            pixel_weights: (B,H,W), 0 for the pixels that do not count. The means are weighted by them.
            temperature: Divides the logits.
        """
        logits = at_least_float32(student_logits.detach())
        probs = (logits if temperature == 1 else logits / temperature).softmax(dim=1)
        label = labels.where(pixel_weights > 0, 0)[:, None]
        if self.mlp is None:
            doubt = probs.scatter(1, label, 0).sum(dim=1).clamp(min=torch.finfo(probs.dtype).eps)
            return torch.full_like(doubt, self.alpha), self.beta * _with_mean_one(doubt, pixel_weights)
        seen = torch.cat([probs, *_confidence(probs, label)], dim=1) if self.confidence else probs
        raw = self.mlp(seen.flatten(2)).unflatten(2, labels.shape[1:])
        free = (LOG_RANGE * raw.tanh()).exp()
        alpha = self.alpha * _with_mean_one(free[:, 0], pixel_weights)
        if self.by_class:
            beta = self.beta * _classes_with_mean_one(free[:, 1:], label, pixel_weights)
        else:
            beta = self.beta * _with_mean_one(free[:, 1], pixel_weights)
        return (alpha, beta) if self.update == "min" else (_reversed(alpha), _reversed(beta))


def _confidence(probs: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Return p_t and the entropy of the softmax as a share of the largest there is, (B,1,H,W) each."""
    entropy = torch.special.entr(probs).sum(dim=1, keepdim=True) / math.log(probs.shape[1])
    return probs.gather(1, label), entropy


def _with_mean_one(values: Tensor, pixel_weights: Tensor) -> Tensor:
    """Divide values (B,H,W) by their weighted mean; where no pixel counts they stay as they are."""
    return values * _inverse_mean(values, pixel_weights)


def _classes_with_mean_one(values: Tensor, label: Tensor, pixel_weights: Tensor) -> Tensor:
    """Divide values (B,K,H,W) by their weighted mean over all classes but the label's, whose entry becomes 1."""
    others = values.scatter(1, label, 0)
    factor = _inverse_mean(others.sum(dim=1) / (values.shape[1] - 1), pixel_weights)
    return (others * factor).scatter(1, label, 1)


def _inverse_mean(values: Tensor, pixel_weights: Tensor) -> Tensor:
    tiny = torch.finfo(values.dtype).tiny
    return pixel_weights.sum().clamp(min=tiny) / (pixel_weights * values).sum().clamp(min=tiny)


def _reversed(weights: Tensor) -> Tensor:
    """Return the same numbers with the gradient reversed."""
    return 2 * weights.detach() - weights
