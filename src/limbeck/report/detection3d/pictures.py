"""Validation clouds on which LiDAR detectors differ: what each model hits and misses, seen from above, worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.metrics.boxes3d import UNKNOWN_COUNT, Found3D, FoundBoxes, TrueBoxes, Truth3D
from limbeck.metrics.counts3d import Counts3D
from limbeck.metrics.nuscenes import AT_ERRORS, DISTANCES
from limbeck.metrics.pairs3d import FALSE_ALARM, IGNORED, Scenes, assign, pair_up
from limbeck.metrics.ranking3d import HIT, MISS, NEITHER
from limbeck.report.birds_eye import Outlines, View, draw
from limbeck.report.detection3d.clouds import Clouds
from limbeck.report.detection3d.collect import Detection3DRun, FoundCloud, TrueCloud
from limbeck.report.formats import counted
from limbeck.report.gallery import Gallery, Panel, Picture, hang, worst_first
from limbeck.report.tally import Tally
from limbeck.roles import Role

SIDE = 640
"""Longer side of a panel in pixels."""
NEAR_M = DISTANCES[AT_ERRORS]
"""Metres between the centres below which a detection is a hit."""
UNSURE = 0.3
"""Detections of a model without a single hit are shown from this score on."""
COLOURS = {
    "hit": "#56B4E9",
    "true box of a hit": "#FFFFFF",
    "missed": "#E0218A",
    "false alarm": "#E69F00",
    "ignored": "#6B7480",
}
"""What the colours of the boxes say."""


@dataclass(frozen=True, slots=True)
class BirdsEye(Picture):
    """One cloud; the panels are the models. ``note`` says what the student alone misses."""

    note: str


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The objects and the shown detections of one model in one cloud.

    Attributes:
        scenes: The objects (M) and the detections (D) of that cloud alone.
        owners: (D,) the object that each detection hits, `FALSE_ALARM` or `IGNORED`.
    """

    scenes: Scenes
    owners: NDArray[np.int64]

    @property
    def found(self) -> NDArray[np.bool_]:
        """Which objects are hit, (M,)."""
        return np.isin(np.arange(len(self.scenes.objects.boxes)), self.owners)

    @property
    def missed(self) -> NDArray[np.bool_]:
        """Which objects are to be found and are not, (M,)."""
        return ~self.found & ~self.scenes.objects.ignore

    def layers(self) -> list[Outlines]:
        """Return the boxes as they are drawn, those first that may be covered."""
        true, shown = self.scenes.objects.boxes, self.scenes.detections.boxes
        return [
            Outlines(true[self.scenes.objects.ignore], COLOURS["ignored"]),
            Outlines(shown[self.owners == IGNORED], COLOURS["ignored"]),
            Outlines(true[self.missed], COLOURS["missed"], width=2, filled=True),
            Outlines(true[self.found], COLOURS["true box of a hit"]),
            Outlines(shown[self.owners >= 0], COLOURS["hit"], width=2),
            Outlines(shown[self.owners == FALSE_ALARM], COLOURS["false alarm"], width=2),
        ]

    def mistakes(self) -> str:
        """Say what is missed and what is a false alarm, class by class; empty where there is only one class."""
        classes = self.scenes.classes
        if len(classes) == 1:
            return ""
        missed = _by_class(self.scenes.objects.labels[self.missed], classes)
        alarms = _by_class(self.scenes.detections.labels[self.owners == FALSE_ALARM], classes)
        return "; ".join(f"{what}: {names}" for what, names in (("missed", missed), ("false alarms", alarms)) if names)


def _by_class(labels: NDArray[np.int64], classes: Sequence[str]) -> str:
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    return ", ".join(f"{name} {count}" for name, count in zip(classes, counts, strict=True) if count)


def gallery(run: Detection3DRun, least: Mapping[Role, float]) -> Gallery:
    """Draw the clouds on which the models differ most, those first where the student falls furthest behind.

    The student is held against the teacher, or against the control where there is no teacher, by the F1 with centres
    within `NEAR_M`.

    Args:
        run: The run.
        least: The score from which on the detections of each model are shown; see `best_score`.
    """
    tallies = {role: tally(model.counts, least[role]) for role, model in run.models.items()}
    clouds = Clouds(run)
    return hang(
        worst_first({role: found.f1 for role, found in tallies.items()}),
        [cloud.name for cloud in run.truth.frames],
        lambda position: _picture(run, clouds, least, tallies, position),
    )


def best_score(counts: Counts3D) -> float:
    """Return the score from which on the detections of all classes together have the highest F1.

    `UNSURE` where nothing is hit.
    """
    fates = counts.by_distance[:, AT_ERRORS]
    counting = fates != NEITHER
    hits, scores = fates[counting] == HIT, counts.scores[counting]
    if not hits.any():
        return UNSURE
    f1 = 2 * hits.cumsum() / (np.arange(1, len(hits) + 1) + counts.objects.sum())
    last_of_its_score = np.append(scores[1:] != scores[:-1], True)
    return float(scores[np.where(last_of_its_score, f1, 0).argmax()])


def tally(counts: Counts3D, least: float) -> Tally:
    """Count hits, false alarms and missed objects per cloud with centres within `NEAR_M`, over all classes."""
    shown = counts.scores >= least
    fates, frames = counts.by_distance[shown, AT_ERRORS], counts.frames[shown]
    hits, alarms = (np.bincount(frames[fates == fate], minlength=counts.num_images) for fate in (HIT, MISS))
    return Tally(hits, alarms, counts.objects.sum(axis=1) - hits)


def _picture(
    run: Detection3DRun, clouds: Clouds, least: Mapping[Role, float], tallies: Mapping[Role, Tally], position: int
) -> BirdsEye:
    truth = run.truth.frames[position]
    judged = {
        role: judge(truth, model.predictions[position], run.truth.classes, least[role])
        for role, model in run.models.items()
    }
    view, points = _view(judged), clouds.points(position)
    panels = []
    for role, of_model in judged.items():
        caption = "; ".join(filter(None, (tallies[role].sentence(position), of_model.mistakes())))
        alt = f"{truth.name} from above with the boxes of the {role}: {caption}."
        panels.append(Panel.drawn(role, caption, draw(points, view, of_model.layers()), alt))
    return BirdsEye(truth.name, tuple(panels), _alone(judged))


def judge(truth: TrueCloud, found: FoundCloud, classes: Sequence[str], least: float) -> Judged:
    """Match the detections of one model in one cloud, those from a score on, with centres within `NEAR_M`."""
    shown = np.array(found.scores) >= least
    objects = len(truth.boxes)
    true = TrueBoxes(
        boxes=_array(truth.boxes, np.float64).reshape(-1, 7),
        labels=_array(truth.labels, np.int64),
        ignore=_array(truth.ignore, np.bool_),
        levels=np.zeros(objects, np.int64),
        num_points=np.full(objects, UNKNOWN_COUNT),
    )
    detected = FoundBoxes(
        boxes=_array(found.boxes, np.float64).reshape(-1, 7)[shown],
        scores=_array(found.scores, np.float64)[shown],
        labels=_array(found.labels, np.int64)[shown],
    )
    scenes = pair_up(Truth3D(tuple(classes), (truth.id,), (true,)), Found3D((detected,)))
    near = scenes.pairs.where(scenes.pairs.distances < NEAR_M)
    return Judged(scenes, assign(near, near.distances, scenes.objects.ignore, len(scenes.detections.scores)))


def _array(values: Sequence[Any], dtype: type[Any]) -> NDArray[Any]:
    return np.array(values, dtype)


def _view(judged: Mapping[Role, Judged]) -> View:
    """Return the view that has all that counts, the same for all models."""
    boxes = [of_model.scenes.detections.boxes[of_model.owners != IGNORED] for of_model in judged.values()]
    objects = next(iter(judged.values())).scenes.objects
    return View.around(np.concatenate([objects.boxes[~objects.ignore], *boxes]), SIDE)


def _alone(judged: Mapping[Role, Judged]) -> str:
    other: Role = "teacher" if "teacher" in judged else "control"
    its, mine = judged[other].found, judged["student"].found
    behind, ahead = int((its & ~mine).sum()), int((mine & ~its).sum())
    return f"{counted(behind, 'object')} found by the {other} and missed by the student; the other way round: {ahead}."
