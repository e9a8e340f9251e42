from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from limbeck.deploy.runtime.class_map import ClassMap, Tiles, check_maps, map_image
from limbeck.errors import DataError

CANVAS_WH = (32, 16)


def brightness(inputs):
    """A network that calls a pixel 1 where its red channel is above 127, and is surer in the middle of its canvas."""
    red = inputs["image"][:, 0]
    sure = np.zeros(red.shape, np.float32)
    sure[:, 4:-4, 8:-8] = 1
    return (red > 127).astype(np.uint8), sure


def picture(width, height, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_without_tiles_the_whole_image_lies_on_the_canvas():
    halves = np.zeros((40, 80, 3), np.uint8)
    halves[:, 40:] = 255
    labels, confidence = map_image(brightness, Image.fromarray(halves), {}, CANVAS_WH, "letterbox")
    assert labels.shape == confidence.shape == (40, 80)
    assert not labels[:, :35].any()
    assert labels[:, 45:].all()


@pytest.mark.parametrize("size", [(100, 60), (32, 16), (20, 10), (33, 70)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6])
def test_tiles_give_every_pixel_the_answer_at_its_own_scale(size, overlap):
    image = picture(*size)
    labels, _ = map_image(brightness, image, {}, CANVAS_WH, "letterbox", Tiles(overlap))
    assert np.array_equal(labels, np.asarray(image)[..., 0] > 127)


def test_the_tile_in_whose_middle_a_pixel_lies_decides():
    _, confidence = map_image(brightness, picture(80, 16), {}, CANVAS_WH, "letterbox", Tiles(0.5))
    assert confidence[8, 8:-8].all()  # without overlap the seams would be unsure
    _, unsure = map_image(brightness, picture(80, 16), {}, CANVAS_WH, "letterbox", Tiles(0.0))
    assert not unsure[8, 8:-8].all()


def test_tiles_cover_the_image_and_end_where_it_ends():
    assert Tiles(0.25).starts(image=20, canvas=32) == [0]
    assert Tiles(0.25).starts(image=32, canvas=32) == [0]
    for image in range(33, 300, 7):
        starts = Tiles(0.25).starts(image, 32)
        assert starts[0] == 0
        assert starts[-1] + 32 == image
        assert max(b - a for a, b in pairwise(starts)) <= 24 + 1


def test_a_network_that_reads_maps_cannot_look_at_tiles():
    maps = {"depth": np.zeros((1, 16, 32), np.float32)}
    with pytest.raises(DataError, match="the network reads maps beside the image"):
        map_image(brightness, picture(80, 16), maps, CANVAS_WH, "letterbox", Tiles())


def test_maps_that_are_not_those_of_the_network_are_named():
    good = np.zeros((1, 4, 4), np.float32)
    assert check_maps({"depth": good}, {"depth": 1}) == {"depth": good}
    assert check_maps(None, {}) == {}
    with pytest.raises(DataError, match="the input 'depth' is missing"):
        check_maps({}, {"depth": 1})
    with pytest.raises(DataError, match="the network has no input 'depht'"):
        check_maps({"depht": good}, {})
    for wrong in (good[0], good.astype(np.float64), np.zeros((3, 4, 4), np.float32)):
        with pytest.raises(DataError, match=r"must be \(C,H,W\) float32 with C = 1"):
            check_maps({"depth": wrong}, {"depth": 1})


def test_shares_say_how_much_each_class_covers():
    found = ClassMap(np.array([[0, 0, 2, 0]], np.uint8), np.ones((1, 4), np.float32), ("a", "b", "c"))
    assert found.shares == {"a": 0.75, "b": 0.0, "c": 0.25}
