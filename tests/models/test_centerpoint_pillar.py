import pytest
import torch
from pydantic import ValidationError

from limbeck.core.samples import Batch, Boxes3D, Frame
from limbeck.errors import ConfigError, IncompatibleError
from limbeck.models.centerpoint_pillar import CenterpointPillar
from limbeck.ops.boxes3d import bev_iou

WAYMO = ("vehicle", "pedestrian", "cyclist")
NUSCENES = (
    ("car",),
    ("truck", "construction_vehicle"),
    ("bus", "trailer"),
    ("barrier",),
    ("motorcycle", "bicycle"),
    ("pedestrian", "traffic_cone"),
)
ON_NUSCENES = {
    "range": (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0),
    "pillar": (0.2, 0.2),
    "strides": (2, 2, 2),
    "up_strides": (0.5, 1, 2),
    "groups": NUSCENES,
    "velocity": True,
}


def build(classes=WAYMO, **settings):
    with torch.device("meta"):
        return CenterpointPillar(CenterpointPillar.Config(point_features=5, **settings), classes)


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("width", "total", "neck"), [(1, 5224011, 4806400), (0.5, 1519307, 1212288), (0.25, 560139, 308416)]
)
def test_parameters_are_those_of_the_release_for_waymo(width, total, neck):
    model = build(width=width)
    assert (count(model), count(model.neck), count(model.pillars)) == (total, neck, 4608)
    assert model.spec.map_hw == (468, 468)


@pytest.mark.parametrize(("width", "total"), [(1, 5988998), (0.5, 2597638), (0.25, 1716806)])
def test_parameters_are_those_of_the_release_for_nuscenes(width, total):
    model = build(tuple(name for group in NUSCENES for name in group), width=width, **ON_NUSCENES)
    assert count(model) == total
    assert model.spec.map_hw == (128, 128)
    assert model.spec.cell_xy == (0.8, 0.8)
    assert model.spec.groups[1] == {"hm": 2, "reg": 2, "height": 1, "dim": 3, "vel": 2, "rot": 2}


def test_losses_fall_every_parameter_learns_and_the_objects_are_found(make_lidar_detector, make_clouds):
    model, batch = make_lidar_detector(postprocess={"score_threshold": 0.3, "nms_iou": 0.2}).train(), make_clouds()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    totals = []
    for _ in range(150):
        raw = model(batch)
        total = sum(model.losses(raw, model.assign(raw, batch), batch).values())
        optimizer.zero_grad()
        total.backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.05 * totals[0]
    model.eval()
    for found, target in zip(model.predict(model(batch), batch), batch.targets, strict=True):
        assert found.labels.sort().values.tolist() == [0, 1]
        assert bev_iou(found.boxes, target.boxes).amax(dim=1).min() > 0.4


def test_a_cloud_answers_alone_as_it_does_in_a_batch(make_lidar_detector, make_clouds):
    model, batch = make_lidar_detector().eval(), make_clouds(3)
    together = model(batch).groups[0]["hm"]
    start = int(batch.counts[0])
    alone = {"points": batch.points[start : start + int(batch.counts[1])], "counts": batch.counts[1:2]}
    found = model(Batch(alone, batch.targets[1:2], batch.frames[1:2])).groups[0]["hm"]
    torch.testing.assert_close(found[0], together[1])


def test_the_order_of_the_points_does_not_matter_below_the_limit(make_lidar_detector, make_clouds):
    model, batch = make_lidar_detector(max_points=1000).eval(), make_clouds(1)
    before = model(batch).groups[0]["hm"]
    batch.inputs["points"] = batch.points[torch.randperm(len(batch.points))]
    torch.testing.assert_close(model(batch).groups[0]["hm"], before)


def test_clouds_without_a_point_and_without_an_object_are_answered_and_learnt(make_lidar_detector):
    model = make_lidar_detector().train()
    nothing = Boxes3D(torch.zeros(0, 7), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool))
    inputs = {"points": torch.zeros(1, 4), "counts": torch.tensor([0, 1])}
    batch = Batch(inputs, [nothing, nothing], [Frame("a", "a"), Frame("b", "b")])
    raw = model(batch)
    losses = model.losses(raw, model.assign(raw, batch), batch)
    assert losses["boxes"] == 0
    sum(losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    model.eval()
    empty = Batch({"points": torch.zeros(0, 4), "counts": torch.tensor([0])}, [nothing], [Frame("a", "a")])
    assert len(model.predict(model(empty), empty)) == 1


@pytest.mark.parametrize(("intensity", "change"), [("tanh", torch.tanh), ("byte", lambda value: value / 255)])
def test_the_intensity_is_brought_to_one(intensity, change, make_lidar_detector, make_clouds):
    raw, scaled = make_lidar_detector().eval(), make_lidar_detector(intensity=intensity).eval()
    batch, changed = make_clouds(), make_clouds()
    changed.inputs["points"][:, 3] = change(changed.points[:, 3])
    torch.testing.assert_close(scaled(batch).groups[0]["hm"], raw(changed).groups[0]["hm"])


def test_velocities_are_learnt_where_they_are_known(make_lidar_detector, make_clouds):
    model, batch = make_lidar_detector(velocity=True), make_clouds(velocities=True)
    assert model.code_weights == (1, 1, 1, 1, 1, 1, 0.2, 0.2, 1, 1)
    raw = model(batch)
    known = model.losses(raw, model.assign(raw, batch), batch)["boxes"]
    for target in batch.targets:
        target.velocities = None
    unknown = model.losses(raw, model.assign(raw, batch), batch)["boxes"]
    assert 0 < unknown < known
    found = model.predict(raw, batch)[0]
    assert found.velocities.shape == (len(found), 2)


def test_points_with_other_values_are_refused(make_lidar_detector, make_clouds):
    with pytest.raises(IncompatibleError, match="reads 5 values of a point and the data gives 4"):
        make_lidar_detector(point_features=5)(make_clouds())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"depths": (3, 5)}, "strides has 3, depths has 2"),
        ({"up_strides": (1, 2, 2)}, r"end at different resolutions, at \[1.0, 1.0, 2.0\]"),
        ({"strides": (1, 3, 1), "up_strides": (0.4, 1.2, 1.2)}, "whole numbers or 1 over a whole number"),
    ],
)
def test_blocks_that_do_not_meet_are_refused(settings, sentence):
    with pytest.raises(ValidationError, match=sentence):
        CenterpointPillar.Config(**settings)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"range": (0, 0, 0, 1, 1, 1)}, "x from 0.0 to 1.0 is no whole number of pillars of 0.32 m"),
        ({"range": (0, 0, 0, 0.96, 0.96, 1), "strides": (2, 2, 2)}, "3 x 3 pillars are no whole number of cells of 2"),
        ({"groups": (("vehicle",), ("pedestrian",))}, "the class 'cyclist' is in none"),
        ({"groups": (WAYMO, ("vehicle",))}, "the class 'vehicle' is there twice"),
        ({"groups": (("vehicle", "pedestrian", "cyclis"),)}, r"'cyclis' is no class \(did you mean 'cyclist'"),
    ],
)
def test_a_grid_or_groups_that_do_not_fit_are_refused(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build(**settings)
