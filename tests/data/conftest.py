"""Small data sets on disk that a test can spoil: boxes as COCO has them, and masks with depth."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limbeck.data.cloud_config import CloudDataConfig
from limbeck.data.cloud_readers import read_cloud_parts
from limbeck.data.cloud_records import CloudData
from limbeck.data.config import PartName, SplitConfig
from limbeck.data.mask_config import MaskDataConfig
from limbeck.data.mask_readers import read_mask_parts
from limbeck.data.mask_records import MaskData
from limbeck.data.masks import read_labels
from limbeck.errors import DataError


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


@dataclass
class MaskFolder:
    """Three images of 80 x 60 pixels per part with masks of the levels 0, 1 and 255 and depth in millimetres."""

    root: Path
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> MaskDataConfig:
        return MaskDataConfig.model_validate(self.settings)

    def problems(self, verify_pixels: bool = False) -> tuple[str, ...]:
        """The problems for which the data set cannot be read."""
        with pytest.raises(DataError) as caught:
            read_mask_parts(self.config, verify_pixels)
        return caught.value.problems

    def levels(self, rows: dict[int, int] | None = None) -> np.ndarray:
        """A mask of level 0 with some rows of other levels."""
        pixels = np.zeros((60, 80), np.uint8)
        for row, level in (rows or {}).items():
            pixels[row] = level
        return pixels

    def file(self, part: str, kind: str, name: str = "b.png") -> Path:
        return self.root / part / kind / name

    def write(self, part: str, kind: str, pixels: np.ndarray, name: str = "b.png") -> Path:
        path = self.file(part, kind, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npy":
            np.save(path, pixels)
        else:
            Image.fromarray(pixels).save(path)
        return path


@pytest.fixture
def masks(tmp_path: Path) -> MaskFolder:
    """A data set of the format folders: frames a, b and c, written and sound."""
    parts = {
        part: {
            "images": tmp_path / part / "images",
            "masks": tmp_path / part / "masks",
            "x": {"depth": tmp_path / part / "depth"},
        }
        for part in ("train", "val")
    }
    x = {"depth": {"holds": "depth", "unit": "mm"}}
    folder = MaskFolder(tmp_path, {**parts, "size": (96, 64), "classes": ("ground", "wagon"), "x": x})
    generator = np.random.default_rng(0)
    for part in parts:
        for name in "abc":
            folder.write(part, "images", generator.integers(0, 256, (60, 80, 3), np.uint8), f"{name}.jpg")
            levels = np.zeros((60, 80), np.uint8)
            levels[20:40, 30:60] = 1
            levels[:5] = 255
            folder.write(part, "masks", levels, f"{name}.png")
            depth = generator.integers(1000, 9000, (60, 80)).astype(np.uint16)
            depth[:, :10] = 0
            folder.write(part, "depth", depth, f"{name}.png")
    return folder


class PublicData:
    """Writes and reads frames of 20 x 12 pixels as public data sets have them."""

    def save(self, path: Path, pixels: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)

    def image(self, path: Path) -> None:
        self.save(path, np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8))

    def rows(self, *levels: Any, dtype: Any = np.uint8) -> np.ndarray:
        """A map whose first rows hold the levels given, and all others the last of them."""
        return np.array([levels[min(row, len(levels) - 1)] for row in range(12)], dtype)[:, None].repeat(20, axis=1)

    def read(self, format: str, part: dict[str, Any], **settings: Any) -> MaskData:
        config = {"format": format, "train": part, "val": part, "size": (32, 32), **settings}
        return read_mask_parts(MaskDataConfig.model_validate(config), verify_pixels=True)["train"]

    def refused(self, format: str, part: dict[str, Any], **settings: Any) -> tuple[str, ...]:
        """The problems of data that cannot be read."""
        with pytest.raises(DataError) as caught:
            self.read(format, part, **settings)
        return caught.value.problems

    def labels(self, data: MaskData, index: int = 0) -> list[int]:
        """The label of every row."""
        return read_labels(data.records[index], data.code)[:, 0].tolist()


@pytest.fixture
def public() -> PublicData:
    return PublicData()


@dataclass
class CloudFolder:
    """Two clouds of 500 points per part in the format boxes, each with a car that holds points and a post that may."""

    root: Path
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> CloudDataConfig:
        return CloudDataConfig.model_validate(self.settings)

    def read(self, part: PartName = "train", verify: bool = False) -> CloudData:
        return read_cloud_parts(self.config, verify)[part]

    def problems(self, verify: bool = False) -> tuple[str, ...]:
        """The problems for which the data set cannot be read."""
        with pytest.raises(DataError) as caught:
            read_cloud_parts(self.config, verify)
        return caught.value.problems

    def cloud(self, name: str = "a.bin", part: str = "train") -> Path:
        return self.root / part / "clouds" / name

    def labels(self, name: str = "a.json", part: str = "train") -> Path:
        return self.root / part / "labels" / name

    def car(self, **changes: Any) -> dict[str, Any]:
        return {"class": "car", "centre": [5, 0, 0], "size": [4, 2, 1.5], "yaw": 0.5, **changes}

    def post(self, **changes: Any) -> dict[str, Any]:
        return {"class": "post", "centre": [-5, 2, 0], "size": [0.5, 0.5, 2], "yaw": 0, **changes}

    def write_boxes(self, *boxes: Any, name: str = "a.json", part: str = "train") -> Path:
        path = self.labels(name, part)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"boxes": boxes}))
        return path

    def write_cloud(self, points: np.ndarray, name: str = "a.bin", part: str = "train") -> Path:
        path = self.cloud(name, part)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npy":
            np.save(path, points)
        else:
            points.astype("<f4").tofile(path)
        return path


@pytest.fixture
def clouds(tmp_path: Path) -> CloudFolder:
    """A data set of the format boxes: clouds a.bin and b.npy, written and sound."""
    parts = {
        part: {"clouds": tmp_path / part / "clouds", "labels": tmp_path / part / "labels"} for part in ("train", "val")
    }
    folder = CloudFolder(tmp_path, {"format": "boxes", **parts})
    generator = np.random.default_rng(0)
    for part in parts:
        for name in ("a.bin", "b.npy"):
            points = generator.uniform(-10, 10, (500, 4)).astype(np.float32)
            points[:40, :3] = generator.uniform([4.5, -0.5, -0.5], [5.5, 0.5, 0.5], (40, 3))
            folder.write_cloud(points, name, part)
            folder.write_boxes(folder.car(), folder.post(), name=f"{name[0]}.json", part=part)
    return folder
