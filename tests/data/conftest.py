"""A small COCO data set on disk that a test can spoil."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limbeck.data.config import SplitConfig


@dataclass
class CocoFolder:
    """Four images, three boxes in two classes, two images without boxes; ``content`` is what `write` writes."""

    root: Path
    content: dict[str, Any] = field(default_factory=dict)

    @property
    def split(self) -> SplitConfig:
        return SplitConfig(images=self.root / "images", annotations=self.root / "boxes.json")

    @property
    def annotations(self) -> list[dict[str, Any]]:
        return self.content["annotations"]

    def image(self, number: int) -> Path:
        return self.root / "images" / f"{number}.jpg"

    def write(self) -> SplitConfig:
        self.split.annotations.write_text(json.dumps(self.content))
        return self.split


def _content() -> dict[str, Any]:
    return {
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": 80, "height": 60} for n in (1, 2, 3, 4)],
        "annotations": [
            {"id": 11, "image_id": 1, "category_id": 7, "bbox": [10, 10, 20, 30], "iscrowd": 0},
            {"id": 12, "image_id": 1, "category_id": 3, "bbox": [0, 0, 80, 60], "iscrowd": 0},
            {"id": 13, "image_id": 2, "category_id": 3, "bbox": [5.5, 5.5, 10, 10], "iscrowd": 0},
        ],
        "categories": [{"id": 7, "name": "bolt"}, {"id": 3, "name": "wheel"}],
    }


@pytest.fixture
def make_coco(tmp_path: Path) -> Callable[[str], CocoFolder]:
    """Return a function that writes the data set into a new folder."""

    def make(name: str) -> CocoFolder:
        folder = CocoFolder(tmp_path / name, _content())
        (folder.root / "images").mkdir(parents=True)
        generator = np.random.default_rng(0)
        for number in (1, 2, 3, 4):
            pixels = generator.integers(0, 256, (60, 80, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder.image(number))
        folder.write()
        return folder

    return make


@pytest.fixture
def coco(make_coco: Callable[[str], CocoFolder]) -> CocoFolder:
    """The data set, written and sound."""
    return make_coco("coco")
