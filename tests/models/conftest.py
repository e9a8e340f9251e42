from pathlib import Path

import pytest
import torch

from limbeck.core.samples import IGNORED_LABEL, Batch, Frame, SemanticMask
from limbeck.lookup import build_model, model_config

LIGHT = {
    "late_fusion": {"backbone": "test_resnet", "head_width": 32},
    "lraspp": {"backbone": "lean_pico", "head_width": 16},
    "offnet": {"backbone": "mit_b0", "head_width": 32},
    "rtfnet": {"backbone": "test_resnet", "x_channels": 3},
    "segformer": {"backbone": "mit_b0", "head_width": 32},
    "sne_roadseg": {"backbone": "test_resnet", "decoder_width": 0.25},
}


@pytest.fixture(scope="session")
def make_scenes():
    """Return a function that makes images of coloured patches with normals and masks; the top row is ignored."""

    def make(images: int = 2, hw: tuple[int, int] = (64, 96), seed: int = 0) -> Batch[SemanticMask]:
        generator = torch.Generator().manual_seed(seed)
        cells = torch.randint(0, 3, (images, 1, 4, 6), generator=generator).float()
        labels = torch.nn.functional.interpolate(cells, size=hw)
        noise = torch.rand(images, 3, *hw, generator=generator)
        pixels = (labels * 90 + noise * 60).to(torch.uint8)
        normals = labels - 1 + noise
        targets = [SemanticMask(mask[0].to(torch.uint8)) for mask in labels]
        for target in targets:
            target.labels[0] = IGNORED_LABEL
        return Batch(
            {"image": pixels, "normals": normals}, targets, [Frame(i, Path(f"{i}.png")) for i in range(images)]
        )

    return make


@pytest.fixture(scope="session")
def make_segmenter():
    """Return a function that builds a small segmenter: ``make_segmenter("offnet", x="normals", ...)``."""

    def make(model: str, seed: int = 0, **settings):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return build_model(model_config({"model": model} | LIGHT[model] | settings), ("road", "crack", "pothole"))

    return make
