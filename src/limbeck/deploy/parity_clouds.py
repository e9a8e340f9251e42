"""Whether an exported LiDAR detector answers as the trained one does, on the user's own point clouds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from limbeck.config import CloudExportConfig
from limbeck.core.centre import HEAT_MAP, CentreRaw
from limbeck.core.detection3d import CentreDetector, candidates, choose
from limbeck.core.outputs import Detections3D
from limbeck.deploy.cloud_agreement import CloudAgreement, compare
from limbeck.deploy.graphs import deployable
from limbeck.deploy.parity import ParityVerdict
from limbeck.deploy.runtime.lidar_detector import LidarDetector
from limbeck.deploy.runtime.pillars import Pillars
from limbeck.errors import IncompatibleError
from limbeck.ops.pillars import group_points
from limbeck.tasks.detection3d import Detection3DTask


@dataclass(frozen=True, slots=True)
class CloudVerdict(ParityVerdict):
    """How an exported LiDAR detector compares with PyTorch.

    Sorting, network and choice are compared on equal inputs. Where two boxes score alike and each would suppress the
    other, the last bit decides which of them is left, and both answers are right; with equal inputs there is no such
    tie, and a real fault does not hide behind one.

    Attributes:
        network: Agreement of the two engines on the boxes among which is chosen, from equal pillars.
        runtime: Agreement of the runtime, from a cloud to its final boxes, with what PyTorch's sorting and choice make
            of the exported network.
        ties: Clouds in which PyTorch's own final boxes are others nevertheless.
        map_torch: mAP of PyTorch.
        map_onnx: mAP of the runtime.
    """

    network: CloudAgreement
    runtime: CloudAgreement
    ties: int
    map_torch: float
    map_onnx: float

    def summary(self) -> str:
        """Say what both engines reached."""
        return f"on {self.images} clouds: mAP {self.map_torch:.4f} in PyTorch, {self.map_onnx:.4f} exported"


@torch.no_grad()
def check_clouds(model: CentreDetector, folder: Path, task: Detection3DTask, limits: CloudExportConfig) -> CloudVerdict:
    """Compare a bundle with the trained model on all validation clouds.

    Args:
        model: The trained model.
        folder: Its bundle.
        task: The validation clouds and how they are measured.
        limits: The largest differences allowed.

    Raises:
        BundleError: The bundle cannot be loaded.
        IncompatibleError: The model knows other classes than the data, or reads other values of a point.
    """
    if model.spec.classes != task.classes:
        raise IncompatibleError(f"The model knows {list(model.spec.classes)} and the data {list(task.classes)}.")
    plain, runtime = deployable(model), LidarDetector(folder)
    by_torch, by_onnx = task.tally(), task.tally()
    clouds, ties, network, boxes = 0, 0, CloudAgreement(), CloudAgreement()
    for batch in task.val_loader(inputs=model.spec.inputs):
        raw = plain(batch)
        answers, found = plain.predict(raw, batch), list[Detections3D]()
        for place, points in enumerate(batch.points.split(batch.counts.tolist())):
            exported = _run_network(runtime, plain, points)
            network += _compare_networks(plain, raw, place, exported, limits)
            found.append(_run(runtime, points))
            boxes += compare(_chosen(plain, exported), found[-1])
            ties += bool(compare(answers[place], found[-1]).problems(limits))
        by_torch.add(answers, batch.frames)
        by_onnx.add(found, batch.frames)
        clouds += len(batch)
    map_torch, map_onnx = (tally.metrics()["mAP"] for tally in (by_torch, by_onnx))
    expected = len(task.val.records)
    problems = [] if 0 < clouds == expected else [f"{clouds} of {expected} clouds were compared"]
    problems += [f"in the network {problem}" for problem in network.problems(limits)]
    problems += [f"in sorting and choice {problem}" for problem in boxes.problems(limits)]
    if not abs(map_torch - map_onnx) <= limits.max_map_difference:
        problems.append(f"mAP differs by {abs(map_torch - map_onnx):.3g} (limit {limits.max_map_difference:g})")
    return CloudVerdict(clouds, tuple(problems), network, boxes, ties, map_torch, map_onnx)


def _run_network(runtime: LidarDetector, model: CentreDetector, points: Tensor) -> list[Detections3D]:
    """Return the boxes of each group that the exported network gives for the pillars of PyTorch."""
    spec = model.spec
    pillars = group_points(points, torch.tensor([len(points)]), spec.grid, spec.max_points)
    sides = (pillars.points, pillars.pillar, pillars.counts, pillars.cells)
    answer = runtime.answer(Pillars(*(side.numpy() for side in sides)))
    found = [torch.from_numpy(values) for values in answer if values is not None]
    return [Detections3D(*rows) for rows in zip(*(values.chunk(len(spec.groups)) for values in found), strict=True)]


def _compare_networks(
    model: CentreDetector, raw: CentreRaw, place: int, exported: Sequence[Detections3D], limits: CloudExportConfig
) -> CloudAgreement:
    """Compare the boxes among which is chosen in one cloud of a batch, group by group.

    Of boxes that score too low to be chosen the scores alone count. A box without counterpart is a borderline case if
    its score is within the limit of what the other engine leaves out: below the threshold, or below the last one of its
    list.
    """
    threshold, margin = model.postprocess.score_threshold, limits.max_score_difference
    total = CloudAgreement()
    for group, (maps, theirs) in enumerate(zip(raw.groups, exported, strict=True)):
        maps = {name: values[place : place + 1] for name, values in maps.items()}
        ours = Detections3D(*(row[0] for row in candidates(maps, model.spec, group, len(theirs))))
        total += CloudAgreement(score_difference=float((ours.scores - theirs.scores).abs().max()))
        likely = ours.scores > threshold - margin
        sure = _lead(maps[HEAT_MAP], len(ours)) > margin
        our_floor, their_floor = (max(threshold, float(side.scores.min())) + margin for side in (theirs, ours))
        kept = _some(theirs, theirs.scores > threshold - margin)
        total += compare(_some(ours, likely), kept, (our_floor, their_floor), sure[likely])
    return total


def _lead(logits: Tensor, count: int) -> Tensor:
    """Return by how much the class of each box outscores the next one of its group, (D,).

    Args:
        logits: (1,K,H,W) the heat map of a group.
        count: How many boxes there are.
    """
    probs = logits.float().sigmoid().flatten(2)[0]
    best, next_best = torch.cat([probs, probs.new_full((1, probs.shape[1]), -torch.inf)]).topk(2, dim=0).values
    lead: Tensor = (best - next_best)[best.topk(count).indices]
    return lead


def _some(found: Detections3D, which: Tensor) -> Detections3D:
    velocities = None if found.velocities is None else found.velocities[which]
    return Detections3D(found.boxes[which], found.scores[which], found.labels[which], velocities)


def _chosen(model: CentreDetector, exported: Sequence[Detections3D]) -> Detections3D:
    """Return what PyTorch chooses among the boxes of the exported network, group by group."""
    chosen = [choose(found, model.postprocess, group) for group, found in enumerate(exported)]
    velocities = [part.velocities for part in chosen if part.velocities is not None]
    return Detections3D(
        torch.cat([part.boxes for part in chosen]),
        torch.cat([part.scores for part in chosen]),
        torch.cat([part.labels for part in chosen]),
        torch.cat(velocities) if velocities else None,
    )


def _run(runtime: LidarDetector, points: Tensor) -> Detections3D:
    """Return the runtime's detections."""
    found = runtime.detect(points.numpy())
    boxes, scores, labels = map(torch.from_numpy, (found.boxes, found.scores, found.labels))
    return Detections3D(boxes, scores, labels, None if found.velocities is None else torch.from_numpy(found.velocities))
