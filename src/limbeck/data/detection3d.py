"""Point clouds with boxes as the network sees them: views that are a pure function of the seed and the draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.core.samples import Batch, Boxes3D, Frame
from limbeck.data.cloud_augment import Scene, augmented
from limbeck.data.cloud_config import CloudAugment
from limbeck.data.cloud_ignore import ignored_objects
from limbeck.data.cloud_points import read_points
from limbeck.data.cloud_records import CloudData
from limbeck.data.views import Draw
from limbeck.errors import ConfigError, nearest


@dataclass(slots=True)
class CloudSample:
    """One view of one point cloud.

    Attributes:
        points: (P,F) float32.
        objects: What is labelled in it.
        frame: Where it came from.
    """

    points: Tensor
    objects: Boxes3D
    frame: Frame


class CloudViews(Dataset[CloudSample]):
    """Views of point clouds; ``views[draw]`` depends on nothing but the seed and the draw.

    Args:
        data: The clouds.
        max_range: Objects farther away are ignored, see `limbeck.data.cloud_config.CloudDataConfig`.
        min_points: Objects with fewer points are ignored.
        augment: Training augmentation; None for evaluation, where every view is the same.
        seed: Seed of the augmentation.

    Raises:
        ConfigError: Objects of a class that the data does not have are to be pasted.
    """

    def __init__(
        self,
        data: CloudData,
        *,
        max_range: float | Mapping[str, float] | None = None,
        min_points: int = 1,
        augment: CloudAugment | None = None,
        seed: int = 0,
    ) -> None:
        self.data = data
        self.max_range = max_range
        self.min_points = min_points
        self.augment = augment
        self.seed = seed
        self.wanted = {} if augment is None else _labels(augment.paste, data.classes)

    def __len__(self) -> int:
        return len(self.data.records)

    def __getitem__(self, draw: Draw) -> CloudSample:
        record, scene = self.data.records[draw.index], self.scene(draw.index)
        if self.augment is not None:
            generator = np.random.default_rng([self.seed, draw.view, draw.index, draw.repeat])
            scene = augmented(
                scene, self.augment, self.wanted, lambda: self.scene(int(generator.integers(len(self)))), generator
            )
        boxes, labels, ignore = map(torch.from_numpy, (scene.boxes, scene.labels, scene.ignore))
        velocities = None if scene.velocities is None else torch.from_numpy(scene.velocities)
        objects = Boxes3D(boxes, labels, ignore, velocities)
        return CloudSample(torch.from_numpy(scene.points), objects, Frame(record.id, record.path))

    def scene(self, index: int) -> Scene:
        """Return a cloud as it is."""
        record = self.data.records[index]
        ignore = ignored_objects(record, self.data.classes, self.max_range, self.min_points)
        return Scene(read_points(record, self.data), record.boxes, record.labels, ignore, record.velocities)


def _labels(counts: Mapping[str, int], classes: Sequence[str]) -> dict[int, int]:
    """Return the counts by label.

    Raises:
        ConfigError: A name is no class.
    """
    if problems := [
        f"data.augment.paste: no class is called '{name}'{nearest(name, classes)}"
        for name in counts
        if name not in classes
    ]:
        raise ConfigError("The run file pastes objects of classes that the data does not have:", problems)
    return {classes.index(name): count for name, count in counts.items()}


def collate(samples: Sequence[CloudSample]) -> Batch[Boxes3D]:
    """Put samples into a batch with ``points`` (P,F) of all of them and ``counts`` (B,)."""
    return Batch(
        inputs={
            "points": torch.cat([sample.points for sample in samples]),
            "counts": torch.tensor([len(sample.points) for sample in samples]),
        },
        targets=[sample.objects for sample in samples],
        frames=[sample.frame for sample in samples],
    )
