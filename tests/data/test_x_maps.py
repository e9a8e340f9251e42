"""An X map is read in its physical unit, whatever file it lies in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.data.mask_config import CameraConfig, XConfig
from limbeck.data.mask_records import MaskRecord
from limbeck.data.x_maps import NO_NORMAL, read_x
from limbeck.errors import DataError


def record(tmp_path: Path, levels: np.ndarray, name: str, camera: CameraConfig | None = None) -> MaskRecord:
    path = tmp_path / name
    if path.suffix == ".npy":
        np.save(path, levels)
    else:
        Image.fromarray(levels).save(path)
    size_wh = (levels.shape[1], levels.shape[0])
    return MaskRecord(
        "a", tmp_path / "a.jpg", size_wh, tmp_path / "m.png", {"x": path}, {"x": camera} if camera else {}
    )


def read(tmp_path: Path, levels: np.ndarray, name: str, **settings: Any) -> tuple[torch.Tensor, torch.Tensor]:
    values, valid = read_x(record(tmp_path, levels, name), "x", XConfig.model_validate(settings))
    assert values.dtype == torch.float32
    assert values.shape[1:] == valid.shape == levels.shape[:2]
    return values, valid


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("a.png", np.uint8),
        ("a.png", np.uint16),
        ("a.tif", np.uint8),
        ("a.tiff", np.uint16),
        ("a.tif", np.int32),
        ("a.tif", np.float32),
        ("a.npy", np.uint8),
        ("a.npy", np.uint16),
        ("a.npy", np.int64),
        ("a.npy", np.float16),
        ("a.npy", np.float64),
        ("a.npy", ">f4"),
    ],
)
def test_levels_become_metres_in_every_kind_of_file(tmp_path: Path, name: str, dtype: Any) -> None:
    levels = np.array([[0, 100, 200], [250, 1, 0]], dtype=dtype)
    values, valid = read(tmp_path, levels, name, holds="depth", unit="cm")
    np.testing.assert_allclose(values[0], [[0, 1, 2], [2.5, 0.01, 0]], rtol=1e-6)
    assert valid.tolist() == [[False, True, True], [True, True, False]]


@pytest.mark.parametrize(
    ("unit", "metres"), [("mm", 12.8), ("m/256", 50), ("cm", 128), ("m", 12800), (0.5, 6400), ("px", None)]
)
def test_units(tmp_path: Path, unit: Any, metres: float | None) -> None:
    holds = "disparity" if unit == "px" else "depth"
    values, _ = read(tmp_path, np.full((2, 2), 12800, np.uint16), "a.png", holds=holds, unit=unit)
    assert values[0, 0, 0].item() == pytest.approx(12800 if metres is None else metres)


def test_offset_and_invalid_levels(tmp_path: Path) -> None:
    levels = np.array([[0, 1, 257, 65535]], np.uint16)
    settings = {"holds": "disparity", "unit": "px/256", "offset": 1, "invalid": (0, 65535)}
    values, valid = read(tmp_path, levels, "a.png", **settings)
    assert values.tolist() == [[[0, 0, 1, 0]]]
    assert valid.tolist() == [[False, False, True, False]]  # a disparity of 0 is infinitely far away


def test_what_is_not_finite_or_not_positive_was_not_measured(tmp_path: Path) -> None:
    levels = np.array([[np.nan, np.inf, -np.inf, -2, 3, 0]], np.float32)
    values, valid = read(tmp_path, levels, "a.npy", holds="depth", unit="m", invalid=())
    assert values.tolist() == [[[0, 0, 0, 0, 3, 0]]]
    assert valid.tolist() == [[False, False, False, False, True, False]]
    values, valid = read(tmp_path, levels, "a.npy", holds="other", invalid=())
    assert values.tolist() == [[[0, 0, 0, -2, 3, 0]]]
    assert valid.tolist() == [[False, False, False, True, True, True]]


def test_an_invalid_level_may_be_a_fraction(tmp_path: Path) -> None:
    levels = np.array([[655.35, 12.5]])
    values, valid = read(tmp_path, levels, "a.npy", holds="depth", unit="m", invalid=(655.35,))
    assert values.tolist() == [[[0, 12.5]]]
    assert valid.tolist() == [[False, True]]


def test_a_temperature_may_be_zero(tmp_path: Path) -> None:
    levels = np.array([[27315, 27415, 0]], np.uint16)
    values, valid = read(tmp_path, levels, "a.png", holds="thermal", unit=0.01, offset=27315)
    assert values[0, 0].tolist() == pytest.approx([0, 1, 0])
    assert valid.tolist() == [[True, True, False]]


def test_normals_of_8_bits(tmp_path: Path) -> None:
    levels = np.array([[[255, 128, 128], [127, 127, 0], [128, 127, 128], [0, 0, 0], [0, 128, 0]]], np.uint8)
    values, valid = read(tmp_path, levels, "a.png", holds="normals")
    assert valid.tolist() == [[True, True, False, False, True]]
    np.testing.assert_allclose(values.norm(dim=0), 1, rtol=1e-6)
    np.testing.assert_allclose(values[:, 0, 0], [1, 0, 0], atol=6e-3)
    np.testing.assert_allclose(values[:, 0, 1], [0, 0, -1], atol=6e-3)
    assert values[:, 0, 2].tolist() == values[:, 0, 3].tolist() == list(NO_NORMAL)
    np.testing.assert_allclose(values[:, 0, 4], [-(0.5**0.5), 0, -(0.5**0.5)], atol=6e-3)


def test_normals_as_floats_are_brought_to_length_one(tmp_path: Path) -> None:
    levels = np.array([[[0, 0, 2], [3, 0, 4], [np.nan, 0, 1], [0, 0, 0], [0, 0.1, 0]]], np.float32)
    values, valid = read(tmp_path, levels, "a.npy", holds="normals")
    assert valid.tolist() == [[True, True, False, False, False]]
    np.testing.assert_allclose(values[:, 0, :2].T, [[0, 0, 1], [0.6, 0, 0.8]], rtol=1e-6)
    assert values[:, 0, 2:].T.tolist() == [list(NO_NORMAL)] * 3


@pytest.mark.parametrize("method", ["inverse_depth", "sne"])
def test_normals_of_a_road_from_depth_and_from_disparity(tmp_path: Path, method: str) -> None:
    """The plane 1.5 m below the camera has the normal (0, -1, 0), in metres as in pixels of disparity."""
    camera = CameraConfig(fx=100, fy=100, cx=32, cy=10)
    rows = np.arange(48)[:, None].repeat(64, axis=1)
    depth = (150 / np.maximum(rows - 10, 1e-9)).astype(np.float32)
    depth[:20] = 0
    for levels, holds, unit in ((depth, "depth", "m"), (np.where(depth > 0, 54 / depth.clip(1), 0), "disparity", "px")):
        x = XConfig(holds=holds, unit=unit, gives="normals", normals=method)
        values, valid = read_x(record(tmp_path, levels.astype(np.float32), "a.npy", camera), "x", x)
        assert values.shape == (3, 48, 64)
        inside = valid.clone()
        inside[:22] = inside[-2:] = False
        inside[:, :2] = inside[:, -2:] = False
        assert inside[24:44].float().mean() > 0.9
        found = values[:, inside]
        np.testing.assert_allclose(found, np.tile([[0], [-1], [0]], found.shape[1]), atol=0.02)
        assert (values[:, ~valid] == torch.tensor(NO_NORMAL)[:, None]).all()
        assert not valid[:20].any()


def test_a_map_that_changed_is_refused(tmp_path: Path) -> None:
    frame = record(tmp_path, np.ones((4, 6), np.uint16), "a.png")
    Image.fromarray(np.ones((4, 7), np.uint16)).save(frame.x["x"])
    with pytest.raises(DataError, match=r"a\.png: it has \(7, 4\) pixels instead of \(6, 4\)"):
        read_x(frame, "x", XConfig(holds="depth", unit="m"))


def test_an_array_of_objects_is_never_unpickled(tmp_path: Path) -> None:
    frame = record(tmp_path, np.ones((4, 6), np.uint16), "a.npy")
    np.save(frame.x["x"], np.array([[{"a": 1}]]), allow_pickle=True)
    with pytest.raises(DataError, match="Object arrays cannot be loaded"):
        read_x(frame, "x", XConfig(holds="depth", unit="m"))
