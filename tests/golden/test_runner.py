"""The golden test itself must notice what it is there to notice."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_angles import angle_limits, angle_problems
from golden_checks import CHECKS, LATER, kind_of
from golden_vectors import Array, close, find_entries, weight_by_formula

HERE = Path(__file__).parent
Arrays = dict[str, Array]


def _run(folder: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-v", "-rs", "-p", "no:cacheprovider", str(HERE / "test_golden.py")]
    done = subprocess.run([*command, "--golden", str(folder)], cwd=HERE.parents[1], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def _corrupted_integer(arrays: Arrays) -> Arrays:
    arrays["out.gt_index"][0] += 1
    return arrays


def _corrupted(name: str) -> Callable[[Arrays], Arrays]:
    def corrupt(arrays: Arrays) -> Arrays:
        arrays[name].flat[arrays[name].size // 2] += 1e-3
        return arrays

    return corrupt


def _turned(degrees: float, columns: slice = slice(None)) -> Callable[[Arrays], Arrays]:
    """Turn the normals of some columns about the axis of the camera."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))

    def turn(arrays: Arrays) -> Arrays:
        x, y, _ = arrays["out.normal"][..., columns]
        arrays["out.normal"][:2, :, columns] = c * x - s * y, s * x + c * y
        return arrays

    return turn


def _valid_everywhere(arrays: Arrays) -> Arrays:
    arrays["out.valid"][:] = True
    return arrays


PLANTED: dict[str, tuple[str, Callable[[Arrays], Arrays]]] = {
    "bcdl_k7_beta2": ("bcdl_k1_beta2", lambda arrays: arrays),
    "fgd": ("dfl", lambda arrays: arrays),
    "planted_entry": ("dfl", lambda arrays: arrays),
    "dfl_rows": ("dfl", _corrupted("out.rows")),
    "dfl_gradient": ("dfl", _corrupted("grad.logits")),
    "atss_index": ("atss_one", _corrupted_integer),
    "dfl_more": ("dfl", lambda arrays: arrays | {"out.planted": np.zeros(3)}),
    "normal_plane_right": ("normal_plane_road", lambda arrays: arrays),
    "normal_plane_wrong": ("normal_plane_road", _turned(0.02)),
    "normal_plane_valid": ("normal_plane_road", _valid_everywhere),
    "normal_plane_shape": ("normal_plane_road", lambda arrays: arrays | {"out.normal": np.zeros((3, 4, 4))}),
    "normal_sphere_wrong": ("normal_sphere_near", _turned(0.5)),
    "normal_sne_roadseg_near": ("normal_sne_roadseg", _turned(0.05)),
    "normal_sne_roadseg_wrong": ("normal_sne_roadseg", _turned(1, slice(20, 22))),
}
"""Name of a planted entry, the entry it is made of, and what is done to its arrays."""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest prints for the planted entries."""
    folder = tmp_path_factory.mktemp("golden") / "bckd"
    folder.mkdir()
    originals = {entry.name: entry for entry in find_entries(HERE / "data")}
    contents = []
    for name, (original, change) in PLANTED.items():
        contents.append(originals[original].content | {"name": name, "file": f"{name}.npz"})
        np.savez(folder / f"{name}.npz", **change(originals[original].arrays()))
    (folder / "manifest.json").write_text(json.dumps({"entries": contents}), encoding="utf-8")
    code, text = _run(folder.parent)
    assert code == 1, text
    return text


def test_planted_entries_are_counted(outcome: str) -> None:
    assert "golden: 3 entries passed, 1 skipped (later issues), 10 failed" in outcome


def test_unseen_entry_of_a_known_kind_passes(outcome: str) -> None:
    assert "test_entry[bckd/bcdl_k7_beta2] PASSED" in outcome


def test_later_kind_is_skipped_by_name(outcome: str) -> None:
    assert "bckd/fgd: the classic distillation losses are not written yet" in outcome


def test_unknown_kind_fails(outcome: str) -> None:
    assert "nothing here knows how to check the golden entry bckd/planted_entry" in outcome


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("dfl_rows", "out.rows differs in torch.float64"),
        ("dfl_gradient", "grad.logits differs in torch.float64"),
        ("atss_index", "out.gt_index differs in torch.float64"),
        ("dfl_more", "out.planted was not computed"),
        ("normal_plane_wrong", "out.normal differs in torch.float64: the max angle is 0.0200 degrees, above 0.0100"),
        ("normal_plane_valid", "out.valid differs in torch.float32"),
        ("normal_plane_shape", "pixels of (3, 40, 56) instead of (3, 4, 4)"),
        ("normal_sphere_wrong", "out.normal differs in torch.float32: the mean angle is"),
        ("normal_sne_roadseg_wrong", "out.normal differs in torch.float64: the p99 angle is"),
    ],
)
def test_corrupted_entry_fails(outcome: str, name: str, problem: str) -> None:
    assert f"test_entry[bckd/{name}] FAILED" in outcome
    assert problem in outcome


def test_folder_without_vectors_is_an_error(tmp_path: Path) -> None:
    code, text = _run(tmp_path)
    assert code != 0
    assert "there are no golden vectors (manifest.json) in" in text


def test_longest_kind_wins() -> None:
    assert kind_of("coco_one_box", CHECKS) == "coco_one_box"
    assert kind_of("coco_small", CHECKS) == "coco"
    assert kind_of("distance_encode", ["dist", "distance_encode"]) == "distance_encode"
    assert kind_of("distance", ["dist"]) is None


def test_no_kind_is_both_checked_and_later() -> None:
    later = [kind for kinds in LATER.values() for kind in kinds]
    assert not set(later) & set(CHECKS)
    assert len(later) == len(set(later))


def test_close_is_relative_to_value_and_scale() -> None:
    reference = np.array([1.0, 100.0, 0.0, np.nan])
    assert close(reference + np.array([1e-5, 1e-4, 1e-5, 0]), reference, rtol=1e-5, atol=0)
    assert not close(reference + np.array([2e-4, 0, 0, 0]), reference, rtol=1e-5, atol=0)
    assert close(np.full(3, 1e-7), np.zeros(3), rtol=0, atol=1e-6)
    assert not close(np.full(3, 1e-5), np.zeros(3), rtol=0, atol=1e-6)
    assert not close(np.zeros(3), np.zeros(4), rtol=1, atol=1)


def test_angle_limits_come_from_the_tolerance_or_the_parameters() -> None:
    plane = {"tolerance": {"max_angle_deg_f64": 0.01, "max_angle_deg_f32": 0.05}, "params": {}}
    assert angle_limits(plane, torch.float64) == {"max": 0.01}
    assert angle_limits(plane, torch.float32) == {"max": 0.05}
    assert angle_limits({"tolerance": {"p99_angle_deg_f32": 0.1}, "params": {}}, torch.float64) == {"p99": 0.1}
    params = {"measured_mean_error_deg_of_inverse_depth_form": 0.2, "measured_max_error_deg": 4.0}
    sphere = {"tolerance": {"angle_vs_params": 1.5}, "params": params}
    assert angle_limits(sphere, torch.float32) == pytest.approx({"mean": 0.3, "max": 6.0})
    assert angle_limits({"tolerance": {"f64_rtol": 1e-9}, "params": {}}, torch.float64) == {}


def test_normals_that_are_nan_or_not_of_unit_length_fail() -> None:
    reference = np.array([[0.0], [0.0], [-1.0]])
    assert angle_problems(reference, reference, {"max": 0.01}) == []
    assert angle_problems(2 * reference, reference, {"max": 0.01}) == ["the normals are not of unit length"]
    assert len(angle_problems(np.nan * reference, reference, {"max": 0.01})) == 2


def test_weight_by_formula_is_bounded_and_depends_on_the_tag() -> None:
    weight = weight_by_formula([7, 5], "fc.weight", 0.25)
    assert weight.shape == (7, 5)
    assert weight.dtype == np.float32
    assert np.abs(weight).max() <= 0.25
    assert np.ptp(weight) > 0.25
    assert not np.array_equal(weight, weight_by_formula([7, 5], "fc.bias", 0.25))
