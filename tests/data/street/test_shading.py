from dataclasses import replace

import numpy as np
import pytest

from limbeck.data.street import furniture
from limbeck.data.street.config import Label, StreetConfig
from limbeck.data.street.layout import draw_street, draw_viewpoint
from limbeck.data.street.materials import Decal, Material
from limbeck.data.street.render import cast
from limbeck.data.street.shading import WITHOUT_SHADOW, in_shadow, shade, surfaces
from limbeck.data.street.weather import SKY_FOG_M, draw_weather

CONFIG = StreetConfig(width=96, height=64, night=0.0, fog=0.0)
GREY, RED = Material((0.5, 0.5, 0.5), contrast=0.0), Material((0.8, 0.1, 0.1))
ROAD = furniture.box((0.0, -1.0, 0.0), (50.0, 0.5, 500.0), Label.ROAD, GREY)


def drawn(seed):
    rng = np.random.default_rng(seed)
    solids, view = draw_street(rng, CONFIG), draw_viewpoint(rng, CONFIG)
    return solids, view, view.rays(), cast(solids, view, view.rays())


@pytest.mark.parametrize("seed", range(3))
def test_a_point_is_dark_if_a_ray_to_the_sun_meets_anything(seed):
    solids, view, rays, hits = drawn(seed)
    seen = surfaces(solids, view, rays, hits)
    some = np.random.default_rng(0).choice(seen.points.shape[1], 400, replace=False)
    points, normals = seen.points[:, some], seen.normals[:, some]
    sun = np.array([0.5, -0.7, -0.3]) / np.linalg.norm([0.5, -0.7, -0.3])
    expected = sun @ normals <= 0
    for solid in solids:
        if solid.label not in WITHOUT_SHADOW:
            expected |= np.isfinite(solid.hit(points + 1e-3 * normals, sun[:, None]))
    assert np.array_equal(in_shadow(solids, points, normals, tuple(sun)), expected)
    assert 0.05 < expected.mean() < 0.95


def test_the_shadow_of_a_box_falls_away_from_the_sun():
    box = furniture.box((0.0, 0.0, 10.0), (1.0, 0.5, 1.0), Label.CAR, GREY)
    points = np.array([[-1.5, 1.5, -2.5], [0.0, 0.0, 0.0], [10.0, 10.0, 10.0]])
    up = np.tile([[0.0], [-1.0], [0.0]], 3).astype(np.float32)
    from_the_right = (2**-0.5, -(2**-0.5), 0.0)
    assert in_shadow((ROAD, box), points, up, from_the_right).tolist() == [True, False, False]


def test_surfaces_are_those_of_the_solids_with_what_is_painted_on_them():
    decal = Decal((4,), (0.0, 1.0), (0.3, 0.3), RED)
    box = furniture.box((0.0, 0.0, 8.0), (1.0, 1.0, 1.0), Label.BUILDING, GREY, (decal,))
    _, view, rays, _ = drawn(0)
    hits = cast((ROAD, box), view, rays)
    seen = surfaces((ROAD, box), view, rays, hits)
    assert sorted(seen.pixels) == np.flatnonzero(hits.solid.ravel() >= 0).tolist()
    x, y, z = seen.points
    is_red = seen.material == seen.materials.index(RED)
    front = np.isclose(z, 7.0)
    assert is_red.any()
    assert np.array_equal(is_red, front & (np.abs(x) <= 0.3) & (np.abs(y + 1) <= 0.3))


def test_fog_mixes_every_pixel_with_the_haze_by_its_depth():
    solids, view, rays, hits = drawn(2)
    clear = draw_weather(np.random.default_rng(0), CONFIG)
    foggy = replace(clear, extinction=0.04)
    haze = np.array(clear.horizon)
    before, after = (shade(solids, view, rays, hits, weather) - haze for weather in (clear, foggy))
    depth = np.where(np.isfinite(hits.depth), hits.depth, SKY_FOG_M)
    assert np.abs(after - before * np.exp(-0.04 * depth)[..., None]).max() < 1e-4
    assert np.isinf(hits.depth).any()


def test_what_looks_at_the_sun_is_lighter_than_what_looks_away():
    boxes = [furniture.box((x, 0.0, 8.0), (0.5, 0.7, 0.5), Label.CAR, GREY) for x in (-2.0, 2.0)]
    _, view, rays, _ = drawn(0)
    solids = (ROAD, *boxes)
    hits = cast(solids, view, rays)
    weather = draw_weather(np.random.default_rng(0), CONFIG)
    images = [
        shade(solids, view, rays, hits, replace(weather, to_sun=to_sun, sunlight=(1.0, 1.0, 1.0)))
        for to_sun in ((0.0, -0.6, -0.8), (0.0, -0.6, 0.8))
    ]
    front = (hits.solid > 0) & np.isclose(hits.depth, np.min(hits.depth[hits.solid > 0]), rtol=0.02)
    assert images[0][front].mean() > 1.3 * images[1][front].mean()
