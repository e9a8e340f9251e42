"""Counts for the bootstrap: the same numbers as the full evaluation, resampled, paired, written and read."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest

from limbeck.errors import ConfigError, DataError, RunFolderError
from limbeck.metrics.bootstrap import as_it_is, bootstrap_interval, paired_bootstrap, resample
from limbeck.metrics.boxes3d import Found3D, Truth3D
from limbeck.metrics.counts3d import Counts3D
from limbeck.metrics.detection3d import evaluate
from limbeck.metrics.seeds import compare_rows


def match(*args):
    return evaluate(*args).counts


def expected_of(measured):
    names = [f"AP/{name}" for name in measured.per_class]
    aps = [row["AP"] for row in measured.per_class.values()]
    return {name: measured.metrics[name] for name in ("mAP", "NDS", "mAPH")} | dict(zip(names, aps, strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_every_frame_once_gives_exactly_the_metrics_of_the_set(random_clouds, seed):
    truth, found = random_clouds(seed, classes=("car", "barrier", "absent") if seed else ("car",))
    assert as_it_is(match(truth, found)) == expected_of(evaluate(truth, found))


def test_overlaps_that_are_asked_for_count_here_too(random_clouds):
    truth, found = random_clouds(0)
    asked = {"car": 0.2, "pedestrian": 0.2}
    assert as_it_is(match(truth, found, asked)) == expected_of(evaluate(truth, found, asked))
    assert as_it_is(match(truth, found, asked))["mAPH"] > as_it_is(match(truth, found))["mAPH"]


@pytest.mark.parametrize("seed", range(6))
def test_a_resample_equals_a_set_with_repeated_frames(random_clouds, seed):
    truth, found = random_clouds(seed, frames=6, spread=10.0)
    weights = np.random.default_rng(seed).integers(0, 4, 6)
    rows = np.repeat(np.arange(6), weights).tolist()
    repeated = Truth3D(truth.classes, tuple(range(len(rows))), tuple(truth.frames[row] for row in rows))
    expected = evaluate(repeated, Found3D(tuple(found.frames[row] for row in rows)))
    drawn = match(truth, found).weighted(weights[None])
    assert {name: -1 if np.isnan(values[0]) else values[0] for name, values in drawn.items()} == pytest.approx(
        expected_of(expected), abs=1e-12
    )


def test_an_interval_holds_the_value_and_follows_the_seed(random_clouds):
    counts = match(*random_clouds(1, frames=16))
    intervals = bootstrap_interval(counts, samples=200, seed=3)
    for name, value in as_it_is(counts).items():
        low, high = intervals[name]
        assert low < value < high
    assert bootstrap_interval(counts, samples=200, seed=3) == intervals
    assert bootstrap_interval(counts, samples=200, seed=4) != intervals


def test_chunks_do_not_change_the_answer(random_clouds, monkeypatch):
    counts = match(*random_clouds(2))
    expected = resample(counts, 30).values
    monkeypatch.setattr("limbeck.metrics.bootstrap._CELLS_PER_CHUNK", 7 * counts.cells)
    for name, values in resample(counts, 30).values.items():
        np.testing.assert_array_equal(values, expected[name])


def test_whether_a_class_was_drawn_is_the_same_for_all_models(random_clouds):
    """One frame of six has the class, whatever a model sees elsewhere."""
    truth, found = random_clouds(3, frames=6, classes=("car", "rare"))
    frames = [truth.frames[0], *(replace(frame, labels=frame.labels * 0) for frame in truth.frames[1:])]
    truth = Truth3D(truth.classes, truth.frame_ids, tuple(frames))
    nothing = Found3D(tuple(type(f)(f.boxes[:0], f.scores[:0], f.labels[:0]) for f in found.frames))
    values = [resample(match(truth, answers), 100).values["AP/rare"] for answers in (found, nothing)]
    assert 0 < np.isnan(values[0]).sum() < 100
    np.testing.assert_array_equal(np.isnan(values[0]), np.isnan(values[1]))


def test_a_better_model_is_better_and_an_equal_one_is_not(random_clouds):
    """The truth of a seed does not depend on how far off the detections are."""
    (truth, good), (same, bad) = (random_clouds(4, frames=1, objects=30, noise=noise) for noise in (0.05, 1.5))
    np.testing.assert_array_equal(truth.frames[0].boxes, same.frames[0].boxes)
    better = paired_bootstrap(match(truth, good), match(truth, bad), samples=20)
    assert all(better[name].low > 0 for name in ("mAP", "NDS", "mAPH"))
    equal = paired_bootstrap(match(truth, good), match(truth, good), samples=20)
    assert {(value.difference, value.low, value.high) for value in equal.values()} == {(0, 0, 0)}


def test_models_on_different_truths_cannot_be_paired(random_clouds):
    truth, found = random_clouds(5)
    counts = match(truth, found)
    still = [replace(frame, velocities=None) for frame in truth.frames]
    hidden = [replace(frame, num_points=frame.num_points * 0) for frame in truth.frames]
    for frames in (still, hidden, truth.frames[::-1]):
        answers = found if frames is not truth.frames[::-1] else Found3D(found.frames[::-1])
        with pytest.raises(ValueError, match="same truth"):
            paired_bootstrap(counts, match(Truth3D(truth.classes, truth.frame_ids, tuple(frames)), answers), samples=5)


def test_rows_over_seeds(random_clouds):
    truth, _ = random_clouds(6, frames=1, objects=30)
    models = {
        name: [match(truth, random_clouds(6, frames=1, objects=30, noise=noise + step)[1]) for step in (0, 0.1)]
        for name, noise in (("control", 0.9), ("kd", 0.2))
    }
    _, kd = compare_rows(models, None, "NDS", samples=20, seed=0)
    assert kd.gains["NDS"].over_images.difference > 0


def test_detections_are_sorted_best_first(random_clouds):
    counts = match(*random_clouds(7))
    assert all(before >= after for before, after in pairwise(counts.scores))
    assert counts.num_images == counts.cells == 8


def test_what_does_not_fit_is_refused(clouds):
    truth, found = clouds(([{}], [{}]))
    with pytest.raises(DataError, match="0 frames"):
        match(truth, Found3D(()))
    with pytest.raises(ConfigError, match="did you mean 'car'"):
        match(truth, found, {"cars": 0.5})


def test_no_frames_and_no_boxes(clouds):
    for frames in ((), (([], []),), (([], [{}]),)):
        counts = match(*clouds(*frames))
        assert as_it_is(counts) == dict.fromkeys(("mAP", "NDS", "mAPH", "AP/car"), -1)


def same(a, b):
    return a.classes == b.classes and all(
        np.array_equal(getattr(a, field.name), getattr(b, field.name), equal_nan=field.name == "errors")
        and getattr(a, field.name).dtype == getattr(b, field.name).dtype
        for field in fields(a)[1:]
    )


def test_counts_are_written_and_read_again(tmp_path, random_clouds, clouds):
    for counts in (match(*random_clouds(8)), match(*clouds(([], []), classes=("Fußgänger", "Zug")))):
        counts.save(tmp_path / "counts.npz")
        read = Counts3D.load(tmp_path / "counts.npz")
        assert same(read, counts)
        assert as_it_is(read) == as_it_is(counts)
    assert [path.name for path in tmp_path.iterdir()] == ["counts.npz"]


def test_equal_counts_give_equal_files(tmp_path, random_clouds):
    for name in ("a", "b"):
        match(*random_clouds(9)).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_broken_file_is_named(tmp_path, random_clouds):
    path = tmp_path / "counts.npz"
    match(*random_clouds(10)).save(path)
    whole = path.read_bytes()
    broken = {"cut off": whole[:-40], "empty": b"", "text": b"not an archive", "pickle": pickle.dumps({"classes": 1})}
    for content in broken.values():
        path.write_bytes(content)
        with pytest.raises(RunFolderError, match=r"counts\.npz cannot be read"):
            Counts3D.load(path)
    with pytest.raises(RunFolderError, match=r"none\.npz cannot be read"):
        Counts3D.load(tmp_path / "none.npz")


def test_a_file_with_other_counts_is_refused(tmp_path, random_clouds):
    path = tmp_path / "counts.npz"
    match(*random_clouds(11)).save(path)
    arrays = dict(np.load(path))
    for name in ("classes", "labels", "scores", "by_distance", "errors", "moving"):
        np.savez(path, **{**arrays, name: arrays[name][:-1]})
        with pytest.raises(RunFolderError, match=r"counts\.npz has \w+ of shape"):
            Counts3D.load(path)
    np.savez(path, **{key: array for key, array in arrays.items() if key != "moving"})
    with pytest.raises(RunFolderError, match="moving"):
        Counts3D.load(path)
    np.savez(path, **{**arrays, "classes": np.array([{}], dtype=object)})
    with pytest.raises(RunFolderError, match="cannot be read: Object arrays"):
        Counts3D.load(path)
