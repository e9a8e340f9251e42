"""The distance of a camera from the road that it sees, whichever way it looks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limbeck.data.camera_height import camera_height
from limbeck.data.mask_config import UNITS, CameraConfig, XConfig
from limbeck.data.mask_records import MaskCode, MaskData, MaskRecord
from limbeck.data.x_check import XSurvey, survey_x

SIZE_HW = (60, 80)
CAMERA = CameraConfig(fx=70.0, fy=75.0, cx=39.0, cy=30.0)
CODE = MaskCode(np.arange(256, dtype=np.uint8))


def plane(height: float, pitch_deg: float, roll_deg: float) -> np.ndarray:
    """Return the depth of a road for a camera that is turned, 0 where it looks above the horizon."""
    pitch, roll = np.radians([pitch_deg, roll_deg])
    down = np.array([np.sin(roll) * np.cos(pitch), np.cos(roll) * np.cos(pitch), np.sin(pitch)])
    rows, columns = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    rays = np.stack([(columns - CAMERA.cx) / CAMERA.fx, (rows - CAMERA.cy) / CAMERA.fy, np.ones(SIZE_HW)])
    towards = np.tensordot(down, rays, 1)
    return np.where(towards > 0.02, height / np.maximum(towards, 0.02), 0)


@pytest.fixture
def frame(tmp_path):
    """Write a frame with a road below the horizon and return its record."""

    def write(metres: np.ndarray, unit: float = 0.001, labels: np.ndarray | None = None) -> MaskRecord:
        labels = np.where(metres > 0, 1, 0) if labels is None else labels
        number = len(list(tmp_path.iterdir()))
        depth, mask = tmp_path / f"{number}-depth.png", tmp_path / f"{number}-mask.png"
        Image.fromarray(np.clip(np.round(metres / unit), 0, 65535).astype(np.uint16)).save(depth)
        Image.fromarray(labels.astype(np.uint8)).save(mask)
        return MaskRecord(str(number), Path("a.jpg"), SIZE_HW[::-1], mask, {"x": depth}, {"x": CAMERA})

    return write


def height(*records: MaskRecord, classes: tuple[str, ...] = ("other", "Road"), **settings: object) -> float | None:
    x = XConfig.model_validate({"holds": "depth", "unit": "mm"} | settings)
    return camera_height(records, "x", x, CODE, classes)


@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (3, -2), (45, 10), (90, 0)])
def test_the_height_is_that_above_the_plane_however_the_camera_is_turned(frame, pitch, roll):
    assert height(frame(plane(1.65, pitch, roll))) == pytest.approx(1.65, rel=2e-3)


def test_it_is_the_median_of_the_frames(frame):
    assert height(*(frame(plane(metres, 0, 0)) for metres in (1.0, 1.5, 9.0))) == pytest.approx(1.5, rel=2e-3)


def test_what_is_no_road_does_not_matter(frame):
    metres = plane(1.5, 0, 0)
    labels = np.where(metres > 0, 1, 0)
    labels[:, :30] = 0
    metres[:, :30] = 3
    assert height(frame(metres, labels=labels)) == pytest.approx(1.5, rel=2e-3)


def test_there_is_none_where_nothing_tells(frame):
    record = frame(plane(1.5, 0, 0))
    assert height(record, classes=("other", "pavement")) is None
    assert height(record, holds="disparity", unit="px") is None
    assert height(frame(plane(1.5, 0, 0), labels=np.zeros(SIZE_HW))) is None
    without_camera = MaskRecord("a", record.path, record.size_wh, record.mask, record.x, {})
    assert height(without_camera) is None


def survey(record: MaskRecord, unit: str) -> XSurvey:
    x = XConfig.model_validate({"holds": "depth", "unit": unit})
    return survey_x(MaskData((record,), ("other", "road"), (), CODE, {"x": x}))[0]


@pytest.mark.parametrize(("written", "read", "metres"), [("mm", "m/256", "6.45"), ("m/256", "mm", "0.422")])
def test_millimetres_and_kittis_unit_are_told_apart(frame, written, read, metres):
    metres_of = np.minimum(plane(1.65, 2, 0), 60)  # as far as 16 bits of millimetres reach
    labels = np.where((metres_of > 0) & (metres_of < 60), 1, 0)
    found = survey(frame(metres_of, unit=UNITS["depth"][written], labels=labels), read)
    (sentence,) = found.suspicions
    assert sentence == (
        f"the camera is {metres} m above what is labelled as road with the unit '{read}'; "
        f"with '{written}' it would be 1.65 m"
    )


def test_the_right_unit_is_not_doubted(frame):
    found = survey(frame(plane(1.65, 2, 0)), "mm")
    assert found.suspicions == ()
    assert found.camera_height == pytest.approx(1.65, rel=2e-3)
