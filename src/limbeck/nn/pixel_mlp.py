"""A small MLP on every pixel, such as a stack of 1x1 convolutions, made for many pixels and few channels."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import BackwardCFunction, FunctionCtx, once_differentiable

from limbeck.ops.precision import at_least_float32, without_autocast

SLICE_PIXELS = {"cpu": 1 << 13}
"""Pixels per slice by device type; the hidden values of a CPU slice stay in the processor's cache."""
DEFAULT_SLICE_PIXELS = 1 << 20


class PixelMlp(nn.Module):
    """Linear layers with ReLU between them, the same on every pixel; the last layer starts at zero.

    Its input gets no gradient. Hidden values are not kept but computed again in the backward pass, slice by slice: for
    16 hidden channels that takes half the time of convolutions, whose hidden maps all go through the main memory.

    Args:
        channels: Channels of the input, of the hidden layers and of the output.
    """

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(channels))
        for parameter in self.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, maps: Tensor) -> Tensor:
        """Return (B,C',N), float32 or better.

        Args:
            maps: (B,C,N).
        """
        answer: Tensor = _PixelMlp.apply(at_least_float32(maps.detach()), *self.parameters())
        return answer


def _slices(maps: Tensor) -> list[tuple[int, Any, slice]]:
    step = SLICE_PIXELS.get(maps.device.type, DEFAULT_SLICE_PIXELS)
    return [(b, ..., slice(n, n + step)) for b in range(maps.shape[0]) for n in range(0, maps.shape[2], step)]


def _hidden(pixels: Tensor, weights: tuple[Tensor, ...], biases: tuple[Tensor, ...]) -> list[Tensor]:
    """Return what goes into every layer, (C,P) each."""
    values = [pixels]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        values.append(torch.addmm(bias[:, None], weight, values[-1]).relu_())
    return values


class _PixelMlp(Function):
    @staticmethod
    def forward(ctx: FunctionCtx, maps: Tensor, *parameters: Tensor) -> Tensor:
        weights, biases = parameters[::2], parameters[1::2]
        answer = maps.new_empty(maps.shape[0], weights[-1].shape[0], maps.shape[2])
        with without_autocast(maps):
            for part in _slices(maps):
                last = _hidden(maps[part], weights, biases)[-1]
                torch.addmm(biases[-1][:, None], weights[-1], last, out=answer[part])
        ctx.save_for_backward(maps, *parameters)
        return answer

    @staticmethod
    @once_differentiable
    def backward(ctx: BackwardCFunction, grad: Tensor) -> tuple[Tensor | None, ...]:
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        maps, parameters = saved[0], saved[1:]
        weights, biases = parameters[::2], parameters[1::2]
        grads = [torch.zeros_like(parameter) for parameter in parameters]
        with without_autocast(maps):
            for part in _slices(maps):
                values, slope = _hidden(maps[part], weights, biases), grad[part]
                for layer in range(len(weights) - 1, -1, -1):
                    grads[2 * layer].addmm_(slope, values[layer].mT)
                    grads[2 * layer + 1] += slope.sum(dim=1)
                    if layer > 0:
                        slope = torch.ops.aten.threshold_backward(weights[layer].mT @ slope, values[layer], 0)
        return None, *grads
