"""What a model costs: time, parameters, multiply-adds and bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from limbeck.core.model import InputSize, Model
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


def multiply_adds(model: Model[Any, Any, Any, Any], size: InputSize) -> int:
    """Count the multiply-adds of convolutions and matrix products for one input.

    Args:
        model: Any limbeck model; a copy of it is run once on the CPU.
        size: Size of its input, see `limbeck.core.model.InputSize`.
    """
    graph = export_graph(model)
    in_products = sdpa_kernel(SDPBackend.MATH)  # the counter knows no fused attention of the CPU
    with torch.no_grad(), in_products, FlopCounterMode(display=False) as counter:
        graph(*graph.example(size))
    flops: int = counter.get_total_flops()
    return flops // 2


def torch_latency(
    model: Model[Any, Any, Any, Any], size: InputSize, threads: int, warmup: int = 10, runs: int = 100
) -> Latency:
    """Time eager PyTorch on the CPU at batch 1.

    What is timed is the graph of the task, see `limbeck.deploy.graphs`: of images all from the pixels to the answer; of
    point clouds the network, from points that are sorted into pillars to the boxes among which is chosen.

    Args:
        model: Any limbeck model; a copy of it is timed.
        size: Size of its input, see `limbeck.core.model.InputSize`.
        threads: Processor threads.
        warmup: Calls before the first one that counts.
        runs: Calls that count.
    """
    graph = export_graph(model).to(memory_format=torch.channels_last)
    inputs = graph.example(size)
    with _torch_threads(threads), torch.inference_mode():
        return latency(lambda: graph(*inputs), warmup, runs)


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
