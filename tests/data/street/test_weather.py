import numpy as np
import pytest

from limbeck.data.street.config import StreetConfig
from limbeck.data.street.weather import draw_weather, headlight


def drawn(**settings):
    return [draw_weather(np.random.default_rng(seed), StreetConfig(**settings)) for seed in range(200)]


def test_night_and_fog_come_as_often_as_asked():
    weathers = drawn(night=0.3, fog=0.5)
    assert np.mean([weather.is_night for weather in weathers]) == pytest.approx(0.3, abs=0.1)
    assert np.mean([weather.extinction > 0 for weather in weathers]) == pytest.approx(0.5, abs=0.1)
    assert not any(weather.is_night or weather.extinction for weather in drawn(night=0.0, fog=0.0))
    assert all(weather.is_night and weather.extinction for weather in drawn(night=1.0, fog=1.0))


def test_the_sun_is_a_direction_above_the_horizon():
    for weather in drawn():
        assert np.linalg.norm(weather.to_sun) == pytest.approx(1)
        assert weather.to_sun[1] < -0.4


def test_headlights_light_what_is_near_and_ahead():
    towards = np.array([[0.0], [0.0], [-1.0]], np.float32)

    def light(x, y, z):
        return headlight(np.array([[x], [y], [z]], np.float32), towards)[0]

    assert light(0, -0.65, 6) > light(0, -0.65, 12) > light(0, -0.65, 40) > 0
    assert light(0, -0.65, 6) > 3 * light(5, -0.65, 6), "beside the cone"
    assert light(0, -0.65, 6) > 3 * light(0, -5, 6), "above it"
    assert light(0, -0.65, -6) == 0, "behind"
