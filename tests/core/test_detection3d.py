"""What LiDAR detectors with a centre head share: from objects to losses, and from maps back to boxes."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from limbeck.core.centre import CentreRaw, CentreSpec, box_codes
from limbeck.core.centre_targets import Peaks
from limbeck.core.detection3d import CentreDetector, Postprocess3D, candidates, choose
from limbeck.core.outputs import Detections3D
from limbeck.core.samples import Batch, Boxes3D, Frame
from limbeck.errors import IncompatibleError
from limbeck.losses.centre import code_l1, heat_map_focal, heat_map_probs
from limbeck.ops.boxes3d import bev_iou, circle_nms, rotated_nms
from limbeck.ops.pillars import PillarGrid

BRANCHES = {"reg": 2, "height": 1, "dim": 3, "rot": 2}
NX, NY = 24, 16


def spec(velocity=False):
    branches = BRANCHES | ({"vel": 2} if velocity else {})
    return CentreSpec(
        task="detection3d",
        classes=("car", "van", "post"),
        inputs=("points",),
        channels=(4,),
        strides=(1,),
        mean=(),
        std=(),
        grid=PillarGrid((-4.0, -3.0, -1.0, 20.0, 13.0, 3.0), (1.0, 1.0)),
        point_features=4,
        max_points=20,
        stride=1,
        groups=({"hm": 2, **branches}, {"hm": 1, **branches}),
        class_groups=((2, 0), (1,)),
        max_objects=50,
    )


class Counting(CentreDetector):
    """A detector whose map seen from above holds the number of points of each pillar."""

    def __init__(self, velocity=False, **postprocess):
        super().__init__()
        self.spec = spec(velocity)
        self.peaks = Peaks(min_radius=1)
        self.postprocess = Postprocess3D(**postprocess)
        self.box_weight = 2.0
        self.code_weights = (1, 1, 1, 1, 1, 1, *((0.2, 0.2) if velocity else ()), 1, 1)

    def map_view(self, pillars, batch_size):
        canvas = torch.zeros(batch_size * NX * NY)
        canvas[pillars.cells] = pillars.counts.float()
        return canvas.view(batch_size, 1, NY, NX)

    def head(self, features, batch):
        raise NotImplementedError


def objects(*labels, apart=5.0, seed=0):
    """Boxes on a line that do not overlap."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(len(labels), 7, generator=generator)
    boxes = torch.tensor([-2.0, 0, 0, 1, 1, 1, -3]) + torch.tensor([1.0, 9, 1, 1, 1, 1, 6]) * unit
    boxes[:, 0] += apart * torch.arange(len(labels))
    return Boxes3D(boxes, torch.tensor(labels, dtype=torch.int64), torch.zeros(len(labels), dtype=torch.bool))


def batch_of(*targets, points=None):
    counts = (
        torch.tensor([len(points) // len(targets)] * len(targets)) if points is not None else torch.zeros(len(targets))
    )
    inputs = {"points": torch.zeros(0, 4) if points is None else points, "counts": counts.long()}
    return Batch(inputs, list(targets), [Frame(str(n), Path(f"{n}.npy")) for n in range(len(targets))])


def noise(model, batch_size=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    groups = [
        {name: torch.randn(batch_size, size, NY, NX, generator=generator) for name, size in group.items()}
        for group in model.spec.groups
    ]
    return CentreRaw([torch.zeros(batch_size, 4, NY, NX)], groups)


def perfect(model, batch):
    """The maps of a head that has learnt all about a batch."""
    raw = noise(model, len(batch))
    for maps, targets in zip(raw.groups, model.assign(raw, batch).groups, strict=True):
        maps["hm"] = torch.where(targets.heat_map == 1, 5.0, -9.0)
        place = 0
        for name in ("reg", "height", "dim", "vel", "rot"):
            if name in maps:
                size = maps[name].shape[1]
                for sample in range(len(batch)):
                    there = targets.mask[sample]
                    cells = targets.index[sample, there]
                    maps[name].flatten(2)[sample][:, cells] = targets.codes[sample, there, place : place + size].T
                place += size
    return raw


def test_the_map_is_made_of_the_points_of_the_batch():
    points = torch.tensor([[0.5, 0.5, 0, 1], [0.6, 0.6, 0, 1], [9, 9, 0, 1], [9, 9, 99, 1]])
    (found,) = Counting().features(batch_of(objects(0), objects(0), points=points))
    assert found.shape == (2, 1, NY, NX)
    assert found.nonzero().tolist() == [[0, 0, 3, 4], [1, 0, 12, 13]]
    assert found[0, 0, 3, 4] == 2


def test_points_with_other_values_are_refused():
    with pytest.raises(IncompatibleError, match="reads 4 values of a point and the data gives 5; see point_features"):
        Counting().features(batch_of(objects(0), points=torch.zeros(3, 5)))


def test_objects_are_assigned_group_by_group():
    model = Counting()
    found = model.assign(noise(model), batch_of(objects(0, 1, 2), objects(1, 1)))
    assert [int(group.count) for group in found.groups] == [2, 3]
    assert found.normaliser == 5
    assert [group.heat_map.shape[1] for group in found.groups] == [2, 1]
    assert model.assign(noise(model), batch_of(objects(), objects())).normaliser == 1


@pytest.mark.parametrize("velocity", [False, True])
def test_losses_are_the_sums_over_the_groups(velocity):
    model = Counting(velocity)
    batch, raw = batch_of(objects(0, 1, 2), objects(1, 1)), noise(model)
    for target in batch.targets if velocity else ():
        target.velocities = torch.randn(len(target), 2)
    assignment = model.assign(raw, batch)
    heat = boxes = 0.0
    for maps, targets in zip(raw.groups, assignment.groups, strict=True):
        place = targets.index, targets.mask
        heat += heat_map_focal(heat_map_probs(maps["hm"]), targets.heat_map, *place, targets.labels, targets.count)
        rows = code_l1(box_codes(maps), targets.codes, *place, targets.count).tolist()
        boxes += sum(weight * row for weight, row in zip(model.code_weights, rows, strict=True))
    found = model.losses(raw, assignment, batch)
    assert list(found) == ["heat_map", "boxes"]
    assert found["heat_map"].item() == pytest.approx(heat.item())
    assert found["boxes"].item() == pytest.approx(2 * boxes)


def test_losses_of_a_perfect_head_are_nearly_zero_and_of_noise_are_not():
    model, batch = Counting(), batch_of(objects(0, 1, 2), objects(1, 1))
    raw = perfect(model, batch)
    good = model.losses(raw, model.assign(raw, batch), batch)
    bad = model.losses(noise(model), model.assign(raw, batch), batch)
    assert good["boxes"] < 1e-4 < 1 < bad["boxes"]
    assert good["heat_map"] < 1e-2 < 1 < bad["heat_map"]


def test_a_batch_without_objects_gives_finite_losses():
    model, batch = Counting(), batch_of(objects(), objects())
    raw = noise(model)
    found = model.losses(raw, model.assign(raw, batch), batch)
    assert found["boxes"] == 0
    assert found["heat_map"].isfinite()


@pytest.mark.parametrize("velocity", [False, True])
def test_a_perfect_head_gives_the_objects_back(velocity):
    model, batch = Counting(velocity), batch_of(objects(0, 1, 2, 1), objects(), objects(2, 2))
    for target in batch.targets if velocity else ():
        target.velocities = torch.randn(len(target), 2)
    for found, target in zip(model.predict(perfect(model, batch), batch), batch.targets, strict=True):
        assert len(found) == len(target)
        order = found.boxes[:, 0].argsort()  # the objects stand on a line along x
        torch.testing.assert_close(found.boxes[order], target.boxes, rtol=1e-4, atol=1e-4)
        assert found.labels[order].tolist() == target.labels.tolist()
        assert (found.velocities is None) == (not velocity)
        if velocity:
            torch.testing.assert_close(found.velocities[order], target.velocities)


def test_candidates_against_a_loop():
    model = Counting()
    maps = noise(model).groups[0]
    boxes, scores, labels = candidates(maps, model.spec, 0, 20)
    probs = maps["hm"].sigmoid()
    for sample in range(2):
        best = sorted(
            ((probs[sample, :, y, x].max().item(), y, x) for y in range(NY) for x in range(NX)), reverse=True
        )[:20]
        assert scores[sample].tolist() == pytest.approx([score for score, *_ in best])
        for place, (_, y, x) in enumerate(best):
            values = {name: side[sample, :, y, x].tolist() for name, side in maps.items()}
            assert labels[sample, place] == (2, 0)[values["hm"].index(max(values["hm"]))]
            expected = [
                x + values["reg"][0] - 4,
                y + values["reg"][1] - 3,
                *values["height"],
                *map(math.exp, values["dim"]),
                math.atan2(*values["rot"]),
            ]
            assert boxes[sample, place].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_there_are_no_more_candidates_than_cells():
    model = Counting()
    boxes, scores, labels = candidates(noise(model).groups[1], model.spec, 1, 10_000)
    assert boxes.shape == (2, NX * NY, 7)
    assert scores.shape == labels.shape == (2, NX * NY)
    assert set(labels.flatten().tolist()) == {1}
    assert (scores.diff(dim=1) <= 0).all()


def crowd(count=30, seed=0, velocities=False):
    """Detections of which many overlap, best first."""
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(count, 7, generator=generator) * torch.tensor([8, 8, 1, 3, 2, 1, 3])
    boxes[:, 3:6] += 1
    scores = torch.rand(count, generator=generator).sort(descending=True).values
    return Detections3D(boxes, scores, torch.arange(count), boxes[:, :2] + 1 if velocities else None)


@pytest.mark.parametrize("velocities", [False, True])
def test_what_is_left_after_rotated_suppression(velocities):
    found = crowd(velocities=velocities)
    kept = choose(found, Postprocess3D(score_threshold=0.3, nms_iou=0.2), 0)
    enough = found.scores > 0.3
    expected = rotated_nms(found.boxes[enough], found.scores[enough], 0.2)
    assert kept.labels.tolist() == found.labels[enough][expected].tolist()
    assert 1 < len(kept) < enough.sum()
    torch.testing.assert_close(kept.boxes, found.boxes[kept.labels])
    torch.testing.assert_close(kept.scores, found.scores[kept.labels])
    if velocities:
        torch.testing.assert_close(kept.velocities, found.velocities[kept.labels])
    overlaps = bev_iou(kept.boxes, kept.boxes).fill_diagonal_(0)
    assert overlaps.max() <= 0.2


def test_circles_of_each_group():
    found, settings = crowd(), Postprocess3D(score_threshold=0, nms="circle", circle=(1.0, 9.0))
    for group, squared in enumerate((1.0, 9.0)):
        kept = choose(found, settings, group).labels.tolist()
        assert kept == circle_nms(found.boxes, found.scores, squared).tolist()
    assert len(choose(found, settings, 1)) < len(choose(found, settings, 0))
    assert Postprocess3D().circle_of(3) == 4.0


def test_boxes_beyond_the_range_are_left_out():
    found = crowd()
    area = (1.0, 2.0, 0.2, 6.0, 7.0, 0.8)
    kept = choose(found, Postprocess3D(score_threshold=0, nms_iou=1, post_range=area), 0)
    inside = [all(area[k] <= value <= area[k + 3] for k, value in enumerate(box[:3])) for box in found.boxes.tolist()]
    assert kept.labels.tolist() == [place for place, there in enumerate(inside) if there]
    assert 0 < len(kept) < 30


def test_the_number_of_detections_is_limited_and_may_be_none():
    found = crowd()
    kept = choose(found, Postprocess3D(score_threshold=0, nms_iou=1, max_detections=4), 0)
    assert kept.labels.tolist() == [0, 1, 2, 3]
    nothing = choose(found, Postprocess3D(score_threshold=0.999), 0)
    assert len(nothing) == 0
    assert nothing.boxes.shape == (0, 7)


def test_a_better_box_that_is_left_out_suppresses_nothing():
    pair = torch.tensor([[0.0, 0, 5, 2, 2, 1, 0], [0, 0, 0, 2, 2, 1, 0]])
    found = Detections3D(pair, torch.tensor([0.9, 0.5]), torch.tensor([0, 1]))
    area = (-9.0, -9.0, -1.0, 9.0, 9.0, 1.0)
    assert choose(found, Postprocess3D(nms_iou=0.1, post_range=area), 0).labels.tolist() == [1]
    assert choose(found, Postprocess3D(nms_iou=0.1), 0).labels.tolist() == [0]


def test_the_groups_do_not_suppress_one_another_and_are_sorted_together():
    model = Counting(nms_iou=0.1)
    batch = batch_of(objects(0, 1))
    batch.targets[0].boxes[1, :2] = batch.targets[0].boxes[0, :2]
    raw = perfect(model, batch)
    raw.groups[1]["hm"] += 1
    (found,) = model.predict(raw, batch)
    assert found.labels.tolist() == [1, 0]
    assert (found.scores.diff() <= 0).all()


def test_settings_that_make_no_sense():
    for wrong in ({"score_threshold": 1.0}, {"nms": "soft"}, {"nms_iou": 0.0}, {"max_detections": 0}, {"other": 1}):
        with pytest.raises(ValidationError):
            Postprocess3D(**wrong)


def test_maps_of_16_bits_give_boxes_in_32():
    model, batch = Counting(), batch_of(objects(0, 2))
    raw = perfect(model, batch)
    half = replace(raw, groups=[{name: side.bfloat16() for name, side in maps.items()} for maps in raw.groups])
    (found,), (full,) = model.predict(half, batch), model.predict(raw, batch)
    assert found.boxes.dtype == found.scores.dtype == torch.float32
    assert found.labels.tolist() == full.labels.tolist()
    torch.testing.assert_close(found.boxes, full.boxes, rtol=0.02, atol=0.05)
