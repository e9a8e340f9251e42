import numpy as np
import pytest

from limbeck.data.street.config import Label, StreetConfig
from limbeck.data.street.scenes import render_scene
from limbeck.data.street.sensor import RANGE_M

SMALL = StreetConfig(width=128, height=96)


def same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("image", "depth", "labels"))


def test_one_seed_gives_the_same_bits_and_another_another_street():
    assert same(render_scene(3, SMALL), render_scene(3, SMALL))
    one, other = render_scene((3, 0, 1), SMALL), render_scene((3, 0, 2), SMALL)
    assert (one.labels != other.labels).mean() > 0.1
    assert not np.array_equal(one.depth, other.depth)


def test_what_a_scene_is_made_of():
    scene = render_scene(0)
    assert (scene.image.shape, scene.image.dtype) == ((256, 416, 3), np.uint8)
    assert (scene.depth.shape, scene.depth.dtype) == ((256, 416), np.float32)
    assert (scene.labels.shape, scene.labels.dtype) == ((256, 416), np.uint8)
    assert scene.camera == StreetConfig().camera


def test_every_class_is_seen():
    seen = [np.bincount(render_scene(seed, SMALL).labels.ravel(), minlength=len(Label)) > 0 for seed in range(15)]
    assert (np.mean(seen, axis=0) > 0.5).all()
    assert np.array(seen)[:, [Label.ROAD, Label.SIDEWALK, Label.BUILDING, Label.SKY]].mean() > 0.95


@pytest.mark.parametrize("seed", range(4))
def test_the_road_is_a_plane_and_the_sky_has_no_depth(seed):
    scene = render_scene(seed, SMALL)
    rows, columns = np.nonzero((scene.labels == Label.ROAD) & (scene.depth > 0))
    z, camera = scene.depth[rows, columns].astype(float), scene.camera
    x, y = (columns - camera.cx) / camera.fx * z, (rows - camera.cy) / camera.fy * z
    points = np.stack([x, y, z], axis=1)
    plane = np.linalg.lstsq(points, np.ones(len(z)), rcond=None)[0]
    normal, height = plane / np.linalg.norm(plane), 1 / np.linalg.norm(plane)
    assert np.abs(points @ normal - height).max() < 1e-4
    assert height == pytest.approx(1.5, abs=0.11)
    assert normal[1] > 0.98
    assert (scene.depth[scene.labels == Label.SKY] == 0).all()
    solid = scene.depth[scene.labels != Label.SKY]
    assert (solid > 0).mean() > 0.9
    assert solid.max() <= RANGE_M


def test_night_and_fog_leave_the_street_as_it_is():
    day, night, fog = (
        render_scene(5, StreetConfig(width=128, height=96, night=is_night, fog=is_foggy))
        for is_night, is_foggy in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    )
    for other in (night, fog):
        assert np.array_equal(day.labels, other.labels)
        assert np.array_equal(day.depth, other.depth)
    assert night.image.mean() < 0.6 * day.image.mean()


def test_fog_takes_more_contrast_from_what_is_far():
    ratios = {"near": [], "far": []}
    for seed in range(6):
        clear, foggy = (
            render_scene(seed, StreetConfig(width=128, height=96, night=0.0, fog=fog)) for fog in (0.0, 1.0)
        )
        for name, (low, high) in {"near": (2, 8), "far": (25, 60)}.items():
            where = (clear.depth > low) & (clear.depth < high)
            ratios[name].append(foggy.image[where].std() / clear.image[where].std())
    assert np.mean(ratios["far"]) < 0.6 * np.mean(ratios["near"])


def test_holes_take_depth_and_nothing_else():
    whole, holed = (render_scene(1, StreetConfig(width=128, height=96, holes=holes)) for holes in (0.0, 0.1))
    assert np.array_equal(whole.labels, holed.labels)
    missing = (whole.depth > 0) & (holed.depth == 0)
    assert 0.03 < missing.mean() < 0.4
    assert np.array_equal(holed.depth[~missing], whole.depth[~missing])
