from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from limbeck.core.method import Progress, Step
from limbeck.core.model import ModelSpec
from limbeck.core.outputs import SegmentationRaw
from limbeck.core.samples import IGNORED_LABEL, Batch, Frame, SemanticMask
from limbeck.core.segmentation import Segmenter


@pytest.fixture
def make_step():
    """Return a function that runs student and teacher on a batch and makes the step a method gets."""

    def make(student, teacher, batch):
        student_out = student(batch)
        with torch.no_grad():
            teacher_out = teacher.eval()(batch)
        assignment = student.assign(student_out, batch)
        progress = Progress(0, 100, 0)
        return Step(batch, student, student_out, teacher_out, assignment, {}, progress)

    return make


class TinySegmenter(Segmenter):
    """One strided convolution per level, and a class score from the finest of them."""

    def __init__(self, classes, channels, strides):
        super().__init__()
        self.spec = ModelSpec("segmentation", classes, ("image",), channels, strides, (0.0,) * 3, (255.0,) * 3)
        self.levels = nn.ModuleList(nn.Conv2d(3, c, s, s) for c, s in zip(channels, strides, strict=True))
        self.scores = nn.Conv2d(channels[0], len(classes), 1)

    def features(self, batch):
        pixels = batch.images.float() / 255
        return [level(pixels) for level in self.levels]

    def head(self, features, batch):
        logits = functional.interpolate(4 * self.scores(features[0]), size=batch.images.shape[2:], mode="bilinear")
        return SegmentationRaw(features, logits)


@pytest.fixture(scope="session")
def make_segmenter():
    """Return a function that builds a very small segmenter: ``make_segmenter(channels=..., strides=...)``."""

    def make(classes=("road", "sky", "car"), channels=(4, 6), strides=(4, 8), seed=0):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return TinySegmenter(classes, channels, strides)

    return make


@pytest.fixture(scope="session")
def make_mask_batch():
    """Return a function that makes a batch of noise images whose masks have a strip of ignored pixels."""

    def make(images=2, size_hw=(16, 24), num_classes=3, class_weights=None, seed=0):
        generator = torch.Generator().manual_seed(seed)
        pixels = torch.randint(0, 256, (images, 3, *size_hw), generator=generator, dtype=torch.uint8)
        labels = torch.randint(0, num_classes, (images, *size_hw), generator=generator, dtype=torch.uint8)
        labels[:, :, :5] = IGNORED_LABEL
        weights = None if class_weights is None else torch.tensor(class_weights)
        targets = [SemanticMask(mask, weights) for mask in labels]
        return Batch({"image": pixels}, targets, [Frame(i, Path(f"{i}.png")) for i in range(images)])

    return make
