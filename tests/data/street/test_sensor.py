import numpy as np
import pytest

from limbeck.data.street.sensor import RANGE_M, develop, measure_depth


def rng(seed=0):
    return np.random.default_rng(seed)


def test_without_holes_depth_is_exact_within_the_range():
    depth = np.array([[1.25, RANGE_M, RANGE_M + 0.1], [np.inf, 30.0, 0.5]])
    assert measure_depth(rng(), depth, 0.0).tolist() == [[1.25, RANGE_M, 0.0], [0.0, 30.0, 0.5]]


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_patches_take_the_share_that_is_asked_for(share):
    depth = np.full((64, 96), 10.0)
    measured = measure_depth(rng(), depth, share)
    assert (measured == 0).mean() == pytest.approx(share, abs=0.01)
    assert set(np.unique(measured)) == {0.0, 10.0}


def test_with_holes_half_of_an_edge_is_not_measured():
    depth = np.full((200, 60), 10.0)
    depth[:, 30:] = 20.0
    missing = measure_depth(rng(), depth, 1e-3) == 0
    assert missing[:, 29:31].mean() == pytest.approx(0.5, abs=0.1)
    assert missing[:, :29].mean() < 0.01
    sky = np.full((200, 60), np.inf)
    sky[100:] = 20.0
    assert (measure_depth(rng(), sky, 1e-3)[100] == 0).mean() > 0.2, "the edge to the sky is one too"


def test_more_light_is_brighter_and_noise_is_stronger_at_night():
    grey = np.full((64, 64, 3), 0.2, np.float32)
    dark, day, night = (
        develop(rng(), light, is_night) for light, is_night in ((grey / 4, False), (grey, False), (grey, True))
    )
    assert day.shape == (64, 64, 3)
    assert day.dtype == np.uint8
    assert dark.mean() < 0.7 * day.mean()
    assert night.std(axis=(0, 1)).mean() > 1.5 * day.std(axis=(0, 1)).mean()


def test_an_edge_is_blurred_by_its_neighbours_only():
    step = np.zeros((8, 40, 3), np.float32)
    step[:, 20:] = 0.5
    image = develop(rng(), step, False).astype(int).mean(axis=(0, 2))
    assert image[18] < 12
    assert image[18] < image[19] < image[20] < image[21] + 12
