"""What a model costs: time, parameters, multiply-adds and bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from limbeck.core.model import Model
from limbeck.deploy.graphs import export_graph
from limbeck.deploy.runtime.latency import Latency, latency

_FLOAT32_BYTES = 4


def count_parameters(model: torch.nn.Module) -> int:
    """Count the parameters, those shared between layers once."""
    return sum(parameter.numel() for parameter in model.parameters())


def weights_bytes(model: torch.nn.Module) -> int:
    """Return the bytes that parameters and running statistics take in fp32."""
    numbers: int = sum(value.numel() for value in model.state_dict().values() if value.is_floating_point())
    return _FLOAT32_BYTES * numbers


def multiply_adds(model: Model[Any, Any, Any, Any], canvas_wh: tuple[int, int]) -> int:
    """Count the multiply-adds of convolutions and matrix products for one input.

    Args:
        model: Any limbeck model; a copy of it is run once on the CPU.
        canvas_wh: Width and height of the network's input in pixels.
    """
    graph = export_graph(model)
    in_products = sdpa_kernel(SDPBackend.MATH)  # the counter knows no fused attention of the CPU
    with torch.no_grad(), in_products, FlopCounterMode(display=False) as counter:
        graph(*(value[:1] for value in graph.example(canvas_wh)))
    flops: int = counter.get_total_flops()
    return flops // 2


def torch_latency(
    model: Model[Any, Any, Any, Any], canvas_wh: tuple[int, int], threads: int, warmup: int = 10, runs: int = 100
) -> Latency:
    """Time eager PyTorch on the CPU at batch 1, from pixels to final boxes.

    Args:
        model: Any limbeck model; a copy of it is timed.
        canvas_wh: Width and height of the network's input in pixels.
        threads: Processor threads.
        warmup: Calls before the first one that counts.
        runs: Calls that count.
    """
    graph = export_graph(model).to(memory_format=torch.channels_last)
    inputs = [_noise_like(value[:1]) for value in graph.example(canvas_wh)]
    with _torch_threads(threads), torch.inference_mode():
        return latency(lambda: graph(*inputs), warmup, runs)


def _noise_like(value: Tensor) -> Tensor:
    return torch.rand_like(value) if value.is_floating_point() else torch.randint_like(value, 0, 256)


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
