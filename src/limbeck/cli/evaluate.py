"""What ``limbeck eval`` prints: what a model file reaches on each part of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeGuard

from rich.markup import escape
from rich.table import Table

from limbeck.cli.terminal import out, say
from limbeck.config import RunConfig
from limbeck.data.config import PARTS, PartName
from limbeck.deploy.runtime.class_map import Tiles
from limbeck.errors import LimbeckError
from limbeck.metrics.detection3d import Metrics3D
from limbeck.metrics.fault_rates import RATES, rates_at
from limbeck.metrics.segmentation import evaluate
from limbeck.predictor import evaluate_file
from limbeck.tasks.base import AnyTally
from limbeck.tasks.detection2d import BoxTally, threshold_of
from limbeck.tasks.detection3d import CloudTally
from limbeck.tasks.segmentation import MaskTally

Parts = Mapping[PartName, AnyTally]
PER_CLASS = ("IoU", "F")
CLOUD_METRICS = ("AP", "AP_3D", "AP_BEV", "APH_L2")
RANGE_METRICS = ("AP", "APH")


def evaluate_model(model: Path, config: RunConfig, *, threshold: float | None, tiles: Tiles | None) -> None:
    """Measure a model on the validation and the test part of a data set and print what it reaches.

    Args:
        model: A weight file or a bundle folder.
        config: The run, whose data is looked at.
        threshold: Score above which an image is detected; None for the best one on the validation part (detection).
        tiles: Look at large images in tiles (segmentation).

    Raises:
        LimbeckError: An option is not for this task, or the model does not fit the data.
    """
    if config.task != "detection2d" and threshold is not None:
        raise LimbeckError(f"--threshold is for detectors in images; the run file is about {config.task}.")
    if config.task != "segmentation" and tiles is not None:
        raise LimbeckError(f"--tile-overlap is for segmenters; the run file is about {config.task}.")
    parts = evaluate_file(model, config, tiles)
    table = Table("metric", *(PARTS[part] for part in parts))
    scored = [tally.metrics() for tally in parts.values()]
    for name in scored[0]:
        table.add_row(name, *(_number(values[name]) for values in scored))
    if _are_boxes(parts):
        _print_rates(table, parts, threshold)
        return
    if masks := [tally for tally in parts.values() if isinstance(tally, MaskTally)]:
        _add_classes(table, masks)
    out.print(table)
    for part, tally in parts.items():
        if isinstance(tally, CloudTally):
            out.print(_class_table(tally.measured, PARTS[part]), _range_table(tally.measured))


def _are_boxes(parts: Parts) -> TypeGuard[Mapping[PartName, BoxTally]]:
    return all(isinstance(tally, BoxTally) for tally in parts.values())


def _number(value: float) -> str:
    return "undefined" if value < 0 else f"{value:.4f}"


def _print_rates(table: Table, parts: Mapping[PartName, BoxTally], threshold: float | None) -> None:
    """Add the image-level rates: at the threshold given, else, where there is a test part, at the best one."""
    given = threshold is not None
    if not given and "test" in parts:
        threshold = threshold_of(parts["val"])
    if threshold is not None:
        images = [tally.images for tally in parts.values()]
        rates = [rates_at(scores, [threshold])[0] if len(scores.top_score) else None for scores in images]
        for n, name in enumerate(RATES):
            table.add_row(name, *("undefined" if found is None else f"{found[n]:.4f}" for found in rates))
    out.print(table)
    if threshold is not None and not given:
        say(f"threshold {threshold:.4f}, chosen on the validation images: the rates on these are optimistic")


def _add_classes(table: Table, tallies: Sequence[MaskTally]) -> None:
    """Add IoU and F-score of every class."""
    found = [evaluate(tally.counts).per_class for tally in tallies]
    table.add_section()
    for metric in PER_CLASS:
        for name in found[0]:
            table.add_row(escape(f"{metric} {name}"), *(_number(classes[name][metric]) for classes in found))


def _class_table(measured: Metrics3D, part: str) -> Table:
    """Return the metrics of every class that a LiDAR detector finds."""
    table = Table("class", "objects", *CLOUD_METRICS, title=part)
    for name, values in measured.per_class.items():
        table.add_row(escape(name), f"{values['objects']:.0f}", *(_number(values[key]) for key in CLOUD_METRICS))
    return table


def _range_table(measured: Metrics3D) -> Table:
    """Return AP and heading-weighted AP by the distance from the LiDAR."""
    table = Table("distance", "objects", *RANGE_METRICS)
    for distance, values in measured.by_range.items():
        table.add_row(distance, f"{values['objects']:.0f}", *(_number(values[key]) for key in RANGE_METRICS))
    return table
