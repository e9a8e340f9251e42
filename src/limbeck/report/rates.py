"""The image-level rates of several runs: a row per data set and model, and the means over the data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from limbeck.errors import RunFolderError
from limbeck.metrics.fault_rates import RATES
from limbeck.report.collect import task_of
from limbeck.report.detection.collect import DetectionEvaluation, read_evaluation
from limbeck.report.formats import metric, optional
from limbeck.roles import ROLES

RATES_HEADER = (
    "data set",
    "model",
    "on",
    *(f"{name}\n%" for name in RATES),
    "thres-\nhold",
    "train\nMB",
    "test\nMB",
    "s per\nimage",
    "weights\nMB",
    "check-\npoint\nMB",
)
OPTIMISTIC, MIXED = "val*", "mixed"
"""What the rates stand on: the images that the threshold was chosen on; test images of some data sets only."""


@dataclass(frozen=True, slots=True)
class RatesRow:
    """One model on one data set, or the mean of one model over the data sets.

    Attributes:
        data: Name of the run folder, ``mean`` for a mean.
        model: Name of the model in it.
        images: ``test``, ``val*`` or ``mixed``.
        rates: CDR, MDR and FDR, each a share of all images.
        threshold: Score above which an image is detected; None for a mean.
        train_memory: Highest memory use of the training in bytes; None, here and below, where unknown.
        test_memory: That of answering, in bytes.
        seconds: Time per image.
        weights: Size of the weights in bytes.
        checkpoint: Size of the training checkpoint in bytes.
    """

    data: str
    model: str
    images: str
    rates: dict[str, float]
    threshold: float | None
    train_memory: float | None
    test_memory: float | None
    seconds: float | None
    weights: float | None
    checkpoint: float | None


def read_rates(folders: Sequence[Path]) -> list[RatesRow]:
    """Read the rates of all models in the folders of runs and of comparisons, one folder per data set.

    Returns:
        The rows, and below them the mean of every model that was measured on all of several data sets.

    Raises:
        RunFolderError: A folder is given twice, is no run folder, is not one of detection, or holds no rates.
    """
    resolved = [folder.resolve() for folder in folders]
    if twice := [folder for folder in folders if resolved.count(folder.resolve()) > 1]:
        raise RunFolderError(f"The run folder {twice[0]} is given twice.")
    rows = [row for folder in folders for row in _rows_of(folder)]
    of_model = {
        model: [row for row in rows if row.model == model] for model in dict.fromkeys(row.model for row in rows)
    }
    return rows + [_mean(found) for found in of_model.values() if len(found) == len(folders) > 1]


def _rows_of(folder: Path) -> list[RatesRow]:
    if not (folder / "run.json").is_file():
        raise RunFolderError(f"{folder} is no run folder: it has no run.json.")
    if (task := task_of(folder)) != "detection2d":
        raise RunFolderError(f"{folder} holds a run of {task}; image-level rates are those of detectors.")
    names = sorted((path.parent.name for path in folder.glob("*/evaluation.json")), key=_roles_first)
    found = [_row(folder.resolve().name, name, read_evaluation(folder / name)) for name in names]
    rows = [row for row in found if row is not None]
    if not rows:
        raise RunFolderError(
            f"No model in {folder} has image-level rates.",
            hint="it was measured before there were any, or not yet; `limbeck eval` measures one model",
        )
    return rows


def _roles_first(name: str) -> tuple[int, str]:
    roles: Sequence[str] = ROLES
    return (roles.index(name) if name in roles else len(roles), name)


def _row(data: str, name: str, model: DetectionEvaluation) -> RatesRow | None:
    """Return the row of a model: on the test images if there are any."""
    images, found = ("test", model.test.fault_rates) if model.test else (OPTIMISTIC, model.fault_rates)
    if found is None:
        return None
    return RatesRow(
        data=data,
        model=name,
        images=images,
        rates=found.rates,
        threshold=found.threshold,
        train_memory=model.train_memory_bytes,
        test_memory=model.test_memory_bytes,
        seconds=None if model.latency_ms is None else model.latency_ms.p50 / 1000,
        weights=model.weights_bytes,
        checkpoint=model.checkpoint_bytes,
    )


def _mean(rows: Sequence[RatesRow]) -> RatesRow:
    images = {row.images for row in rows}
    return RatesRow(
        data="mean",
        model=rows[0].model,
        images=images.pop() if len(images) == 1 else MIXED,
        rates={name: fmean(row.rates[name] for row in rows) for name in RATES},
        threshold=None,
        train_memory=_mean_if_known([row.train_memory for row in rows]),
        test_memory=_mean_if_known([row.test_memory for row in rows]),
        seconds=_mean_if_known([row.seconds for row in rows]),
        weights=_mean_if_known([row.weights for row in rows]),
        checkpoint=_mean_if_known([row.checkpoint for row in rows]),
    )


def _mean_if_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def rates_cells(row: RatesRow) -> tuple[str, ...]:
    """Return a row of the table below `RATES_HEADER`."""
    return (
        row.data,
        row.model,
        row.images,
        *(f"{100 * value:.2f}" for value in row.rates.values()),
        "" if row.threshold is None else metric(row.threshold),
        optional(row.train_memory, _megabytes),
        optional(row.test_memory, _megabytes),
        optional(row.seconds, lambda seconds: f"{seconds:.3g}"),
        optional(row.weights, _megabytes),
        optional(row.checkpoint, _megabytes),
    )


def _megabytes(num_bytes: float) -> str:
    return f"{num_bytes / 1e6:.1f}" if num_bytes < 1e8 else f"{num_bytes / 1e6:.0f}"


def rates_notes(rows: Sequence[RatesRow]) -> list[str]:
    """Return what the marks in the table mean, as far as they stand in it."""
    marks = {row.images for row in rows}
    meaning = {
        OPTIMISTIC: "* the threshold was chosen on these very images, so that the rates are optimistic",
        MIXED: "mixed: test images of some data sets, validation images of others",
    }
    return [sentence for mark, sentence in meaning.items() if mark in marks]
