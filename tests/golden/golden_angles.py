"""Entries about surface normals are compared by angles: their limits in degrees, and whether normals keep them."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[Any]

STATISTICS = {"mean": np.mean, "p99": lambda angles: np.percentile(angles, 99), "max": np.max}


def angle_limits(content: dict[str, Any], dtype: torch.dtype) -> dict[str, float]:
    """The limits of an entry by statistic, in degrees; empty where the entry is not compared by angles.

    Where the reference exists in float32 only, its limit holds for float64 too.
    """
    tolerance, params = content["tolerance"], content["params"]
    if factor := tolerance.get("angle_vs_params"):
        mean, largest = params["measured_mean_error_deg_of_inverse_depth_form"], params["measured_max_error_deg"]
        return {"mean": factor * mean, "max": factor * largest}
    bits = "f64" if dtype == torch.float64 else "f32"
    found = {
        name: tolerance.get(f"{name}_angle_deg_{bits}", tolerance.get(f"{name}_angle_deg_f32")) for name in STATISTICS
    }
    return {name: limit for name, limit in found.items() if limit is not None}


def angles(value: Array, reference: Array) -> Array:
    """The angles (N,) in degrees between vectors (3,N), exact for small ones too."""
    a, b = np.asarray(value, np.float64).T, np.asarray(reference, np.float64).T
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(axis=-1)))


def angle_problems(value: Array, reference: Array, limits: dict[str, float]) -> list[str]:
    """One line per limit that normals (3,N) do not keep, and one if they are not of unit length."""
    lengths = np.linalg.norm(np.asarray(value, np.float64), axis=0)
    problems = [] if np.allclose(lengths, 1, atol=1e-5) else ["the normals are not of unit length"]
    found = {name: STATISTICS[name](angles(value, reference)) for name in limits}
    wide = [name for name, limit in limits.items() if not found[name] <= limit]
    return problems + [f"the {name} angle is {found[name]:.4f} degrees, above {limits[name]:.4f}" for name in wide]
