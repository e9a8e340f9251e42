"""How much memory a training takes, measured on a batch that is small enough to be tried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch
from torch import Tensor, nn

from limbeck.training.doctor.findings import Finding


def memory_finding(needed: int, batch_size: int, device: torch.device) -> Finding:
    """Compare the bytes that a training needs with those that are free."""
    free = free_bytes(device)
    text = f"about {needed / 2**30:.2f} GiB for batches of {batch_size}, {free / 2**30:.1f} GiB are free"
    if needed > free:
        return Finding("fail", "memory", f"{text}: {LESS_MEMORY}")
    return Finding("ok", "memory", text)


LESS_MEMORY = "lower train.batch_size (train.accumulate makes up for it) or the size of the network's input"


@contextmanager
def saved_bytes(module: nn.Module) -> Iterator[list[int]]:
    """Count the bytes beside the weights that autograd keeps for the backward pass, in the one entry of the list."""
    count = [0]
    seen = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            count[0] += storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield count


def parameter_bytes(module: nn.Module) -> int:
    """Return the size of the weights."""
    return sum(p.numel() * p.element_size() for p in module.parameters())


def free_bytes(device: torch.device) -> int:
    """Return how much memory is free where the training will run."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
