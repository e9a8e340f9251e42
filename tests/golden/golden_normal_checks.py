"""Golden checks of surface normals."""

from collections.abc import Callable
from typing import Any

import torch
from golden_vectors import Case, Selected
from torch import Tensor

from limbeck.ops.inverse_depth import Intrinsics
from limbeck.ops.normals import normals_from_depth, normals_from_disparity
from limbeck.ops.normals_released import d2nt_normals, sne_normals

Results = dict[str, Any]


def _camera(case: Case) -> Intrinsics:
    (fx, _, cx), (_, fy, cy), _ = case.given("K").tolist()
    return Intrinsics(fx, fy, cx, cy)


def _inside(case: Case, margin: int) -> Tensor:
    pixels = torch.zeros(case.given("depth").shape, dtype=torch.bool)
    height, width = pixels.shape
    pixels[margin : height - margin, margin : width - margin] = True
    return pixels


def _true_surface(case: Case) -> Results:
    """Planes and spheres; wherever the entry has a normal, so do we."""
    normals, valid = normals_from_depth(case.given("depth"), _camera(case))
    pixels = torch.from_numpy(case.arrays["out.valid"])
    return {"out.normal": Selected(normals, pixels), "out.valid": valid & pixels}


def _inverse_depth(case: Case) -> Results:
    depth, camera, pixels = case.given("depth"), _camera(case), _inside(case, 1)
    upwards, _ = normals_from_disparity(40 / depth, camera, "up")
    return {
        "out.normal": Selected(normals_from_depth(depth, camera)[0], pixels),
        "out.normal_ny_nonpositive": Selected(upwards, pixels),
    }


def _sne_offnet(case: Case) -> Results:
    normals, _ = sne_normals(case.given("depth"), _camera(case))
    return {"out.normal": Selected(normals, _inside(case, 2))}


def _sne_roadseg(case: Case) -> Results:
    """The two rows below the horizon are left out: the release has no neighbours above it."""
    camera, pixels = _camera(case), _inside(case, 2)
    rows = torch.arange(len(pixels))
    pixels[(rows > camera.cy) & (rows < camera.cy + 2)] = False
    normals, _ = sne_normals(case.given("depth"), camera, blank_above_horizon=True)
    return {"out.normal": Selected(normals, pixels)}


def _d2nt_basic(case: Case) -> Results:
    normals, _ = d2nt_normals(case.given("depth"), _camera(case))
    return {"out.normal": Selected(normals, _inside(case, 0), precision=torch.float32)}


NORMAL_CHECKS: dict[str, Callable[[Case], Results]] = {
    "normal_d2nt_basic": _d2nt_basic,
    "normal_inverse_depth": _inverse_depth,
    "normal_plane": _true_surface,
    "normal_sne_offnet": _sne_offnet,
    "normal_sne_roadseg": _sne_roadseg,
    "normal_sphere": _true_surface,
}
