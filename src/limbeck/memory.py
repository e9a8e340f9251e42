"""The highest memory use of this process since a moment, on the graphics card or of the process as a whole."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from pathlib import Path

import torch

from limbeck.resident import peak_resident_bytes

CLEAR_REFS = Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"


def start_peak(device: torch.device) -> bool:
    """Forget the peak so far; returns whether that was possible.

    What the process holds but does not use is given back first, as far as the C library does that: the heap of a model
    that was trained before would else count for the next one.

    Args:
        device: Whose memory is meant; a graphics card must have been used before. Without one it is that of the
            process, which Linux alone can reset.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    with suppress(AttributeError, OSError, TypeError):  # the C library has no such function
        ctypes.CDLL(None).malloc_trim(0)
    try:
        CLEAR_REFS.write_text(_FORGET_PEAK)
    except OSError:
        return False
    return True


def peak_bytes(device: torch.device) -> int | None:
    """Return the peak in bytes; None where the system does not tell.

    On a graphics card it is what PyTorch allocated for tensors. Else it is the resident memory of this process, Python
    and all libraries in it included, without the processes that it started.

    Args:
        device: As in `start_peak`.
    """
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return peak_resident_bytes()
