"""Intensities from 0 to 1, in bytes, with a long tail, and the settings of a model for them."""

from types import SimpleNamespace

import numpy as np
import pytest

from limbeck.training.doctor.intensity import fitting_setting, intensity_finding

FEATURES = ("x", "y", "z", "intensity")


def values(kind):
    even = np.linspace(0, 1, 1000, dtype=np.float32)
    return {"unit": even, "bytes": 255 * even, "tail": np.append(even, np.float32(900)), "wide": 60000 * even}[kind]


def found(kind, chosen, features=FEATURES):
    points = np.zeros((len(values(kind)), 4), np.float32)
    points[:, 3] = values(kind)
    return [f.text for f in intensity_finding(points, features, SimpleNamespace(intensity=chosen))]


@pytest.mark.parametrize(("kind", "fitting"), [("unit", "raw"), ("bytes", "byte"), ("tail", "tanh"), ("wide", None)])
def test_the_setting_that_fits(kind, fitting):
    assert fitting_setting(values(kind)) == fitting


@pytest.mark.parametrize(("kind", "chosen"), [("unit", "raw"), ("unit", "tanh"), ("bytes", "byte"), ("tail", "tanh")])
def test_of_a_setting_that_fits_nothing_is_said(kind, chosen):
    assert found(kind, chosen) == []


@pytest.mark.parametrize(
    ("kind", "chosen", "mend"),
    [
        ("bytes", "raw", "set student.intensity to byte"),
        ("bytes", "tanh", "set student.intensity to byte"),
        ("unit", "byte", "set student.intensity to raw"),
        ("tail", "raw", "set student.intensity to tanh"),
        ("wide", "byte", "divide it by its usual largest value in the files"),
    ],
)
def test_a_setting_that_does_not_fit(kind, chosen, mend):
    (text,) = found(kind, chosen)
    assert text.startswith(
        f"is 0 to {values(kind).max():.4g} in the training clouds, and student.intensity is {chosen}"
    )
    assert text.endswith(mend)


def test_another_value_in_the_place_of_the_intensity():
    others = ("x", "y", "z", "ring")
    assert found("bytes", "raw", others) == []
    assert found("bytes", "byte", others) == [
        "student.intensity is byte, but value 4 of a point is 'ring': name intensity as value 4 in data.features"
    ]


def test_a_model_without_the_setting_and_points_without_intensity():
    points = np.zeros((5, 4), np.float32)
    assert list(intensity_finding(points, FEATURES, SimpleNamespace())) == []
    assert list(intensity_finding(points[:, :3], FEATURES[:3], SimpleNamespace(intensity="byte"))) == []
