"""The bootstrap: the same numbers as the evaluator, and the properties of an interval."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from limbeck.metrics.bootstrap import (
    as_it_is,
    bootstrap_interval,
    gap_closed,
    mean_difference,
    paired_bootstrap,
    resample,
)
from limbeck.metrics.coco import CocoTruth, evaluate
from limbeck.metrics.matching import Matches, match


def matched(content: dict[str, Any], predictions: list[dict[str, Any]]) -> Matches:
    return match(CocoTruth.from_json(content), predictions)


def worsened(predictions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same detections, each moved by a third of its width."""
    moved = copy.deepcopy(predictions)
    for prediction in moved:
        prediction["bbox"][0] += prediction["bbox"][2] / 3
    return moved


@pytest.mark.parametrize("seed", range(6))
def test_every_image_once_gives_the_evaluators_numbers(random_set: Any, seed: int) -> None:
    content, predictions = random_set(seed)
    expected = evaluate(CocoTruth.from_json(content), predictions).metrics

    measured = as_it_is(matched(content, predictions))

    assert measured == pytest.approx({"AP": expected["AP"], "AP50": expected["AP50"]}, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_a_resample_equals_a_data_set_with_repeated_images(random_set: Any, seed: int) -> None:
    """Scores are made different: among equal scores the order of the copies is arbitrary."""
    content, predictions = random_set(seed)
    for n, prediction in enumerate(predictions):
        prediction["score"] += n / 1e6
    weights = np.random.default_rng(seed).multinomial(12, [1 / 12] * 12)
    repeated, found = _repeat(content, predictions, weights)

    measured = matched(content, predictions).weighted(weights[None])

    expected = evaluate(CocoTruth.from_json(repeated), found).metrics
    assert measured["AP"][0] == pytest.approx(expected["AP"], abs=1e-12)
    assert measured["AP50"][0] == pytest.approx(expected["AP50"], abs=1e-12)


def _repeat(
    content: dict[str, Any], predictions: list[dict[str, Any]], weights: np.ndarray
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write every image as often as it is drawn; copies stand side by side, in the order of the ids."""
    repeated: dict[str, Any] = {"images": [], "annotations": [], "categories": content["categories"]}
    found = []
    for old, weight in zip(sorted(image["id"] for image in content["images"]), weights, strict=True):
        for _ in range(weight):
            new = len(repeated["images"]) + 1
            repeated["images"].append({"id": new})
            repeated["annotations"] += [{**a, "image_id": new} for a in content["annotations"] if a["image_id"] == old]
            found += [{**p, "image_id": new} for p in predictions if p["image_id"] == old]
    return repeated, found


def test_the_interval_holds_the_value_and_follows_the_seed(random_set: Any) -> None:
    matches = matched(*random_set(1))
    low, high = bootstrap_interval(matches, samples=200, seed=3)["AP"]

    assert 0 <= low < as_it_is(matches)["AP"] < high <= 1
    assert bootstrap_interval(matches, samples=200, seed=3)["AP"] == (low, high)
    assert bootstrap_interval(matches, samples=200, seed=4)["AP"] != (low, high)


def test_a_higher_level_gives_a_wider_interval(random_set: Any) -> None:
    matches = matched(*random_set(1))
    low, high = bootstrap_interval(matches, samples=200, level=0.5)["AP"]
    wide_low, wide_high = bootstrap_interval(matches, samples=200, level=0.99)["AP"]

    assert wide_low < low < high < wide_high


def test_chunks_do_not_change_the_answer(random_set: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    matches = matched(*random_set(2))
    expected = bootstrap_interval(matches, samples=50)

    monkeypatch.setattr("limbeck.metrics.bootstrap._CELLS_PER_CHUNK", 300)

    assert bootstrap_interval(matches, samples=50) == expected


def test_a_perfect_model_is_certain() -> None:
    content = {
        "images": [{"id": n} for n in range(5)],
        "categories": [{"id": 1, "name": "wheel"}],
        "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": [0, 0, 9, 9]} for n in range(5)],
    }
    found = [{"image_id": n, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5} for n in range(5)]

    assert bootstrap_interval(matched(content, found), samples=50)["AP"] == (1, 1)
    assert bootstrap_interval(matched(content, []), samples=50)["AP"] == (0, 0)
    assert bootstrap_interval(matched({**content, "annotations": []}, found), samples=50)["AP"] == (-1, -1)


def test_a_model_against_itself_differs_by_nothing(random_set: Any) -> None:
    matches = matched(*random_set(0))
    paired = paired_bootstrap(matches, matches, samples=100)["AP"]

    assert (paired.difference, paired.low, paired.high, paired.share_above_zero) == (0, 0, 0, 0)


def test_a_clearly_better_model_is_better_in_nearly_every_resample(random_set: Any) -> None:
    content, predictions = random_set(0, images=40)
    better, worse = matched(content, predictions), matched(content, worsened(predictions))

    paired = paired_bootstrap(better, worse, samples=200)["AP"]
    reverse = paired_bootstrap(worse, better, samples=200)["AP"]

    assert paired.low > 0
    assert paired.share_above_zero > 0.99
    assert paired.difference == pytest.approx(as_it_is(better)["AP"] - as_it_is(worse)["AP"])
    assert (reverse.low, reverse.high) == pytest.approx((-paired.high, -paired.low))


def test_models_on_different_images_cannot_be_paired(random_set: Any) -> None:
    with pytest.raises(ValueError, match="same truth"):
        paired_bootstrap(matched(*random_set(0)), matched(*random_set(1)))


def several(random_set: Any, count: int) -> tuple[dict[str, Any], list[list[dict[str, Any]]]]:
    """One truth and the detections of several models, which all score differently."""
    content, predictions = random_set(3)
    generator = np.random.default_rng(0)
    models = []
    for _ in range(count):
        kept = [p for p in worsened(predictions) if generator.random() < 0.6]
        models.append([{**p, "score": p["score"] + n / 1e6} for n, p in enumerate(kept)])
    return content, models


def test_a_mean_difference_equals_a_slow_loop_over_seeds_and_resamples(random_set: Any) -> None:
    content, found = several(random_set, 4)
    samples, seed = 12, 5
    differences = []
    generator = np.random.default_rng(seed)
    for _ in range(samples):
        weights = generator.multinomial(12, [1 / 12] * 12)
        scores = []
        for predictions in found:
            repeated, copies = _repeat(content, predictions, weights)
            scores.append(evaluate(CocoTruth.from_json(repeated), copies).metrics["AP50"])
        differences.append((scores[0] - scores[2] + scores[1] - scores[3]) / 2)
    once = [evaluate(CocoTruth.from_json(content), predictions).metrics["AP50"] for predictions in found]

    models = [resample(matched(content, predictions), samples, seed) for predictions in found]
    measured = mean_difference(models[:2], models[2:], level=0.5)["AP50"]

    assert measured.difference == pytest.approx((once[0] - once[2] + once[1] - once[3]) / 2, abs=1e-12)
    assert (measured.low, measured.high) == pytest.approx(np.quantile(differences, [0.25, 0.75]), abs=1e-12)
    assert measured.share_above_zero == np.mean([difference > 0 for difference in differences])


def test_one_pair_is_the_paired_bootstrap(random_set: Any) -> None:
    content, (a, b) = several(random_set, 2)
    models = [resample(matched(content, predictions), 50, 1) for predictions in (a, b)]

    assert mean_difference(models[:1], models[1:]) == paired_bootstrap(matched(content, a), matched(content, b), 50, 1)


def test_the_same_pair_twice_is_no_more_certain(random_set: Any) -> None:
    content, (a, b) = several(random_set, 2)
    models = [resample(matched(content, predictions), 50) for predictions in (a, b)]

    twice = mean_difference([models[0]] * 2, [models[1]] * 2)["AP"]

    once = mean_difference(models[:1], models[1:])["AP"]
    assert (twice.difference, twice.low, twice.high) == pytest.approx((once.difference, once.low, once.high))


def test_every_model_needs_a_counterpart_on_the_same_images(random_set: Any) -> None:
    here, there = (resample(matched(*random_set(seed)), 10) for seed in (0, 1))
    with pytest.raises(ValueError, match="same truth"):
        mean_difference([here, there], [here, here])
    with pytest.raises(ValueError, match=r"longer|shorter"):
        mean_difference([here, here], [here])


def test_gap_closed() -> None:
    assert gap_closed(teacher=0.6, control=0.4, student=0.5) == pytest.approx(0.5)
    assert gap_closed(teacher=0.6, control=0.4, student=0.3) == pytest.approx(-0.5)
    assert gap_closed(teacher=0.4, control=0.4, student=0.5) is None
    assert gap_closed(teacher=0.3, control=0.4, student=0.5) is None


def test_images_without_objects_are_drawn_and_their_false_alarms_count() -> None:
    """Two images, one object: in a resample the false alarm on the other image comes 0, 1 or 2 times."""
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "nothing.jpg"}],
        "categories": [{"id": 1, "name": "wheel"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "area": 81, "iscrowd": 0}],
    }
    box = {"category_id": 1, "bbox": [0.0, 0.0, 9.0, 9.0]}
    matches = matched(content, [{"image_id": 2, "score": 0.9, **box}, {"image_id": 1, "score": 0.5, **box}])
    weights = np.array([[1, 1], [2, 0], [1, 2], [0, 2]])
    drawn = matches.weighted(weights)["AP"]
    assert drawn[:3] == pytest.approx([1 / 2, 1, 1 / 3])
    assert np.isnan(drawn[3]), "without the object there is nothing to find"
    assert set(resample(matches, samples=50).values["AP"][:50].round(3)) >= {0.5, 1.0}
