"""Truth and detections that do not fit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from limbeck.errors import RunFolderError
from limbeck.report.detection.collect import collect


def test_a_truth_without_images(make_run: Any) -> None:
    folder = make_run()
    (folder / "truth.json").write_text('{"categories": [], "annotations": []}')

    with pytest.raises(RunFolderError, match="the field 'images' is missing"):
        collect(folder)


def test_predictions_of_another_data_set(make_run: Any) -> None:
    folder = make_run()
    stranger = [{"image_id": 99, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}]
    (folder / "student" / "predictions.json").write_text(json.dumps(stranger))

    with pytest.raises(RunFolderError, match="no image with id 99"):
        collect(folder)
