"""Which cell answers for which object: peaks, places, codes, and what is left out."""

import math

import pytest
import torch

from limbeck.core.centre import CentreSpec
from limbeck.core.centre_targets import Peaks, assign_group
from limbeck.core.samples import Boxes3D
from limbeck.ops.centre import decode_boxes, draw_peaks, gaussian_radius
from limbeck.ops.pillars import PillarGrid

BRANCHES = {"reg": 2, "height": 1, "dim": 3, "rot": 2}
WIDTH, HEIGHT = 24, 16
"""Cells of 1 m x 0.5 m from x = -4 and y = -3 on."""


def spec(class_groups=((0, 1, 2),), velocity=False):
    branches = BRANCHES | ({"vel": 2} if velocity else {})
    return CentreSpec(
        task="detection3d",
        classes=("car", "van", "post"),
        inputs=("points",),
        channels=(4,),
        strides=(2,),
        mean=(),
        std=(),
        grid=PillarGrid((-4.0, -3.0, -1.0, 20.0, 5.0, 3.0), (0.5, 0.25)),
        point_features=4,
        max_points=20,
        stride=2,
        groups=tuple({"hm": len(group), **branches} for group in class_groups),
        class_groups=class_groups,
        max_objects=500,
    )


def scene(*objects, ignore=(), velocities=None):
    """Boxes at (x, y) of the labels given."""
    boxes = [[x, y, 0.5, 4.0, 2.0, 1.5, 0.3] for x, y, _ in objects]
    marks = torch.zeros(len(objects), dtype=torch.bool)
    marks[list(ignore)] = True
    labels = torch.tensor([label for *_, label in objects], dtype=torch.int64)
    return Boxes3D(torch.tensor(boxes).view(-1, 7), labels, marks, velocities)


def random_scene(count=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(count, 7, generator=generator)
    low, high = torch.tensor([-4.0, -3, -1, 0.3, 0.3, 0.3, -9]), torch.tensor([20.0, 5, 3, 6, 3, 3, 9])
    labels = torch.randint(0, 3, (count,), generator=generator)
    return Boxes3D(low + (high - low) * unit, labels, torch.zeros(count, dtype=torch.bool))


def test_codes_decode_to_the_boxes_in_the_order_of_their_classes():
    target = random_scene()
    found = assign_group([target], spec(), 0, Peaks())
    assert found.mask.sum() == found.count == 40
    assert found.mask[0, :40].all()
    order = target.labels.argsort(stable=True)
    assert found.labels[0, :40].tolist() == target.labels[order].tolist()
    decoded = decode_boxes(found.codes[0, :40], found.index[0, :40], WIDTH, (1.0, 0.5), (-4.0, -3.0))
    expected = target.boxes[order]
    torch.testing.assert_close(decoded[:, :6], expected[:, :6], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(decoded[:, 6].cos(), expected[:, 6].cos(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(decoded[:, 6].sin(), expected[:, 6].sin(), rtol=1e-4, atol=1e-4)


def test_every_object_has_a_peak_of_exactly_1_in_its_cell_and_class():
    found = assign_group([random_scene(), random_scene(seed=1)], spec(), 0, Peaks())
    maps = found.heat_map.flatten(2)
    for sample in range(2):
        at_objects = maps[sample, found.labels[sample], found.index[sample]][found.mask[sample]]
        assert (at_objects == 1).all()
    assert found.heat_map.shape == (2, 3, HEIGHT, WIDTH)
    assert found.heat_map.dtype == torch.float32
    assert found.heat_map.max() == 1


def test_peaks_are_as_wide_as_the_objects():
    target = random_scene(12)
    found = assign_group([target], spec(), 0, Peaks(overlap=0.3, min_radius=1))
    radii = gaussian_radius(target.boxes[:, 3] / 1.0, target.boxes[:, 4] / 0.5, 0.3).int().clamp(min=1).long()
    cells = ((target.boxes[:, :2] - torch.tensor([-4.0, -3.0])) / torch.tensor([1.0, 0.5])).long()
    expected = draw_peaks((3, HEIGHT, WIDTH), target.labels, cells, radii).float()
    torch.testing.assert_close(found.heat_map[0], expected)
    assert radii.max() > 1


def test_a_small_object_has_the_least_radius():
    target = scene((8.5, 1.25, 0))
    target.boxes[:, 3:5] = 0.1
    for least, cells in ((0, 1), (1, 9), (2, 25)):
        found = assign_group([target], spec(), 0, Peaks(min_radius=least))
        assert (found.heat_map > 0).sum() == cells


def test_an_ignored_object_has_a_peak_and_no_place():
    target = scene((2.5, 0.25, 0), (8.5, 1.25, 0), (14.5, 2.25, 2), ignore=[1])
    found = assign_group([target], spec(), 0, Peaks())
    assert (found.heat_map == 1).nonzero()[:, 1:].tolist() == [[0, 6, 6], [0, 8, 12], [2, 10, 18]]
    assert found.mask[0].nonzero()[:, 0].tolist() == [0, 1]
    assert found.index[0, :2].tolist() == [6 * WIDTH + 6, 10 * WIDTH + 18]
    assert found.count == 2


@pytest.mark.parametrize(
    "place", [(-5.01, 1), (20, 1), (25, 1), (3, -3.51), (3, 5), (-99, -99)], ids=lambda place: f"{place}"
)
def test_an_object_beyond_the_map_leaves_its_place_empty(place):
    found = assign_group([scene((2.5, 0.25, 0), (*place, 0), (8.5, 1.25, 0))], spec(), 0, Peaks())
    assert found.mask[0].nonzero()[:, 0].tolist() == [0, 2]
    assert (found.heat_map == 1).sum() == 2
    assert found.count == 2


def test_a_centre_within_a_cell_before_the_map_belongs_to_the_first_cell():
    """Cells are cut towards zero, as in the released code."""
    found = assign_group([scene((-4.4, 1.0, 0))], spec(), 0, Peaks())
    assert found.index[0, 0] == 8 * WIDTH
    assert found.codes[0, 0, 0].item() == pytest.approx(-0.4, abs=1e-5)


@pytest.mark.parametrize("side", [3, 4])
def test_an_object_without_length_or_width_is_left_out(side):
    target = scene((2.5, 0.25, 0), (8.5, 1.25, 0))
    target.boxes[0, side] = 0
    found = assign_group([target], spec(), 0, Peaks())
    assert found.mask[0].nonzero()[:, 0].tolist() == [1]
    assert found.heat_map.isfinite().all()
    assert found.codes.isfinite().all()
    assert (found.heat_map == 1).sum() == 1


def test_each_group_has_its_own_classes():
    target = scene((2.5, 0.25, 2), (8.5, 1.25, 0), (14.5, 2.25, 1))
    groups = spec(((2, 0), (1,)))
    first, second = (assign_group([target], groups, number, Peaks()) for number in range(2))
    assert first.heat_map.shape == (1, 2, HEIGHT, WIDTH)
    assert first.labels[0, :2].tolist() == [0, 1], "in the order of the classes of the group: post, then car"
    assert first.index[0, :2].tolist() == [6 * WIDTH + 6, 8 * WIDTH + 12]
    assert second.heat_map.shape == (1, 1, HEIGHT, WIDTH)
    assert second.index[0, :1].tolist() == [10 * WIDTH + 18]
    assert (first.count, second.count) == (2, 1)


def test_more_objects_than_places():
    found = assign_group([random_scene(40)], spec(), 0, Peaks(max_objects=10))
    assert found.mask.shape == (1, 10)
    assert found.mask.all()
    assert found.count == 10


def test_velocities_stand_before_the_rotation_and_are_unknown_where_the_data_has_none():
    known = torch.tensor([[1.0, 2.0], [torch.nan, torch.nan]])
    target = scene((2.5, 0.25, 0), (8.5, 1.25, 0), velocities=known)
    codes = assign_group([target], spec(velocity=True), 0, Peaks()).codes[0]
    assert codes.shape[1] == 10
    assert codes[0, 6:8].tolist() == [1, 2]
    assert codes[1, 6:8].isnan().all()
    assert codes[0, 8:].tolist() == pytest.approx([math.sin(0.3), math.cos(0.3)])
    without = assign_group([scene((2.5, 0.25, 0))], spec(velocity=True), 0, Peaks()).codes[0]
    assert without[0, 6:8].isnan().all()
    assert not without[1:].any(), "empty places hold 0"


def test_samples_do_not_mix():
    one, other = random_scene(10), random_scene(7, seed=1)
    both = assign_group([one, scene(), other], spec(), 0, Peaks())
    for number, target in enumerate((one, scene(), other)):
        alone = assign_group([target], spec(), 0, Peaks())
        for name in ("heat_map", "index", "mask", "labels", "codes"):
            torch.testing.assert_close(getattr(both, name)[number], getattr(alone, name)[0])
    assert both.count == 17


def test_a_batch_without_objects():
    found = assign_group([scene(), scene()], spec(), 0, Peaks())
    assert not found.heat_map.any()
    assert not found.mask.any()
    assert found.count == 0
