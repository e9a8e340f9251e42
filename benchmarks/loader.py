"""How many training images one core prepares per second, against `torchvision.transforms.v2` on the same photographs.

    python benchmarks/loader.py

One process and one thread read JPEGs of 640 px, zoom or crop each, change its colours, flip half of them, bring them to
320 px with their boxes and stack batches. The candidates take turns. torchvision does the same twice: with the resize
last, and with the resize first, which is faster but blurs what is enlarged afterwards. It reads with its own decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from timing import medians, save
from torchvision import tv_tensors
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

from limbeck.data.coco import read_coco
from limbeck.data.config import AugmentConfig, SplitConfig
from limbeck.data.detection2d import DetectionViews, collate
from limbeck.data.records import BoxRecord
from limbeck.data.views import ViewLoader

SIDE = 320
BATCH = 8
DATA = Path(__file__).parents[1] / "src/limbeck/demo/railway_wagons"
EVERYTHING = AugmentConfig(flip=0.5, scale_crop=1.0)


class Ours:
    """An epoch of our loader, a new one in every call."""

    def __init__(self, records: Sequence[BoxRecord], augment: AugmentConfig) -> None:
        views = DetectionViews(records, (SIDE, SIDE), "stretch", augment)
        self.loader = ViewLoader(views, BATCH, collate, shuffle=True)
        self.epoch = 0

    def __call__(self) -> None:
        """Load all batches."""
        self.loader.set_epoch(self.epoch)
        self.epoch += 1
        for batch in self.loader:
            assert batch.images.shape[1:] == (3, SIDE, SIDE)


class Torchvision:
    """An epoch of `torchvision.transforms.v2` with the same strengths."""

    def __init__(self, records: Sequence[BoxRecord], *, resize_first: bool) -> None:
        strength = EVERYTHING
        resize = v2.Resize((SIDE, SIDE), antialias=True)
        changes = [
            v2.ColorJitter(strength.brightness, strength.contrast, strength.saturation, strength.hue),
            v2.RandomAffine(0, translate=(0.2, 0.2), scale=strength.scale, fill=114),
            v2.RandomHorizontalFlip(strength.flip),
        ]
        ordered = [resize, *changes] if resize_first else [*changes, resize]
        self.transform = v2.Compose([*ordered, v2.ClampBoundingBoxes(), v2.SanitizeBoundingBoxes()])
        self.records = records

    def __call__(self) -> None:
        """Load all batches."""
        for start in range(0, len(self.records), BATCH):
            samples = [self._sample(record) for record in self.records[start : start + BATCH]]
            assert torch.stack([image for image, _ in samples]).shape[1:] == (3, SIDE, SIDE)

    def _sample(self, record: BoxRecord) -> tuple[Any, Any]:
        image = tv_tensors.Image(decode_image(str(record.path), mode=ImageReadMode.RGB))
        size_hw = (record.size_wh[1], record.size_wh[0])
        boxes = tv_tensors.BoundingBoxes(torch.from_numpy(record.boxes_xyxy), format="XYXY", canvas_size=size_hw)
        return self.transform(image, {"boxes": boxes, "labels": torch.from_numpy(record.labels)})


def measure(rounds: int) -> list[dict[str, Any]]:
    """Return images per second of every candidate."""
    split = SplitConfig(images=DATA / "images", annotations=DATA / "annotations/instances_train.json")
    records = read_coco(split).records
    candidates: dict[str, Callable[[], object]] = {
        "limbeck": Ours(records, EVERYTHING),
        "limbeck, default probabilities": Ours(records, AugmentConfig()),
        "limbeck, mosaic": Ours(records, AugmentConfig(mosaic=1.0)),
        "transforms.v2": Torchvision(records, resize_first=False),
        "transforms.v2, resize first": Torchvision(records, resize_first=True),
    }
    seconds = medians(candidates, rounds)
    return [
        {
            "candidate": name,
            "images": len(records),
            "images_per_second": round(len(records) / value, 1),
            "speed_against_v2": round(seconds["transforms.v2"] / value, 3),
        }
        for name, value in seconds.items()
    ]


if __name__ == "__main__":
    torch.set_num_threads(1)
    save("loader", measure(rounds=9), "python benchmarks/loader.py")
