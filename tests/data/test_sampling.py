"""Rare classes are shown more often or count more, exactly as the formulas say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from limbeck.data.records import BoxRecord
from limbeck.data.sampling import (
    class_weights,
    epoch_length,
    mask_repeat_factors,
    pixel_weights,
    repeat_factors,
    resample,
)
from limbeck.errors import ConfigError, DataError


def record(*labels: int, ignore: tuple[int, ...] = ()) -> BoxRecord:
    """An image with objects of the classes given and ignore regions of some more."""
    everything = np.array([*labels, *ignore], dtype=np.int64)
    marks = np.arange(len(everything)) >= len(labels)
    return BoxRecord(0, Path("a.jpg"), (8, 8), np.ones((len(everything), 4), np.float32), everything, marks)


def slow_factors(records: list[BoxRecord], threshold: float) -> list[float]:
    """The formula of the paper, one image and one class after the other."""
    factors = []
    for image in records:
        factor = 1.0
        for label in image.labels[~image.ignore]:
            showing = sum(1 for other in records if label in other.labels[~other.ignore])
            factor = max(factor, (threshold / (showing / len(records))) ** 0.5)
        factors.append(factor)
    return factors


RECORDS = [record(0), record(0, 0, 1), record(0), record(), record(0, 2), record(0, ignore=(3,)), record(0), record(1)]


@pytest.mark.parametrize("threshold", [1e-3, 0.2, 0.5, 1.0])
def test_factors_are_those_of_the_paper(threshold: float) -> None:
    np.testing.assert_allclose(repeat_factors(RECORDS, threshold), slow_factors(RECORDS, threshold))


def test_a_rare_class_is_shown_more_often_and_the_others_once() -> None:
    factors = repeat_factors(RECORDS, 0.5)
    assert factors.tolist() == pytest.approx([1, 2**0.5, 1, 1, 2, 1, 1, 2**0.5])


def test_images_without_objects_are_shown_once() -> None:
    assert repeat_factors([record(), record(ignore=(1,))], 1.0).tolist() == [1, 1]


def test_every_epoch_is_equally_long_and_rounds_the_factors() -> None:
    factors = np.array([1, 1.4, 2.7, 1, 3, 1.25])
    for seed in range(200):
        drawn = resample(factors, np.random.default_rng(seed))
        assert len(drawn) == epoch_length(factors) == 10
        counts = np.bincount(drawn, minlength=6)
        exact = factors * 10 / factors.sum()
        assert (np.floor(exact) <= counts).all()
        assert (counts <= np.ceil(exact)).all()


def test_on_average_an_image_comes_as_often_as_its_factor() -> None:
    factors = np.array([1, 1.4, 2.6, 1, 3, 1])
    counts = np.mean(
        [np.bincount(resample(factors, np.random.default_rng(seed)), minlength=6) for seed in range(4000)], axis=0
    )
    np.testing.assert_allclose(counts, factors, atol=0.05)


def test_factors_of_one_give_every_image_once_in_an_order_of_its_own() -> None:
    for size in (1, 2, 3, 1000):
        drawn = [resample(np.ones(size), np.random.default_rng(seed)).tolist() for seed in range(20)]
        assert all(sorted(order) == list(range(size)) for order in drawn)
    assert drawn[0] != drawn[1]
    assert drawn[0] == resample(np.ones(1000), np.random.default_rng(0)).tolist()


def test_neighbours_do_not_come_and_go_together() -> None:
    """Without a random order before the resampling, of two neighbours with 1.5 exactly one would come twice."""
    factors = np.full(10, 1.5)
    both = [np.bincount(resample(factors, np.random.default_rng(seed)), minlength=10)[:2].sum() for seed in range(100)]
    assert set(both) == {2, 3, 4}


def test_automatic_weights_follow_the_inverse_root_and_have_mean_one() -> None:
    records = [record(*[0] * 75, ignore=(1,) * 9), record(*[1] * 25, 2)]
    weights = class_weights(records, ("a", "b", "c", "d"), "auto")
    counts = np.array([75, 25, 1])
    assert (weights[:3] * counts).sum() / counts.sum() == pytest.approx(1)
    np.testing.assert_allclose(weights[:3] / weights[0], np.sqrt(75 / counts), rtol=1e-6)
    assert np.isfinite(weights).all()
    assert weights.dtype == np.float32


def test_classes_that_are_equally_frequent_weigh_exactly_one() -> None:
    assert class_weights([record(0, 1, 1, 0)], ("a", "b"), "auto").tolist() == [1, 1]


def test_named_weights_go_to_their_classes_and_the_others_weigh_one() -> None:
    assert class_weights(RECORDS, ("a", "b", "c"), {"c": 4, "a": 0.5}).tolist() == [0.5, 1, 4]


def test_all_unknown_classes_are_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="weighs classes that the data does not have") as caught:
        class_weights(RECORDS, ("wagon", "bolt"), {"wagn": 2, "bolt": 1, "tree": 3})
    assert caught.value.problems == (
        "data.class_weights: no class is called 'wagn' (did you mean 'wagon'?)",
        "data.class_weights: no class is called 'tree'",
    )


def test_weights_of_pixels_follow_the_inverse_root_and_have_mean_one() -> None:
    pixels = np.array([[7000, 100, 0, 999], [500, 2400, 0, 0]])
    weights = pixel_weights(pixels, ("a", "b", "c"), "auto")
    counts = np.array([7500, 2500])
    assert (weights[:2] * counts).sum() / counts.sum() == pytest.approx(1)
    assert weights[1] / weights[0] == pytest.approx(3**0.5)
    assert np.isfinite(weights).all()
    assert weights.dtype == np.float32
    assert pixel_weights(pixels, ("a", "b", "c"), {"b": 3}).tolist() == [1, 3, 1]
    with pytest.raises(ConfigError, match=r"no class is called 'aa' \(did you mean 'a'\?\)"):
        pixel_weights(pixels, ("a", "b", "c"), {"aa": 3})
    with pytest.raises(DataError, match="no pixel of the training masks counts"):
        pixel_weights(np.array([[0, 0, 9]]), ("a", "b"), "auto")


def test_images_of_rare_classes_are_shown_as_often_as_with_boxes() -> None:
    pixels = np.array([[9, 0, 5], [9, 1, 0], [9, 0, 0], [0, 0, 5]])
    records = [record(0), record(0, 1), record(0), record()]
    for threshold in (0.1, 0.5, 1.0):
        expected = repeat_factors(records, threshold)
        assert mask_repeat_factors(pixels, threshold).tolist() == expected.tolist()
    assert (
        class_weights(records, ("a", "b"), "auto").tolist()
        == pixel_weights(np.array([[3, 1, 7]]), ("a", "b"), "auto").tolist()
    )
