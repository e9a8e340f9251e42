"""Losses and box arithmetic run in float32 or better, also under autocast to 16 bits."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """Widen 16-bit floats to float32; float32 and float64 pass unchanged (float64 keeps golden tests exact)."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def without_autocast(tensor: Tensor) -> torch.autocast:
    """Return a context on the tensor's device in which matrix products keep the type of their operands."""
    return torch.autocast(tensor.device.type, enabled=False)
