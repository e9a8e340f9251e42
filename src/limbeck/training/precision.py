"""Number formats of a training: 16 bits where the processor or GPU has them."""

from __future__ import annotations

from typing import Literal

import torch

Resolved = Literal["fp32", "bf16"]
Precision = Literal["auto", Resolved]


def resolve_precision(asked: Precision) -> Resolved:
    """Return the precision to train in; ``auto`` is bfloat16 where the hardware computes in it, else float32."""
    if asked != "auto":
        return asked
    return "bf16" if _native_bfloat16() else "fp32"


def autocast(precision: Resolved, device: torch.device) -> torch.autocast:
    """Return the context in which a model computes in ``precision``."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _native_bfloat16() -> bool:
    if torch.cuda.is_available():
        return torch.cuda.get_device_capability()[0] >= 8
    if not hasattr(torch.cpu, "get_capabilities"):  # older releases of torch cannot tell
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
