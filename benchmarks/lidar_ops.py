"""What the geometry of LiDAR detection costs: pillars against sorting their points, turned boxes against shapely.

    python benchmarks/lidar_ops.py
    python benchmarks/lidar_ops.py --rounds 1      # does it still run?

The cloud has 100,000 points, as many as a LiDAR of 64 rings gives; the grid is that of CenterPoint for Waymo. Points
are sorted by the number of their cell as torch sorts by default, and as fast as it can: in 32 bits. The boxes are 500
as a detector gives them on a street, and 500 that lie so close that every one overlaps many. Suppression by shapely is
from all pairs, and one box after the other with those that are still there. Candidates run in one process in turn, on
one thread and on all.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import shapely
import torch
from numpy.typing import NDArray
from timing import medians, save
from torch import Tensor

from limbeck.ops.boxes3d import bev_iou, corners_bev, rotated_nms
from limbeck.ops.pillars import PillarGrid, group_points

GRID = PillarGrid((-74.88, -74.88, -2.0, 74.88, 74.88, 4.0), (0.32, 0.32))
POINTS, MAX_POINTS = 100_000, 20
BOXES = 500
NMS_IOU = 0.2
SIDE_M = {"street": 150.0, "crowd": 20.0}
"""Side of the square that the centres of the boxes lie in."""
REPEATS = 20


def cloud() -> Tensor:
    """Return points that are as much thinner as they are farther away."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(POINTS, 5, generator=generator)
    reach, turn = 74.0 * noise[:, 0], 2 * torch.pi * noise[:, 1]
    return torch.stack([reach * turn.cos(), reach * turn.sin(), 4 * noise[:, 2] - 1.5, noise[:, 3], noise[:, 4]], dim=1)


def pillar_row(threads: int, rounds: int) -> dict[str, Any]:
    """Measure the sorting of points into pillars."""
    torch.set_num_threads(threads)
    points, counts = cloud(), torch.tensor([POINTS])
    nx, _ = GRID.size_xy
    low, step = points.new_tensor(GRID.range_xyz[:2]), points.new_tensor(GRID.pillar_xy)
    column, row = ((points[:, :2] - low) / step).floor().long().T
    cells = row * nx + column
    narrow = cells.int()
    candidates: dict[str, Callable[[], object]] = {
        "sort": lambda: cells.sort(stable=True),
        "sort in 32 bits": lambda: narrow.sort(stable=True),
        "pillars": lambda: group_points(points, counts, GRID, MAX_POINTS),
    }
    seconds = medians(candidates, REPEATS * rounds, own_memory=True)
    return {
        "part": "pillars",
        "threads": threads,
        "points": POINTS,
        "pillars": len(group_points(points, counts, GRID).counts),
        **{f"{name}_ms": round(1e3 * value, 3) for name, value in seconds.items()},
        "ratio": round(seconds["pillars"] / seconds["sort"], 2),
        "ratio_to_32_bits": round(seconds["pillars"] / seconds["sort in 32 bits"], 2),
    }


def boxes_of(side: float) -> tuple[Tensor, Tensor]:
    """Return boxes (N,7) of cars, cyclists and pedestrians, and their scores (N,)."""
    random = np.random.default_rng(0)
    sizes = np.array([[4.5, 1.9, 1.6], [1.8, 0.7, 1.7], [0.8, 0.7, 1.7]])[random.integers(0, 3, BOXES)]
    sizes *= random.uniform(0.8, 1.2, (BOXES, 1))
    centres = np.c_[random.uniform(-side / 2, side / 2, (BOXES, 2)), random.uniform(-1, 0, BOXES)]
    boxes = np.c_[centres, sizes, random.uniform(-np.pi, np.pi, BOXES)]
    return torch.from_numpy(boxes), torch.from_numpy(random.random(BOXES))


def shapely_iou(boxes: Tensor) -> NDArray[np.float64]:
    """Return the intersection over union (N,N) seen from above, by clipping polygons."""
    polygons = shapely.polygons(corners_bev(boxes).numpy())
    shared = shapely.area(shapely.intersection(polygons[:, None], polygons[None]))
    areas = shapely.area(polygons)
    found: NDArray[np.float64] = shared / (areas[:, None] + areas[None] - shared)
    return found


def shapely_nms(boxes: Tensor, scores: Tensor) -> list[int]:
    """Return the boxes that are left, best first, from the overlap of all pairs."""
    order = np.argsort(-scores.numpy())
    more, left = shapely_iou(boxes[torch.from_numpy(order)]) > NMS_IOU, np.ones(len(order), bool)
    for place in range(len(order)):
        if left[place]:
            left[place + 1 :] &= ~more[place, place + 1 :]
    kept: list[int] = order[left].tolist()
    return kept


def shapely_nms_in_turn(boxes: Tensor, scores: Tensor) -> list[int]:
    """Return the boxes that are left, best first, from the overlap with those that are still there."""
    polygons = shapely.polygons(corners_bev(boxes).numpy())
    areas, left, kept = shapely.area(polygons), np.argsort(-scores.numpy()), []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(int(best))
        shared = shapely.area(shapely.intersection(polygons[best], polygons[left]))
        left = left[shared / (areas[best] + areas[left] - shared) <= NMS_IOU]
    return kept


def box_rows(threads: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Measure overlap and suppression, and check that both engines say the same."""
    torch.set_num_threads(threads)
    for scene, side in SIDE_M.items():
        boxes, scores = boxes_of(side)
        assert np.abs(bev_iou(boxes, boxes).numpy() - shapely_iou(boxes)).max() < 1e-7
        kept = rotated_nms(boxes, scores, NMS_IOU).tolist()
        assert kept == shapely_nms(boxes, scores) == shapely_nms_in_turn(boxes, scores)
        ours = partial(rotated_nms, boxes, scores, NMS_IOU)
        pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "iou of 500 x 500": (partial(bev_iou, boxes, boxes), partial(shapely_iou, boxes)),
            "nms of 500, all pairs": (ours, partial(shapely_nms, boxes, scores)),
            "nms of 500, in turn": (ours, partial(shapely_nms_in_turn, boxes, scores)),
        }
        for what, (mine, theirs) in pairs.items():
            seconds = medians({"ours": mine, "shapely": theirs}, 5 * rounds)
            yield {
                "part": what,
                "boxes": scene,
                "threads": threads,
                **{f"{name}_ms": round(1e3 * value, 2) for name, value in seconds.items()},
                "times as fast": round(seconds["shapely"] / seconds["ours"], 1),
            }


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    counts = sorted({1, os.cpu_count() or 1})
    rows = [pillar_row(threads, rounds) for threads in counts]
    rows += [row for threads in counts for row in box_rows(threads, rounds)]
    save("lidar_ops", rows, "python benchmarks/lidar_ops.py")


if __name__ == "__main__":
    main()
