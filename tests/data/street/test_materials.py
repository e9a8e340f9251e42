import numpy as np
import pytest

from limbeck.data.street.materials import (
    CAR_COLOURS,
    WALL_COLOURS,
    Decal,
    Material,
    darker,
    ground,
    noise_tile,
    painted,
    texture,
)

RED = Material((0.8, 0.1, 0.1))


def covers(decal, u, v, face):
    """Whether a decal covers one point, said plainly."""
    if face not in decal.faces:
        return False
    away = []
    for place, middle, half, period in zip((u, v), decal.middle, decal.half, decal.period, strict=True):
        repeats = range(-40, 41) if period else (0,)
        away.append(min(abs(place - middle - n * period) for n in repeats) / half)
    return away[0] ** 2 + away[1] ** 2 <= 1 if decal.is_round else max(away) <= 1


@pytest.mark.parametrize("is_round", [False, True])
@pytest.mark.parametrize("period", [(0.0, 0.0), (1.5, 0.0), (1.7, 2.1)])
def test_a_decal_covers_what_it_is_said_to_cover(is_round, period):
    generator = np.random.default_rng(0)
    uv = generator.uniform(-8, 8, (2, 400)).astype(np.float32)
    face = generator.integers(0, 7, 400)
    decal = Decal((0, 1, 5), (0.4, 1.1), (0.6, 0.9) if any(period) else (3.0, 4.0), RED, is_round, period)
    expected = [n for n in range(400) if covers(decal, *uv[:, n].tolist(), face[n])]
    assert decal.covered(uv, face).tolist() == expected
    assert len(expected) > 10


def test_the_noise_has_mean_0_and_deviation_1_and_repeats_without_a_seam():
    tile = noise_tile()
    assert abs(tile.mean()) < 1e-4
    assert abs(tile.std() - 1) < 1e-4
    inner = np.abs(np.diff(tile, axis=0)).mean()
    seam = np.abs(tile[0] - tile[-1]).mean()
    assert seam < 1.5 * inner


def test_far_away_the_grain_is_blurred():
    uv = np.random.default_rng(0).uniform(0, 50, (2, 4000)).astype(np.float32)
    grain = np.full(4000, 0.05, np.float32)
    near, far = (texture(uv, grain, np.full(4000, pixel, np.float32)) for pixel in (0.001, 0.5))
    assert near.std() == pytest.approx(1, abs=0.1)
    assert far.std() < 0.15


def test_with_full_ambiguity_a_coat_of_paint_is_a_walls():
    generator = np.random.default_rng(0)

    def distances(ambiguity):
        hues = [np.array(painted(generator, ambiguity, CAR_COLOURS).colour) for _ in range(40)]
        walls = np.array(WALL_COLOURS) / np.linalg.norm(WALL_COLOURS, axis=1, keepdims=True)
        return np.array([(1 - walls @ (hue / np.linalg.norm(hue))).min() for hue in hues])

    assert distances(1.0).max() < 1e-9
    assert np.median(distances(0.0)) > 1e-3


def test_ground_is_grey():
    generator = np.random.default_rng(0)
    colours = np.array([ground(generator).colour for _ in range(50)])
    assert (np.ptp(colours, axis=1) < 0.2 * colours.mean(axis=1)).all()


def test_a_shade_keeps_the_hue():
    assert darker(RED, 0.5).colour == (0.4, 0.05, 0.05)
    assert darker(RED, 0.5).grain == RED.grain
