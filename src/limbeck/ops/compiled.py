"""Compiling a plain loop by Numba, for what PyTorch can do only in many passes over its data.

Compiling takes a second when a function is first used; what is compiled is kept in ``__pycache__``, or in the user's
cache, and where neither can be written every process compiles anew. A module that uses it is imported where it is
needed only, since importing Numba takes a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function so that a division by 0 gives infinity or NaN."""
    try:
        return numba.njit(function, cache=True, error_model="numpy")
    except RuntimeError:  # no place to keep it
        return numba.njit(function, error_model="numpy")
