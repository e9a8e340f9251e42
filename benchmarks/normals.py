"""What surface normals cost against copying the depth and the normals, and how exact the three forms are.

    python benchmarks/normals.py
    python benchmarks/normals.py --rounds 1      # does it still run?

The map has the size of KITTI's, 1242 x 375. The copy is that of the depth, of the normals and of the mask of valid
pixels. Candidates run in one process in turn, on one thread and on all.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from typing import Any

import torch
from timing import medians, save
from torch import Tensor

from limbeck.ops.inverse_depth import Intrinsics
from limbeck.ops.normals import normals_from_depth
from limbeck.ops.normals_released import d2nt_normals, sne_normals

SIZE_HW = (375, 1242)
CAMERA = Intrinsics(721.5, 721.5, 609.6, 172.9)
HOLES = 0.05
REPEATS = 40
PLANES = {
    "road": (0.02, -1.0, -0.06),
    "wall": (0.44, -0.176, -0.88),
    "ramp": (0.1, -0.9, -0.4),
}
SPHERE_CENTRE, SPHERE_RADIUS = (0.3, -0.2, 9.0), 3.0


def rays() -> Tensor:
    """Return the points (3,H,W) that the pixels see at depth 1, in float64."""
    rows, columns = torch.meshgrid(*(torch.arange(size, dtype=torch.double) for size in SIZE_HW), indexing="ij")
    return torch.stack([(columns - CAMERA.cx) / CAMERA.fx, (rows - CAMERA.cy) / CAMERA.fy, torch.ones(SIZE_HW)])


def plane(normal: tuple[float, float, float]) -> tuple[Tensor, Tensor]:
    """Return the depth of a plane at a distance of 5, 0 where it is out of view, and its normals (3,H,W)."""
    vector = torch.tensor(normal, dtype=torch.double)
    vector = (vector / vector.norm())[:, None, None]
    towards = -(vector * rays()).sum(dim=0)
    return torch.where(towards > 0.05, 5 / towards, 0.0), vector.expand(3, *SIZE_HW)


def sphere() -> tuple[Tensor, Tensor]:
    """Return the depth of a sphere, 0 where it is not or where it is seen at a grazing angle, and its normals."""
    centre, directions = torch.tensor(SPHERE_CENTRE, dtype=torch.double)[:, None, None], rays()
    a, b = directions.square().sum(dim=0), (directions * centre).sum(dim=0)
    root = b.square() - a * (centre.square().sum() - SPHERE_RADIUS**2)
    depth = (b - root.clamp(min=0).sqrt()) / a
    normals = (depth * directions - centre) / SPHERE_RADIUS
    seen = (root > 0) & (-(normals * directions).sum(dim=0) > 0.3 * a.sqrt())
    return torch.where(seen, depth, 0.0), normals


def accuracy_rows() -> Iterator[dict[str, Any]]:
    """Measure the angles between the normals of each form and the true ones, in either orientation.

    Compared are the pixels with four neighbours, and for our form those at the border and beside holes as well.
    """
    surfaces = {name: plane(normal) for name, normal in PLANES.items()} | {"sphere": sphere()}
    for surface, (depth, expected) in surfaces.items():
        depth = depth.float()
        ours, valid = normals_from_depth(depth, CAMERA)
        sne, _ = sne_normals(depth, CAMERA)
        d2nt, inside = d2nt_normals(depth, CAMERA)
        inside[[0, -1]] = inside[:, [0, -1]] = False
        compared = {
            "inverse_depth": (ours, inside),
            "inverse_depth, one-sided": (ours, valid & ~inside),
            "sne": (sne, inside),
            "d2nt_basic": (d2nt, inside),
        }
        for form, (normals, pixels) in compared.items():
            yield {
                "part": "accuracy",
                "surface": surface,
                "form": form,
                **errors(normals[:, pixels], expected[:, pixels]),
            }


def errors(normals: Tensor, expected: Tensor) -> dict[str, float]:
    """Return statistics of the angles between (3,N) and (3,N), in degrees."""
    normals = normals.double()
    sine, cosine = torch.linalg.cross(normals, expected, dim=0).norm(dim=0), (normals * expected).sum(dim=0).abs()
    degrees = torch.rad2deg(torch.atan2(sine, cosine))
    found = {"mean_deg": degrees.mean(), "p99_deg": degrees.quantile(0.99), "max_deg": degrees.max()}
    return {name: round(value.item(), 4) for name, value in found.items()}


def time_row(threads: int, rounds: int) -> dict[str, Any]:
    """Measure the ratios to the copy with so many threads."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    depth = 20 + 5 * torch.rand(SIZE_HW)
    holes = torch.where(torch.rand(SIZE_HW) < HOLES, 0.0, depth)
    leaf = depth.clone().requires_grad_()
    normals, valid = normals_from_depth(depth, CAMERA)
    copies = [torch.empty_like(old) for old in (depth, normals, valid)]
    candidates: dict[str, Callable[[], object]] = {
        "copy": lambda: (depth.clone(), normals.clone(), valid.clone()),
        "copy in place": lambda: [new.copy_(old) for new, old in zip(copies, (depth, normals, valid), strict=True)],
        "all measured": lambda: normals_from_depth(depth, CAMERA),
        "with holes": lambda: normals_from_depth(holes, CAMERA),
    }
    slow: dict[str, Callable[[], object]] = {
        "for a gradient": lambda: normals_from_depth(leaf, CAMERA),
        "sne": lambda: sne_normals(depth, CAMERA),
    }
    seconds = medians(candidates, REPEATS * rounds, own_memory=True) | medians(slow, rounds, own_memory=True)
    return {
        "part": "time",
        "threads": threads,
        "copy_ms": round(1e3 * seconds["copy"], 3),
        "all_measured_ms": round(1e3 * seconds["all measured"], 3),
        **{name: round(value / seconds["copy"], 2) for name, value in seconds.items() if name != "copy"},
    }


def main() -> None:
    """Measure time and accuracy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    times = [time_row(threads, arguments.rounds) for threads in sorted({1, os.cpu_count() or 1})]
    save("normals", [*times, *accuracy_rows()], "python benchmarks/normals.py")


if __name__ == "__main__":
    main()
