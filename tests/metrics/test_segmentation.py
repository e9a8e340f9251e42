"""Segmentation metrics: against slow loops and torchmetrics, what undefined means, and how they are resampled."""

from __future__ import annotations

import pickle
from statistics import mean

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from limbeck.core.samples import IGNORED_LABEL
from limbeck.errors import RunFolderError
from limbeck.metrics.bootstrap import as_it_is, bootstrap_interval, paired_bootstrap, resample
from limbeck.metrics.boundary import boundary_counts, boundary_f
from limbeck.metrics.seeds import compare_rows
from limbeck.metrics.segmentation import METRIC_NAMES, SegmentationCounts, confusion_matrix, evaluate

CLASSES = ("road", "rail", "fault", "absent")


def random_maps(seed, images=6, wrong=0.3, size_hw=(9, 11)):
    """Pairs of maps; the class ``absent`` is in none of them and ``fault`` in every second one only."""
    truths, generator = np.random.default_rng(1), np.random.default_rng(seed)
    maps = []
    for number in range(images):
        labels = truths.integers(0, 3 - number % 2, size_hw).astype(np.uint8)
        labels[truths.random(size_hw) < 0.1] = IGNORED_LABEL
        guess = generator.integers(0, 3, size_hw)
        predicted = np.where((generator.random(size_hw) < wrong) | (labels == IGNORED_LABEL), guess, labels)
        maps.append((labels, predicted.astype(np.uint8)))
    return maps


def counted(seed=0, **settings):
    return SegmentationCounts.of(CLASSES, random_maps(seed, **settings))


MAPS = st.builds(
    lambda seed, images, wrong: random_maps(seed, images, wrong),
    st.integers(0, 1000),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.2, 1.0]),
)


def slow_metrics(maps, num_classes):
    """The metrics of the set from loops over pixels, -1 where undefined."""
    pixels = [pair for labels, predicted in maps for pair in zip(labels.flat, predicted.flat, strict=True)]
    pixels = [(int(label), int(guess)) for label, guess in pixels if label != IGNORED_LABEL]
    iou, f, recall, weighted = [], [], [], 0.0
    for k in range(num_classes):
        hits = sum(label == k and guess == k for label, guess in pixels)
        missed = sum(label == k and guess != k for label, guess in pixels)
        false = sum(label != k and guess == k for label, guess in pixels)
        if hits + missed + false:
            iou.append(hits / (hits + missed + false))
            f.append(2 * hits / (2 * hits + missed + false))
            weighted += (hits + missed) * iou[-1]
        if hits + missed:
            recall.append(hits / (hits + missed))
    right = sum(label == guess for label, guess in pixels)
    boundary = sum(boundary_counts(*pair, num_classes) for pair in maps)
    scores = [value for value in boundary_f(boundary.astype(float)) if not np.isnan(value)]
    return {
        "mIoU": mean(iou),
        "mF": mean(f),
        "pixel_accuracy": right / len(pixels),
        "mean_accuracy": mean(recall),
        "fwIoU": weighted / len(pixels),
        "boundary_F": mean(scores),
    }


@given(MAPS)
def test_metrics_against_loops_over_pixels(maps):
    measured = evaluate(SegmentationCounts.of(CLASSES, maps)).metrics
    assert tuple(measured) == METRIC_NAMES
    assert measured == pytest.approx(slow_metrics(maps, len(CLASSES)))


def test_confusion_matrix_against_a_loop():
    ((labels, predicted),) = random_maps(3, images=1)
    expected = np.zeros((4, 4), dtype=np.int64)
    for label, guess in zip(labels.flat, predicted.flat, strict=True):
        if label != IGNORED_LABEL:
            expected[label, guess] += 1
    matrix = confusion_matrix(labels, predicted, 4)
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(matrix, expected)


def test_metrics_against_torchmetrics():
    reference = pytest.importorskip("torchmetrics.functional.classification")
    maps = random_maps(2)
    labels, predicted = (torch.from_numpy(np.stack(part).astype(np.int64)) for part in zip(*maps, strict=True))
    measured = evaluate(SegmentationCounts.of(CLASSES[:3], maps))
    settings = {"num_classes": 3, "ignore_index": IGNORED_LABEL}
    for name, function in {
        "IoU": reference.multiclass_jaccard_index,
        "F": reference.multiclass_f1_score,
        "precision": reference.multiclass_precision,
        "recall": reference.multiclass_recall,
    }.items():
        expected = function(predicted, labels, average="none", **settings)
        assert [row[name] for row in measured.per_class.values()] == pytest.approx(expected.tolist(), abs=1e-6)
    matrix = reference.multiclass_confusion_matrix(predicted, labels, **settings)
    np.testing.assert_array_equal(measured.confusion, matrix.numpy())


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), "shape"),
        (np.full((2, 3), 4), np.zeros((2, 3)), "a map holds class 4"),
        (np.zeros((2, 3)), np.full((2, 3), 4), "a map holds class 4"),
        (np.zeros((2, 3)), np.full((2, 3), IGNORED_LABEL), "a map holds class 255"),
    ],
)
def test_maps_that_do_not_fit_are_refused(labels, predicted, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(labels.astype(np.uint8), predicted.astype(np.uint8), 4)


def test_a_perfect_prediction():
    maps = [(labels, np.where(labels == IGNORED_LABEL, 0, labels)) for labels, _ in random_maps(0)]
    measured = evaluate(SegmentationCounts.of(CLASSES, maps))
    assert measured.metrics == dict.fromkeys(METRIC_NAMES, 1)
    for name in CLASSES[:3]:
        assert set(measured.per_class[name].values()) == {1, measured.per_class[name]["pixels"]}


def test_a_class_that_does_not_occur_is_undefined_and_left_out_of_the_means():
    with_absent, without = counted(), SegmentationCounts.of(CLASSES[:3], random_maps(0))
    assert evaluate(with_absent).metrics == evaluate(without).metrics
    absent = evaluate(with_absent).per_class["absent"]
    assert absent == {"IoU": -1, "F": -1, "precision": -1, "recall": -1, "boundary_F": -1, "pixels": 0}


def test_a_class_that_is_only_predicted_has_iou_0_and_counts():
    maps = [(labels, predicted.copy()) for labels, predicted in random_maps(0)]
    maps[0][1][:2] = 3
    measured = evaluate(SegmentationCounts.of(CLASSES, maps))
    absent = measured.per_class["absent"]
    assert absent == {"IoU": 0, "F": 0, "precision": 0, "recall": -1, "boundary_F": 0, "pixels": 0}
    assert measured.metrics["mIoU"] == pytest.approx(mean(row["IoU"] for row in measured.per_class.values()))


def test_nothing_to_measure():
    nothing = np.full((3, 4), IGNORED_LABEL, dtype=np.uint8)
    for maps in ([], [(nothing, np.zeros_like(nothing))]):
        measured = evaluate(SegmentationCounts.of(CLASSES, maps))
        assert measured.metrics == dict.fromkeys(METRIC_NAMES, -1)
        assert not measured.confusion.any()
    counts = SegmentationCounts.of(CLASSES, [(nothing, np.zeros_like(nothing))] * 2)
    assert set(bootstrap_interval(counts, samples=10).values()) == {(-1, -1)}


def test_without_a_boundary_in_the_truth_its_score_is_undefined_whatever_is_predicted():
    plain = np.zeros((5, 6), dtype=np.uint8)
    spotted = plain.copy()
    spotted[2, 2] = 1
    for predicted in (plain, spotted):
        assert evaluate(SegmentationCounts.of(CLASSES, [(plain, predicted)])).metrics["boundary_F"] == -1


@given(MAPS, st.randoms())
def test_the_order_of_the_images_does_not_matter(maps, random):
    shuffled = random.sample(maps, len(maps))
    assert evaluate(SegmentationCounts.of(CLASSES, maps)).metrics == (
        evaluate(SegmentationCounts.of(CLASSES, shuffled)).metrics
    )


@given(arrays.arrays(np.int64, (2, 3, 3), elements=st.integers(0, 5)))
def test_f_is_2_iou_by_1_plus_iou(confusion):
    counts = SegmentationCounts(CLASSES[:3], confusion, np.zeros((2, 3, 4), dtype=np.int64))
    for row in evaluate(counts).per_class.values():
        assert row["F"] == pytest.approx(-1 if row["IoU"] == -1 else 2 * row["IoU"] / (1 + row["IoU"]))
        assert row["IoU"] == -1 or 0 <= row["IoU"] <= row["F"] <= 1


@given(MAPS, st.data())
def test_a_resample_equals_a_set_with_repeated_images(maps, data):
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(maps), max_size=len(maps)).filter(any))
    repeated = [pair for pair, weight in zip(maps, weights, strict=True) for _ in range(weight)]
    expected = evaluate(SegmentationCounts.of(CLASSES, repeated))

    drawn = SegmentationCounts.of(CLASSES, maps).weighted(np.array([weights]))

    assert list(drawn) == ["mIoU", "mF", "pixel_accuracy", "boundary_F", *(f"IoU/{name}" for name in CLASSES)]
    for name in ("mIoU", "mF", "pixel_accuracy", "boundary_F"):
        assert drawn[name].item() == expected.metrics[name]
    for name in CLASSES:
        row = expected.per_class[name]
        wanted = row["IoU"] if row["pixels"] else np.nan
        np.testing.assert_equal(drawn[f"IoU/{name}"].item(), wanted)


def test_as_it_is_are_the_metrics_of_the_set():
    counts = counted()
    measured = evaluate(counts)
    expected = {name: measured.metrics[name] for name in ("mIoU", "mF", "pixel_accuracy", "boundary_F")}
    assert as_it_is(counts) == expected | {f"IoU/{name}": row["IoU"] for name, row in measured.per_class.items()}


def test_one_image_has_no_interval_to_speak_of():
    counts = counted(images=1)
    for name, (low, high) in bootstrap_interval(counts, samples=20).items():
        assert low == high == as_it_is(counts)[name]


def test_an_interval_holds_the_value_and_follows_the_seed():
    counts = counted(images=12)
    intervals = bootstrap_interval(counts, samples=200, seed=3)
    for name, value in as_it_is(counts).items():
        low, high = intervals[name]
        assert (low, high) == (-1, -1) if value == -1 else low < value < high
    assert bootstrap_interval(counts, samples=200, seed=3) == intervals
    assert bootstrap_interval(counts, samples=200, seed=4) != intervals


def test_chunks_do_not_change_the_answer(monkeypatch):
    counts = counted()
    expected = resample(counts, 50).values
    monkeypatch.setattr("limbeck.metrics.bootstrap._CELLS_PER_CHUNK", 7 * counts.cells)
    for name, values in resample(counts, 50).values.items():
        np.testing.assert_array_equal(values, expected[name])


def test_equal_models_differ_by_nothing_and_a_better_one_by_more():
    same = paired_bootstrap(counted(0), counted(0), samples=50)
    assert {(d.difference, d.low, d.high) for name, d in same.items() if name != "IoU/absent"} == {(0, 0, 0)}
    better = paired_bootstrap(counted(0, wrong=0.1), counted(0, wrong=0.6), samples=100)
    for name in ("mIoU", "mF", "pixel_accuracy", "IoU/fault"):
        assert 0 < better[name].low < better[name].difference < better[name].high


def test_whether_a_class_was_drawn_is_the_same_for_all_models():
    """One image of four has the fault; for a model that sees it everywhere its IoU is defined no more often."""
    maps = [(labels, predicted.copy()) for labels, predicted in random_maps(0, images=2)] * 2
    rare = [maps[0], *[(np.minimum(labels, 1), np.minimum(predicted, 1)) for labels, predicted in maps[1:]]]
    wild = [(labels, np.full_like(predicted, 2)) for labels, predicted in rare]
    values = [resample(SegmentationCounts.of(CLASSES, m), 100).values["IoU/fault"] for m in (rare, wild)]
    assert 0 < np.isnan(values[0]).sum() < 100
    np.testing.assert_array_equal(np.isnan(values[0]), np.isnan(values[1]))


def test_models_on_different_truths_cannot_be_paired():
    with pytest.raises(ValueError, match="same truth"):
        paired_bootstrap(counted(), counted(images=7), samples=5)
    turned = SegmentationCounts.of(CLASSES, random_maps(0)[::-1])
    with pytest.raises(ValueError, match="same truth"):
        paired_bootstrap(counted(), turned, samples=5)


def test_rows_over_seeds():
    models = {"control": [counted(seed, wrong=0.5) for seed in (0, 1)], "kd": [counted(seed) for seed in (2, 3)]}
    teacher = counted(4, wrong=0.1)
    control, kd = compare_rows(models, teacher, "IoU/fault", samples=40, seed=0)
    scores = {name: [evaluate(c).per_class["fault"]["IoU"] for c in row] for name, row in models.items()}
    assert kd.scores["IoU/fault"].values == tuple(scores["kd"])
    assert kd.gains["IoU/fault"].over_images.difference == pytest.approx(mean(scores["kd"]) - mean(scores["control"]))
    goal, base = evaluate(teacher).per_class["fault"]["IoU"], mean(scores["control"])
    assert kd.gap_closed == pytest.approx((mean(scores["kd"]) - base) / (goal - base))
    assert control.gains == {}


def test_counts_are_written_and_read_again(tmp_path):
    for counts in (counted(), SegmentationCounts.of(("Gleis", "Fußgänger"), [])):
        counts.save(tmp_path / "counts.npz")
        read = SegmentationCounts.load(tmp_path / "counts.npz")
        assert read.classes == counts.classes
        for name in ("confusion", "boundary"):
            np.testing.assert_array_equal(getattr(read, name), getattr(counts, name))
            assert getattr(read, name).dtype == np.int64
    assert [path.name for path in tmp_path.iterdir()] == ["counts.npz"]


def test_equal_counts_give_equal_files(tmp_path):
    for name in ("a", "b"):
        counted().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_broken_file_is_named(tmp_path):
    path = tmp_path / "counts.npz"
    counted().save(path)
    whole = path.read_bytes()
    broken = {"cut off": whole[:-40], "empty": b"", "text": b"not an archive", "pickle": pickle.dumps({"classes": 1})}
    for content in broken.values():
        path.write_bytes(content)
        with pytest.raises(RunFolderError, match=r"counts\.npz cannot be read"):
            SegmentationCounts.load(path)
    with pytest.raises(RunFolderError, match=r"none\.npz cannot be read"):
        SegmentationCounts.load(tmp_path / "none.npz")


def test_a_file_with_other_counts_is_refused(tmp_path):
    path = tmp_path / "counts.npz"
    np.savez(path, classes=np.array(CLASSES), confusion=np.zeros((2, 4, 4)))
    with pytest.raises(RunFolderError, match=r"counts\.npz cannot be read"):
        SegmentationCounts.load(path)
    np.savez(path, classes=np.array(CLASSES), confusion=np.zeros((2, 4, 4)), boundary=np.zeros((3, 4, 4)))
    with pytest.raises(RunFolderError, match=r"has 4 classes, but counts of the shapes \(2, 4, 4\) and \(3, 4, 4\)"):
        SegmentationCounts.load(path)
    np.savez(path, classes=np.array([{}], dtype=object), confusion=np.zeros((0, 1, 1)), boundary=np.zeros((0, 1, 4)))
    with pytest.raises(RunFolderError, match=r"cannot be read: Object arrays"):
        SegmentationCounts.load(path)
