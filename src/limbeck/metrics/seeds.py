"""Rows of a comparison, each trained with several seeds: how they scatter, and what they gain over the control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev

from limbeck.metrics.bootstrap import (
    ImageCounts,
    PairedDifference,
    Resampled,
    as_it_is,
    gap_closed,
    mean_difference,
    resample,
)


@dataclass(frozen=True, slots=True)
class OverSeeds:
    """One number per seed.

    Attributes:
        values: In the order of the seeds.
        mean: Their mean.
        deviation: Their sample standard deviation; None for a single seed.
    """

    values: tuple[float, ...]
    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> OverSeeds:
        """Return the numbers with mean and deviation.

        >>> OverSeeds.of([0.25, 0.75]).mean
        0.5
        """
        return cls(tuple(values), fmean(values), stdev(values) if len(values) > 1 else None)


@dataclass(frozen=True, slots=True)
class Gain:
    """How much better a row is than the control.

    Attributes:
        over_seeds: The difference to the control of the same seed: shows the luck of the trainings.
        over_images: The mean of these differences, with its interval over the choice of images.
    """

    over_seeds: OverSeeds
    over_images: PairedDifference


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a comparison.

    Attributes:
        name: Its name.
        scores: The metrics by name.
        gains: The same over the control; empty for the control.
        gap_closed: Share of the way from the control to the teacher, from the means over the seeds; None for the
            control, without a teacher, and where the teacher is not better than the control.
        over_first: Of the control of a further student, the metrics over the control of the first one; else empty.
    """

    name: str
    scores: dict[str, OverSeeds]
    gains: dict[str, Gain]
    gap_closed: float | None
    over_first: dict[str, Gain] = field(default_factory=dict)


def compare_rows(
    models: Mapping[str, Sequence[ImageCounts]],
    teacher: ImageCounts | None,
    metric: str,
    *,
    samples: int,
    seed: int,
    first: Sequence[ImageCounts] = (),
) -> list[Row]:
    """Compare rows with the control, and the control with that of another student.

    Args:
        models: What was counted of the models of each row in the order of the seeds; the first row is the control.
        teacher: The same of the teacher, if there is one.
        metric: The metric that the gap is measured in.
        samples: Resamples of the bootstrap.
        seed: Seed of the bootstrap.
        first: The control of the first student, where these rows are those of a further one.

    Raises:
        ValueError: The models were not measured on the same truth, or a row has another number of seeds.
    """
    resampled = {name: [resample(counts, samples, seed) for counts in row] for name, row in models.items()}
    control = next(iter(resampled.values()))
    goal = as_it_is(teacher)[metric] if teacher is not None else None
    rows = [_row(name, row, control, goal, metric) for name, row in resampled.items()]
    if first:
        rows[0] = replace(rows[0], over_first=_gains(control, [resample(counts, samples, seed) for counts in first]))
    return rows


def _row(name: str, row: Sequence[Resampled], control: Sequence[Resampled], goal: float | None, metric: str) -> Row:
    scores = {key: OverSeeds.of([model.as_is[key] for model in row]) for key in row[0].as_is}
    if row is control:
        return Row(name, scores, {}, None)
    base = OverSeeds.of([model.as_is[metric] for model in control]).mean
    closed = None if goal is None else gap_closed(goal, base, scores[metric].mean)
    return Row(name, scores, _gains(row, control), closed)


def _gains(row: Sequence[Resampled], control: Sequence[Resampled]) -> dict[str, Gain]:
    pairs = list(zip(row, control, strict=True))
    return {
        key: Gain(OverSeeds.of([a.as_is[key] - b.as_is[key] for a, b in pairs]), over_images)
        for key, over_images in mean_difference(row, control).items()
    }
