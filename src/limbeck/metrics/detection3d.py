"""All metrics of LiDAR 3D detection at once: those of nuScenes, KITTI and Waymo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from limbeck.metrics.boxes3d import Found3D, Truth3D, overlaps_wanted
from limbeck.metrics.counts3d import Counts3D
from limbeck.metrics.heading_ap import LEVELS, RANGES, heading_scores
from limbeck.metrics.kitti_ap import LEVEL_NAMES, kitti_scores, num_levels
from limbeck.metrics.nuscenes import DISTANCES, ERRORS, RECALLS
from limbeck.metrics.pairs3d import Scenes, pair_up
from limbeck.metrics.ranking3d import ClassScores, Ranking, mean_of_defined, over_classes

METRIC_NAMES = ("mAP", "NDS", "AP_3D", "AP_BEV", "mAPH", "mATE", "mASE", "mAOE", "mAVE")
"""The metrics of a set in the order in which they are listed."""


@dataclass(frozen=True, slots=True)
class Metrics3D:
    """The metrics of one set of detections; -1 where there is nothing to measure.

    Attributes:
        metrics: `METRIC_NAMES`: mean average precision by the distance of the centres and the detection score
            (nuScenes), average precision by overlap of volumes and of rectangles seen from above (KITTI, at the level
            moderate where there are levels), heading-weighted average precision at level 2 (Waymo), and the mean errors
            of translation (m), scale, orientation (radians) and velocity (m/s).
        per_class: By class name the number of ``objects``; ``AP`` and ``AP@0.5m`` to ``AP@4m``; ``ATE``, ``ASE``,
            ``AOE``, ``AVE``; ``AP_3D``, ``AP_BEV`` and, where there are levels, ``AP_3D_easy`` and so on; ``AP_L1``,
            ``APH_L1``, ``AP_L2``, ``APH_L2``.
        by_range: By distance from the LiDAR, for level 2: the number of ``objects``, ``AP`` and ``APH`` over the
            classes, and ``AP/<class>`` and ``APH/<class>``.
        pr_curves: Precision at the recalls 0, 0.01, ..., 1 where centres must be within 2 m, by class name.
        counts: Which detection found which object, for the bootstrap.
    """

    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]]
    by_range: dict[str, dict[str, float]]
    pr_curves: dict[str, list[float]]
    counts: Counts3D = field(compare=False)


def evaluate(truth: Truth3D, found: Found3D, iou_thresholds: Mapping[str, float] | None = None) -> Metrics3D:
    """Measure detections by the rules of nuScenes, KITTI and Waymo.

    Args:
        truth: What should be found.
        found: What was found.
        iou_thresholds: For the metrics by overlap, from which intersection over union on a detection hits, by class
            name; see `boxes3d.overlaps_wanted`.

    Raises:
        DataError: The detections do not belong to the truth.
        ConfigError: A threshold is for no class, or is none.
    """
    overlaps = overlaps_wanted(truth.classes, iou_thresholds)
    scenes = pair_up(truth, found)
    counts = Counts3D.of(scenes, overlaps)
    rankings = counts.rankings()
    once = np.ones(scenes.num_frames, np.int64)
    scores = [ranking.measure(once) for ranking in rankings]
    kitti = _kitti_columns(scenes, overlaps)
    of_set = over_classes(scores) | {name: mean_of_defined(kitti[name]) for name in ("AP_3D", "AP_BEV")}
    columns = _distance_columns(scores) | kitti | _heading_columns(scenes, overlaps)
    return Metrics3D(
        metrics={name: _number(of_set[name]) for name in METRIC_NAMES},
        per_class={
            name: {"objects": int(rankings[k].objects.sum())}
            | {metric: _number(column[k]) for metric, column in columns.items()}
            for k, name in enumerate(truth.classes)
        },
        by_range={name: _in_range(scenes, overlaps, within) for name, within in RANGES.items()},
        pr_curves={name: _curve(ranking) for name, ranking in zip(truth.classes, rankings, strict=True)},
        counts=counts,
    )


def _distance_columns(scores: list[ClassScores]) -> dict[str, NDArray[np.float64]]:
    """Return the metrics by the distance of the centres by name, (K,) each."""
    aps = np.array([found.aps for found in scores]).reshape(-1, len(DISTANCES))
    errors = np.array([found.errors for found in scores]).reshape(-1, len(ERRORS))
    return {
        "AP": aps.mean(axis=1),
        **{f"AP@{distance:g}m": column for distance, column in zip(DISTANCES, aps.T, strict=True)},
        **dict(zip(ERRORS, errors.T, strict=True)),
    }


def _kitti_columns(scenes: Scenes, overlaps: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return the metrics by overlap at 40 recalls by name, (K,) each."""
    levels = num_levels(scenes)
    columns: dict[str, NDArray[np.float64]] = {}
    for name, ious in (("AP_3D", scenes.pairs.ious_3d), ("AP_BEV", scenes.pairs.ious_bev)):
        by_level = [kitti_scores(scenes, ious, overlaps, level) for level in range(levels)]
        columns[name] = by_level[min(1, levels - 1)]
        if levels > 1:
            columns |= {f"{name}_{LEVEL_NAMES[level]}": column for level, column in enumerate(by_level)}
    return columns


def _heading_columns(scenes: Scenes, overlaps: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return the heading-weighted metrics and their plain kin by name, (K,) each."""
    columns: dict[str, NDArray[np.float64]] = {}
    for level in LEVELS:
        found = heading_scores(scenes, overlaps, level)
        columns |= {f"AP_L{level}": found[:, 0], f"APH_L{level}": found[:, 1]}
    return columns


def _in_range(scenes: Scenes, overlaps: NDArray[np.float64], within: tuple[float, float]) -> dict[str, float]:
    """Return the heading-weighted metrics of the objects and detections at a distance from the LiDAR."""
    found = heading_scores(scenes, overlaps, 2, within)
    result: dict[str, float] = {"objects": int(found[:, 2].sum())}
    for name, column in zip(("AP", "APH"), found.T[:2], strict=True):
        result[name] = _number(mean_of_defined(column))
        result |= {f"{name}/{k}": _number(value) for k, value in zip(scenes.classes, column, strict=True)}
    return result


def _curve(ranking: Ranking) -> list[float]:
    curve = ranking.curve()
    return [-1.0] * len(RECALLS) if curve is None else curve.tolist()


def _number(value: float) -> float:
    return -1.0 if np.isnan(value) else float(value)
