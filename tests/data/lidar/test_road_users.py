import numpy as np
import pytest

from limbeck.data.lidar.road_users import CAR_KINDS, KIND_SHARES, bicycle, car, cyclist, pedestrian
from limbeck.data.lidar.solids import CROSSWISE, extent

SIZES = {
    car: ((3.5, 5.6), (1.6, 2.05), (1.38, 2.2)),
    pedestrian: ((0.13, 1.0), (0.22, 0.7), (1.05, 1.95)),
    cyclist: ((1.6, 1.8), (0.4, 0.65), (1.5, 1.85)),
    bicycle: ((1.6, 1.8), (0.5, 0.6), (0.9, 1.1)),
}


def drawn(build, count=100):
    return [build(np.random.default_rng(seed)) for seed in range(count)]


@pytest.mark.parametrize("build", SIZES, ids=lambda build: build.__name__)
def test_sizes_are_those_of_the_street_and_vary(build):
    sizes = np.array([[high - low for low, high in extent(parts)] for parts in drawn(build)])
    for axis, (least, most) in enumerate(SIZES[build]):
        assert least - 1e-9 <= sizes[:, axis].min() <= sizes[:, axis].max() <= most + 1e-9
    assert sizes.std(axis=0)[0] > 0.01


@pytest.mark.parametrize("build", SIZES, ids=lambda build: build.__name__)
def test_it_stands_on_the_ground_and_in_its_middle(build):
    for parts in drawn(build):
        _, (right, left), (bottom, _) = extent(parts)
        assert bottom == 0
        assert right == pytest.approx(-left)
        assert all(0 <= piece.reflectance <= 1 for piece in parts)


def profile(parts, x):
    """Height of a car at places along it."""
    heights = []
    for spans, _, curved in parts:
        (rear, front), _, (low, high) = spans
        share = (x - (rear + front) / 2) / ((front - rear) / 2)
        reach = np.sqrt(np.clip(1 - share**2, 0, None)) if curved == CROSSWISE else 1.0
        heights.append(np.where(np.abs(share) <= 1, (low + high) / 2 + (high - low) / 2 * reach, 0))
    return np.max(heights, axis=0)


def test_the_heading_of_a_car_shows_in_its_shape():
    for parts in drawn(car):
        (rear, front), _, (_, roof) = extent(parts)
        ahead, behind = (profile(parts, np.linspace(0.02, 0.48, 50) * end * 2) for end in (front, rear))
        assert ahead.mean() < 0.97 * behind.mean()
        assert profile(parts, np.array([0.9 * front]))[0] < 0.65 * roof, "the bonnet"


def test_no_screen_comes_out_under_its_car():
    for kind in CAR_KINDS:
        for height in kind.height:
            assert 2 * kind.waist * height - height >= 0.2 - 1e-9, "the lower half of the cylinder ends within the body"
    assert sum(KIND_SHARES) == pytest.approx(1)


def test_a_cyclist_is_a_bicycle_with_more_on_it():
    for seed in range(5):
        parts = cyclist(np.random.default_rng(seed))
        wheels = [piece for piece in parts if piece.curved == CROSSWISE]
        assert len(wheels) == 2
        assert len(parts) > len(bicycle(np.random.default_rng(seed)))
