"""Views of point clouds: plain ones as the files are, augmented ones a pure function of the seed and the draw."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from limbeck.data.cloud_config import CloudAugment
from limbeck.data.detection3d import CloudViews, collate
from limbeck.data.views import Draw
from limbeck.errors import ConfigError

STRONG = CloudAugment(flip_front_back=0.5, rotation=3.0, scale=(0.8, 1.2), dropout=0.3, paste={"post": 1})


def same(a, b):
    return (
        torch.equal(a.points, b.points)
        and torch.equal(a.objects.boxes, b.objects.boxes)
        and torch.equal(a.objects.labels, b.objects.labels)
    )


def test_a_plain_view_is_what_the_files_say(clouds):
    data = clouds.read()
    views = CloudViews(data)
    assert len(views) == 2
    for index, name in enumerate(("a.bin", "b.npy")):
        sample, path = views[Draw(0, index)], clouds.cloud(name)
        points = np.load(path) if path.suffix == ".npy" else np.fromfile(path, "<f4").reshape(-1, 4)
        np.testing.assert_array_equal(sample.points.numpy(), points)
        assert sample.points.dtype == torch.float32
        assert sample.objects.boxes.tolist() == data.records[index].boxes.tolist()
        assert sample.objects.labels.tolist() == data.records[index].labels.tolist()
        assert sample.objects.velocities is None
        assert (sample.frame.id, sample.frame.path, sample.frame.fit) == (name[0], path, None)


def test_every_plain_view_is_the_same(clouds):
    views = CloudViews(clouds.read())
    assert same(views[Draw(0, 1)], views[Draw(7, 1, 3)])


def test_the_views_have_the_values_that_are_asked_for(clouds):
    clouds.settings["features"] = ["x", "y", "z"]
    assert CloudViews(clouds.read())[Draw(0, 0)].points.shape == (500, 3)


def test_far_and_empty_objects_are_marked(clouds):
    clouds.write_boxes(clouds.car(), clouds.car(centre=[90, 0, 0]), clouds.post(centre=[0, 0, 50]))
    data = clouds.read()
    assert CloudViews(data, min_points=0)[Draw(0, 0)].objects.ignore.tolist() == [False] * 3
    assert CloudViews(data)[Draw(0, 0)].objects.ignore.tolist() == [False, True, True]
    marked = CloudViews(data, max_range={"car": 4.0}, min_points=0)[Draw(0, 0)].objects
    assert marked.ignore.tolist() == [True, True, False]
    assert not marked.is_empty


def test_a_cloud_without_objects(clouds):
    clouds.write_boxes()
    sample = CloudViews(clouds.read(), augment=STRONG.model_copy(update={"paste": {}}))[Draw(0, 0)]
    assert sample.objects.boxes.shape == (0, 7)
    assert sample.objects.is_empty


def test_a_view_depends_on_the_seed_and_the_draw_alone(clouds):
    data = clouds.read()
    draw = Draw(3, 1, 2)
    views = CloudViews(data, augment=STRONG, seed=5)
    first = views[draw]
    for other in (Draw(0, 0), Draw(9, 1)):
        _ = views[other]
    assert same(first, views[draw])
    assert same(first, CloudViews(data, augment=STRONG, seed=5)[draw])
    others = [
        CloudViews(data, augment=STRONG, seed=6)[draw],
        *(views[other] for other in (Draw(4, 1, 2), Draw(3, 0, 2), Draw(3, 1, 3))),
    ]
    assert not any(same(first, other) for other in others)


def test_views_of_two_threads_are_those_of_one(clouds):
    views = CloudViews(clouds.read(), augment=STRONG, seed=5)
    draws = [Draw(view, index) for view in range(8) for index in range(2)]
    alone = [views[draw] for draw in draws]
    with ThreadPoolExecutor(4) as pool:
        assert all(same(*pair) for pair in zip(alone, pool.map(views.__getitem__, draws), strict=True))


def test_an_augmented_view_leaves_the_records_as_they_are(clouds):
    data = clouds.read()
    before = [record.boxes.copy() for record in data.records]
    views = CloudViews(data, augment=STRONG)
    for view in range(5):
        views[Draw(view, 0)]
    for record, boxes in zip(data.records, before, strict=True):
        np.testing.assert_array_equal(record.boxes, boxes)


def test_objects_are_pasted_from_the_other_clouds_of_the_part(clouds):
    points = np.random.default_rng(1).uniform(-0.2, 0.2, (40, 4)) + np.array([-5, 2, 0, 0])
    clouds.write_cloud(np.concatenate([points, np.full((5, 4), 50.0)]).astype(np.float32), "b.npy")
    clouds.write_boxes(clouds.car())
    off = {"flip_left_right": 0, "flip_front_back": 0, "rotation": 0, "scale": (1.0, 1.0)}
    views = CloudViews(clouds.read(), augment=CloudAugment(**off, paste={"post": 1}))
    found = [views[Draw(view, 0)].objects for view in range(6)]
    assert {len(objects) for objects in found} >= {2}
    pasted = next(objects for objects in found if len(objects) == 2)
    assert pasted.labels.tolist() == [0, 1]
    assert pasted.boxes[1, :3].tolist() == [-5, 2, 0]
    assert not pasted.ignore.any()


def test_pasting_of_a_class_that_there_is_not(clouds):
    with pytest.raises(ConfigError, match=r"no class is called 'pots' \(did you mean 'post'"):
        CloudViews(clouds.read(), augment=CloudAugment(paste={"pots": 2, "car": 1}))


def test_a_batch_holds_the_points_of_all_one_after_the_other(clouds):
    views = CloudViews(clouds.read(), augment=STRONG)
    samples = [views[Draw(0, 0)], views[Draw(0, 1)]]
    batch = collate(samples)
    assert batch.counts.tolist() == [len(sample.points) for sample in samples]
    assert batch.counts.dtype == torch.int64
    for part, sample in zip(batch.points.split(batch.counts.tolist()), samples, strict=True):
        assert torch.equal(part, sample.points)
    assert [frame.id for frame in batch.frames] == ["a", "b"]
    assert len(batch.targets) == len(batch) == 2
    assert batch.to("cpu").points.shape == batch.points.shape


def test_velocities_come_along(clouds):
    clouds.write_boxes(clouds.car(velocity=[1.0, 2.0]), clouds.post())
    views = CloudViews(clouds.read())
    found = views[Draw(0, 0)].objects.velocities
    assert found[0].tolist() == [1, 2]
    assert found[1].isnan().all()
    assert views[Draw(0, 1)].objects.velocities.isnan().all()
