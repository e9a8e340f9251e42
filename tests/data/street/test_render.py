"""The image of the rays, pixel by pixel: what is nearest is seen, and its depth is that of the solid."""

import numpy as np
import pytest

from limbeck.data.street import furniture
from limbeck.data.street.config import Label, StreetConfig
from limbeck.data.street.layout import draw_street, draw_viewpoint
from limbeck.data.street.materials import Material
from limbeck.data.street.render import NOTHING, cast
from limbeck.data.street.viewpoint import Viewpoint

CONFIG = StreetConfig(width=128, height=96)
GREY = Material((0.5, 0.5, 0.5))
ROAD = furniture.box((0.0, -1.0, 0.0), (50.0, 0.5, 500.0), Label.ROAD, GREY)
LEVEL = Viewpoint(CONFIG.camera, (128, 96), (0.0, -1.5, 0.0))


def drawn(seed):
    rng = np.random.default_rng(seed)
    return draw_street(rng, CONFIG), draw_viewpoint(rng, CONFIG)


def in_world(view, depth):
    return np.array(view.position)[:, None, None] + view.rays() * depth


@pytest.mark.parametrize("seed", range(4))
def test_the_nearest_of_all_solids_is_seen(seed):
    solids, view = drawn(seed)
    rays, origin = view.rays(), np.array(view.position)
    hits = cast(solids, view, rays)
    depth = solids[0].hit(origin, rays)
    number = np.where(np.isfinite(depth), 0, NOTHING)
    for index, solid in enumerate(solids):
        if solid.is_dent:
            found = solid.far_side(origin, rays)
            seen = (number == 0) & np.isfinite(found) & (found > depth)
        else:
            found = solid.hit(origin, rays)
            seen = found < depth
        depth, number = np.where(seen, found, depth), np.where(seen, index, number)
    assert np.array_equal(hits.solid, number)
    assert np.array_equal(hits.depth, depth)


@pytest.mark.parametrize("seed", range(4))
def test_the_ground_lies_where_it_is_said_to_be(seed):
    solids, view = drawn(seed)
    hits = cast(solids, view, view.rays())
    labels = np.array([*(solid.label for solid in solids), Label.SKY])[hits.solid]
    height = -in_world(view, hits.depth)[1]
    assert np.abs(height[labels == Label.ROAD]).max() < 1e-9
    assert height[labels == Label.SIDEWALK].min() > -1e-9
    assert height[labels == Label.SIDEWALK].max() < 0.2 + 1e-9
    assert (height[labels == Label.POTHOLE] < 0).all()
    assert (height[labels == Label.POTHOLE] > -0.131).all()
    above = np.isin(labels, [Label.BUILDING, Label.VEGETATION, Label.CAR, Label.POLE, Label.PERSON])
    assert height[above].min() > -1e-9


def test_a_box_fills_the_pixels_between_its_corners_at_the_depth_of_its_front():
    box = furniture.box((0.5, 0.0, 8.0), (1.0, 0.8, 1.5), Label.CAR, GREY)
    hits = cast((ROAD, box), LEVEL, LEVEL.rays())
    rows, columns = np.nonzero(hits.solid == 1)
    corners = LEVEL.project(box.corners())
    front = corners[np.isclose(corners[:, 2], 6.5)]
    assert len(front) == 4
    assert columns.min() == np.ceil(corners[:, 0].min())
    assert columns.max() == np.floor(corners[:, 0].max())
    assert rows.max() == np.floor(corners[:, 1].max())
    column, row = (int(np.ceil(front[:, axis].min())) + 1 for axis in (0, 1))
    assert hits.depth[row, column] == pytest.approx(6.5, abs=1e-12)
    assert hits.depth[rows.max(), columns.mean().astype(int)] == pytest.approx(6.5, abs=1e-12)


def test_the_kerb_and_what_stands_leave_no_gap():
    solids, view = drawn(1)
    hits = cast(solids, view, view.rays())
    horizon = int(view.project(np.array([[0.0, view.position[1], 1e6]]))[0, 1])
    assert (hits.solid[horizon + 4 :] != NOTHING).all()


def test_a_dent_is_seen_through_the_road_only():
    dent = furniture.dent((0.0, 0.0, 5.0), (0.6, 0.1, 0.6), GREY)
    box = furniture.box((0.0, 0.0, 4.0), (0.3, 0.2, 0.1), Label.CAR, GREY)
    road_alone = cast((ROAD,), LEVEL, LEVEL.rays())
    hits = cast((ROAD, dent, box), LEVEL, LEVEL.rays())
    is_dent = hits.solid == 1
    assert is_dent.sum() > 20
    assert (hits.depth[is_dent] > road_alone.depth[is_dent]).all()
    assert (hits.solid == 2).any()
    without = cast((ROAD, box), LEVEL, LEVEL.rays())
    assert np.array_equal(hits.solid == 2, without.solid == 1), "it hides nothing that stands on the road"
