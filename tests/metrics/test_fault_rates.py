import numpy as np
import pytest

from limbeck.errors import DataError
from limbeck.metrics.coco import CocoTruth
from limbeck.metrics.fault_rates import ImageScores, image_scores, operating_threshold, rate_intervals, rates_at


def scores(*pairs):
    return ImageScores(np.array([bool(has) for has, _ in pairs]), np.array([float(top) for _, top in pairs]), 0)


def slow(given, threshold):
    missing = false = 0
    for has, top in zip(given.has_object, given.top_score, strict=True):
        missing += bool(has and not top > threshold)
        false += bool(not has and top > threshold)
    count = len(given.top_score)
    return [1 - missing / count - false / count, missing / count, false / count]


def test_rates_against_a_loop():
    generator = np.random.default_rng(0)
    given = ImageScores(generator.random(50) < 0.5, generator.random(50).round(1), 0)
    thresholds = np.linspace(0, 1, 21)
    np.testing.assert_allclose(rates_at(given, thresholds), [slow(given, t) for t in thresholds])


def test_a_score_at_the_threshold_is_not_above_it():
    assert rates_at(scores((1, 0.5)), [0.5]).tolist() == [[0, 1, 0]]
    assert rates_at(scores((0, 0.5)), [0.5]).tolist() == [[1, 0, 0]]


def test_the_best_threshold_of_all_is_found():
    generator = np.random.default_rng(1)
    for _ in range(20):
        given = ImageScores(generator.random(30) < 0.4, generator.random(30).round(2), 0)
        found = rates_at(given, [operating_threshold(given)])[0]
        every = rates_at(given, np.linspace(0, 1, 1001))
        assert found[0] == pytest.approx(every[:, 0].max())
        assert found[1] == pytest.approx(every[np.isclose(every[:, 0], every[:, 0].max()), 1].min())


def test_of_equal_thresholds_the_one_in_the_widest_gap_is_taken():
    assert operating_threshold(scores((1, 0.9), (0, 0.1))) == pytest.approx(0.5)
    assert operating_threshold(scores((1, 0.9), (1, 0.8), (0, 0.2))) == pytest.approx(0.5)


def test_fewer_missing_detections_are_preferred():
    # above 0.6 one is missing, below 0.4 one is false: as many are correct
    given = scores((1, 0.4), (0, 0.6), (1, 0.9), (0, 0.1))
    assert rates_at(given, [operating_threshold(given)])[0].tolist() == [0.75, 0, 0.25]


@pytest.mark.parametrize(("has", "wanted"), [(1, [0, 1, 0]), (0, [1, 0, 0])])
def test_images_without_any_detection(has, wanted):
    given = scores((has, 0), (has, 0))
    assert rates_at(given, [operating_threshold(given)])[0].tolist() == wanted


def test_intervals_hold_the_rate_and_shrink_with_the_number_of_images():
    generator = np.random.default_rng(2)
    widths = []
    for count in (20, 2000):
        given = ImageScores(generator.random(count) < 0.5, generator.random(count), 0)
        intervals = rate_intervals(given, 0.5, samples=400)
        for (low, high), value in zip(intervals.values(), rates_at(given, [0.5])[0], strict=True):
            assert low <= value <= high
        widths.append(np.diff(intervals["CDR"])[0])
    assert widths[1] < widths[0] / 4
    assert rate_intervals(given, 0.5, samples=400) == intervals


def test_the_intervals_are_those_of_drawn_images():
    generator = np.random.default_rng(1)
    given = ImageScores(generator.random(40) < 0.5, generator.random(40), 0)
    found = rate_intervals(given, 0.6, samples=20_000)
    rows = [generator.integers(40, size=40) for _ in range(5_000)]
    drawn = [slow(ImageScores(given.has_object[n], given.top_score[n], 0), 0.6) for n in rows]
    for (name, interval), values in zip(found.items(), np.transpose(drawn), strict=True):
        assert interval == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.026), name  # one image is 0.025


def test_many_images_take_no_square_of_memory():
    generator = np.random.default_rng(3)
    given = ImageScores(generator.random(200_000) < 0.5, generator.random(200_000), 0)
    assert 0 < operating_threshold(given) < 1
    assert set(rate_intervals(given, 0.5)) == {"CDR", "MDR", "FDR"}


def truth():
    box = {"category_id": 1, "bbox": [0, 0, 9, 9], "area": 81}
    return CocoTruth.from_json(
        {
            "images": [{"id": n, "file_name": f"{n}.png", "width": 20, "height": 20} for n in range(4)],
            "categories": [{"id": 1, "name": "fault"}],
            "annotations": [
                {"id": 1, "image_id": 0, "iscrowd": 0, **box},
                {"id": 2, "image_id": 2, "iscrowd": 1, **box},
                {"id": 3, "image_id": 3, "iscrowd": 1, **box},
                {"id": 4, "image_id": 3, "iscrowd": 0, **box},
            ],
        }
    )


def test_images_are_read_off_truth_and_predictions():
    results = [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "score": s} for s in (0.3, 0.7)]
    given = image_scores(truth(), results)
    assert given.has_object.tolist() == [True, False, True]  # image 2 holds a region to ignore and nothing else
    assert given.top_score.tolist() == [0, 0.7, 0]
    assert given.left_out == 1


def test_a_prediction_of_an_unknown_image_is_refused():
    with pytest.raises(DataError):
        image_scores(truth(), [{"image_id": 9, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5}])
