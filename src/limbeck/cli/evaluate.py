"""What ``limbeck eval`` prints: what a model file reaches on each part of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

from rich.markup import escape
from rich.table import Table

from limbeck.cli.terminal import out, say
from limbeck.config import RunConfig
from limbeck.data.config import PARTS, PartName
from limbeck.deploy.runtime.class_map import Tiles
from limbeck.errors import LimbeckError
from limbeck.metrics.fault_rates import RATES, rates_at
from limbeck.metrics.segmentation import evaluate
from limbeck.predictor import evaluate_file
from limbeck.tasks.base import AnyTally
from limbeck.tasks.detection2d import BoxTally, threshold_of
from limbeck.tasks.segmentation import MaskTally

Parts = Mapping[PartName, AnyTally]
PER_CLASS = ("IoU", "F")


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
    if config.task == "segmentation" and threshold is not None:
        raise LimbeckError("--threshold is for detectors; the run file is about segmentation.")
    if config.task != "segmentation" and tiles is not None:
        raise LimbeckError("--tile-overlap is for segmenters; the run file is about detection.")
    parts = evaluate_file(model, config, tiles)
    table = Table("metric", *(PARTS[part] for part in parts))
    scored = [tally.metrics() for tally in parts.values()]
    for name in scored[0]:
        table.add_row(name, *(_number(values[name]) for values in scored))
    if _are_boxes(parts):
        _print_rates(table, parts, threshold)
    else:
        _add_classes(table, parts)
        out.print(table)


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


def _add_classes(table: Table, parts: Parts) -> None:
    """Add IoU and F-score of every class."""
    found = [evaluate(tally.counts).per_class for tally in parts.values() if isinstance(tally, MaskTally)]
    table.add_section()
    for metric in PER_CLASS:
        for name in found[0]:
            table.add_row(escape(f"{metric} {name}"), *(_number(classes[name][metric]) for classes in found))
