from dataclasses import fields

import numpy as np
import pytest
import torch

from limbeck.data.lidar.config import LidarSceneConfig, RoadUser
from limbeck.data.lidar.scenes import lidar_scene
from limbeck.ops.boxes3d import corners_bev, points_in_boxes

EXACT = LidarSceneConfig(range_noise=0.0, dropout=0.0)


def same(one, other):
    return all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))


def inside(scene, margin=0.0):
    return points_in_boxes(torch.from_numpy(scene.points), torch.from_numpy(scene.boxes), margin).numpy()


def test_one_seed_gives_the_same_bits_and_another_another_scene():
    assert same(lidar_scene(3), lidar_scene(3))
    one, other = lidar_scene((3, 0, 1)), lidar_scene((3, 0, 2))
    assert not np.array_equal(one.boxes, other.boxes)
    assert not np.array_equal(one.points[:1000], other.points[:1000])


def test_what_a_scene_is_made_of():
    scene = lidar_scene(0)
    assert (scene.points.dtype, scene.boxes.dtype, scene.velocities.dtype) == (np.float32,) * 3
    assert (scene.labels.dtype, scene.num_points.dtype) == (np.int64, np.int64)
    count = len(scene.labels)
    assert (scene.boxes.shape, scene.velocities.shape, scene.num_points.shape) == ((count, 7), (count, 2), (count,))
    assert scene.points.shape[1] == 4
    assert np.isfinite(scene.points).all()
    assert 0 <= scene.points[:, 3].min() <= scene.points[:, 3].max() <= 1
    assert np.abs(np.median(scene.points[:, 2]) + 1.8) < 0.5, "most of it is ground"
    assert (np.linalg.norm(scene.points[:, :3], axis=1) < 60.3).all()


def test_a_frame_has_about_20_thousand_points():
    assert 18_000 < np.mean([len(lidar_scene(seed).points) for seed in range(5)]) < 23_000


@pytest.mark.parametrize("seed", range(5))
def test_without_noise_the_points_of_an_object_are_in_its_box_and_no_others_but_ground(seed):
    scene = lidar_scene(seed, EXACT)
    for number, found in enumerate(inside(scene, margin=1e-3).T):
        assert found.sum() >= scene.num_points[number]
        is_above = scene.points[:, 2] > scene.boxes[number, 2] - scene.boxes[number, 5] / 2 + 0.15
        assert (found & is_above).sum() <= scene.num_points[number]


def test_objects_without_a_point_stay():
    scenes = [lidar_scene(seed) for seed in range(15)]
    counts = np.concatenate([scene.num_points for scene in scenes])
    labels = np.concatenate([scene.labels for scene in scenes])
    for label in RoadUser:
        mine = counts[labels == label]
        assert 0.01 < (mine == 0).mean() < 0.4
        assert (mine >= 5).mean() > 0.4
    boxes = torch.from_numpy(np.concatenate([scene.boxes for scene in scenes]))
    assert corners_bev(boxes).norm(dim=-1).max() <= 60 + 1e-3


def test_what_is_near_has_more_points():
    scenes = [lidar_scene(seed) for seed in range(10)]
    boxes = np.concatenate([scene.boxes[scene.labels == RoadUser.CAR] for scene in scenes])
    counts = np.concatenate([scene.num_points[scene.labels == RoadUser.CAR] for scene in scenes])
    away = np.hypot(boxes[:, 0], boxes[:, 1])
    assert np.median(counts[away < 12]) > 10 * np.median(counts[(away > 25) & (counts > 0)])


def test_another_sensor_sees_the_same_street():
    one = lidar_scene(5)
    other = lidar_scene(5, LidarSceneConfig(rings=64, range_noise=0.1, dropout=0.3, azimuth_step=0.4))
    for name in ("boxes", "labels", "velocities"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert other.num_points.sum() > 1.5 * one.num_points.sum()


def test_a_front_sector_has_its_points_and_objects_ahead():
    scene = lidar_scene(0, LidarSceneConfig(field_of_view=90.0))
    azimuths = np.degrees(np.arctan2(scene.points[:, 1], scene.points[:, 0]))
    assert np.abs(azimuths).max() <= 45
    assert 3000 < len(scene.points) < 7000
    assert (scene.boxes[:, 0] > 0).all()


def test_a_street_without_an_object():
    none = (0, 0)
    scene = lidar_scene(0, LidarSceneConfig(cars=none, pedestrians=none, cyclists=none))
    assert (scene.boxes.shape, scene.velocities.shape, scene.num_points.shape) == ((0, 7), (0, 2), (0,))
    assert len(scene.points) > 10_000
