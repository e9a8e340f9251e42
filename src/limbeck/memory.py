"""Memory of this process: its highest use since a moment, and what the C library does with what is freed."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from pathlib import Path

import torch

from limbeck.resident import peak_resident_bytes

CLEAR_REFS = Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's settings, see `man mallopt`."""
_NEVER, _LARGEST = -1, 2**30


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


def keep_freed_memory() -> None:
    """Have the C library keep what is freed for the next tensors, until the process ends.

    Each step of a training asks for the same tensors again. By default glibc returns the large ones to the system,
    which must clear every page before it lends it once more: a tenth of a step of CenterPoint. `start_peak` still gives
    back what is not in use. Where the C library has no such setting, nothing changes.
    """
    with suppress(AttributeError, OSError, TypeError):
        set_option = ctypes.CDLL(None).mallopt
        set_option(_MMAP_THRESHOLD, _LARGEST)
        set_option(_TRIM_THRESHOLD, _NEVER)
