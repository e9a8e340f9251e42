"""Four images lie side by side, and every box still encloses its object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.data.augment import MIN_VISIBLE, View
from limbeck.data.config import AugmentConfig
from limbeck.data.mosaic import draw_mosaic, draw_tiles, join
from limbeck.data.records import BoxRecord
from limbeck.imaging import PAD_VALUE

CANVAS = (192, 160)
BACKGROUND = (0, 0, 255)
COLOURS = [(255, 0, 0), (0, 255, 0), (255, 255, 0), (0, 255, 255), (255, 0, 255), (255, 255, 255)]
"""The object of image i has colour i and label i."""
NO_COLOUR = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[BoxRecord]:
    """Six images of different sizes with a square each, as lossless files and as large JPEGs that may be reduced."""
    folder = tmp_path_factory.mktemp("squares")
    return [
        _write(folder / f"{label}.{'png' if label % 2 else 'jpg'}", label, size)
        for label, size in enumerate([(480, 401), (90, 70), (330, 600), (64, 64), (800, 640), (211, 97)])
    ]


def _write(path: Path, label: int, size: tuple[int, int]) -> BoxRecord:
    box = [round(share * side) for share, side in zip((0.3, 0.25, 0.75, 0.7), size * 2, strict=True)]
    image = Image.new("RGB", size, BACKGROUND)
    image.paste(COLOURS[label], tuple(box))
    image.save(path, **({"quality": 95, "subsampling": 0} if path.suffix == ".jpg" else {}))
    ignore = np.array([label == 2])
    return BoxRecord(label, path, size, np.array([box], dtype=np.float32), np.array([label]), ignore)


def mosaic(records: list[BoxRecord], seed: int, index: int = 0, **settings: float) -> View:
    config = AugmentConfig(**NO_COLOUR | settings)
    return draw_mosaic(records, index, CANVAS, "letterbox", config, np.random.default_rng(seed))


def looks_like(pixels: torch.Tensor, label: int) -> torch.Tensor:
    """Where the pixels (3,H,W) are nearer to an object's colour than to the background, (H,W)."""
    colour = torch.tensor(COLOURS[label]).view(3, 1, 1)
    return ((pixels.int() - colour).abs() < 100).all(dim=0)


@pytest.mark.parametrize("mode", ["letterbox", "stretch"])
def test_boxes_enclose_the_objects_that_are_painted(records: list[BoxRecord], mode: str) -> None:
    checked = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        view = draw_mosaic(records, seed % 6, CANVAS, mode, AugmentConfig(**NO_COLOUR), generator)
        labels = view.labels.tolist()
        for label, box in zip(labels, view.boxes_xyxy, strict=True):
            left, top, right, bottom = np.rint(box).astype(int)
            assert looks_like(view.pixels, label)[top + 1 : bottom - 1, left + 1 : right - 1].all()
            if labels.count(label) == 1:  # the same image may lie in the next tile
                checked += 1
                x, y = max(left - 4, 0), max(top - 4, 0)
                rows, columns = looks_like(view.pixels, label)[y : bottom + 4, x : right + 4].nonzero().T
                seen = x + columns.min(), y + rows.min(), x + columns.max() + 1, y + rows.max() + 1
                assert np.abs(np.array(seen) - box).max() <= 1
    assert checked > 60


def test_a_box_that_is_off_by_two_pixels_would_be_seen(records: list[BoxRecord]) -> None:
    view = mosaic(records, 0)
    label, box = int(view.labels[0]), view.boxes_xyxy[0] + 2
    left, top, right, bottom = np.rint(box).astype(int)
    assert not looks_like(view.pixels, label)[top:bottom, left:right][1:-1, 1:-1].all()


def test_what_is_shown_of_an_object_without_a_box_is_small(records: list[BoxRecord]) -> None:
    whole = 0.45 * 0.45 * CANVAS[0] * CANVAS[1]  # an object that is alone on the canvas
    for seed in range(40):
        view = mosaic(records, seed)
        for label in range(6):
            boxed = view.boxes_xyxy[view.labels == label]
            area = float(((boxed[:, 2] - boxed[:, 0]) * (boxed[:, 3] - boxed[:, 1])).sum())
            tiles_without = 4 - len(boxed)
            assert looks_like(view.pixels, label).sum() <= 1.1 * area + tiles_without * MIN_VISIBLE * whole


def test_the_image_asked_for_is_always_there_and_its_partners_vary(tmp_path: Path) -> None:
    solid = []
    for label in range(5):
        Image.new("RGB", (64, 48), (50 * label, 7, 7)).save(tmp_path / f"{label}.png")
        none = np.zeros(0, dtype=np.int64)
        solid.append(
            BoxRecord(label, tmp_path / f"{label}.png", (64, 48), np.zeros((0, 4), np.float32), none, none > 0)
        )
    shown = [set(mosaic(solid, seed, index=3).pixels[0].flatten().tolist()) - {PAD_VALUE} for seed in range(40)]
    assert all(150 in levels for levels in shown)
    assert set.union(*shown) == {0, 50, 100, 150, 200}
    assert {len(levels) for levels in shown} >= {3, 4}


def test_tiles_cover_the_canvas_once() -> None:
    for seed in range(50):
        covered = np.zeros((CANVAS[1], CANVAS[0]), dtype=int)
        for left, top, right, bottom in draw_tiles(CANVAS, np.random.default_rng(seed)):
            assert right - left >= 0.29 * CANVAS[0]
            assert bottom - top >= 0.29 * CANVAS[1]
            covered[top:bottom, left:right] += 1
        assert (covered == 1).all()


def test_a_mosaic_is_a_function_of_its_generator(records: list[BoxRecord]) -> None:
    first, again, other = (mosaic(records, seed) for seed in (5, 5, 6))
    assert torch.equal(first.pixels, again.pixels)
    assert first.boxes_xyxy.tolist() == again.boxes_xyxy.tolist()
    assert not torch.equal(first.pixels, other.pixels)


def test_ignore_regions_stay_ignore_regions(records: list[BoxRecord]) -> None:
    views = [mosaic(records, seed, index=2) for seed in range(10)]
    assert any(view.ignore.any() for view in views)
    for view in views:
        assert view.ignore.tolist() == (view.labels == 2).tolist()


def test_every_tile_has_its_own_flip_and_colours(records: list[BoxRecord]) -> None:
    same = [records[0]] * 4
    view = draw_mosaic(same, 0, CANVAS, "stretch", AugmentConfig(brightness=0.5), np.random.default_rng(1))
    shades = {tuple(view.pixels[:, y, x].tolist()) for y in (0, -1) for x in (0, -1)} - {(PAD_VALUE,) * 3}
    assert len(shades) > 1


def test_images_without_objects_make_an_empty_mosaic(records: list[BoxRecord]) -> None:
    empty = [BoxRecord(r.id, r.path, r.size_wh, r.boxes_xyxy[:0], r.labels[:0], r.ignore[:0]) for r in records]
    view = mosaic(empty, 0)
    assert view.boxes_xyxy.shape == (0, 4)
    assert view.boxes_xyxy.dtype == np.float32
    assert view.labels.shape == view.ignore.shape == (0,)


def test_join_moves_boxes_with_their_tiles() -> None:
    tiles = [(0, 0, 3, 2), (3, 0, 8, 2), (0, 2, 3, 6), (3, 2, 8, 6)]
    views = [
        View(
            torch.full((3, bottom - top, right - left), number, dtype=torch.uint8),
            np.array([[0, 0, 1, 2]], dtype=np.float32),
            np.array([number]),
            np.array([False]),
        )
        for number, (left, top, right, bottom) in enumerate(tiles)
    ]
    joined = join(views, tiles, (8, 6))
    assert joined.boxes_xyxy.tolist() == [[0, 0, 1, 2], [3, 0, 4, 2], [0, 2, 1, 4], [3, 2, 4, 4]]
    assert joined.pixels[0].tolist() == [[0, 0, 0, 1, 1, 1, 1, 1]] * 2 + [[2, 2, 2, 3, 3, 3, 3, 3]] * 4
