import numpy as np
import pytest
import torch

from limbeck.data.mask_config import MaskAugment
from limbeck.data.shadow import COVERED, LEVEL, cast_shadow, draw_shadow

ALWAYS = MaskAugment(shadow=1.0)


def drawn(seed, config=ALWAYS):
    return draw_shadow(config, np.random.default_rng(seed))


def test_the_share_of_the_picture_that_was_drawn_is_darkened_and_the_rest_is_as_it_was():
    grey = torch.full((3, 96, 128), 200, dtype=torch.uint8)
    for seed in range(5):
        shadow = drawn(seed)
        pixels = cast_shadow(grey, shadow)
        dark = (pixels < 200).any(dim=0)
        assert dark.float().mean().item() == pytest.approx(shadow.covered, abs=0.02)
        assert COVERED[0] <= shadow.covered <= COVERED[1]
        assert torch.equal(pixels[:, dark], (grey * torch.from_numpy(shadow.levels)[:, None, None] // 256)[:, dark])
        assert (pixels[:, ~dark] == 200).all()


def test_a_patch_is_darker_by_the_factors_of_the_settings_and_hardly_changes_its_hue():
    for seed in range(20):
        levels = drawn(seed).levels / 256
        assert 0.9 * LEVEL[0] - 0.01 <= levels.min()
        assert levels.max() <= 1
        assert levels.max() / levels.min() < 1.25


def test_patches_hang_together_and_their_edges_are_ragged():
    """Neighbours are alike, yet a row that crosses a patch changes between light and dark more than twice."""
    pixels = cast_shadow(torch.full((3, 128, 192), 255, dtype=torch.uint8), drawn(1))[0]
    dark = (pixels < 255).int()
    changes = dark.diff(dim=1).abs()
    assert changes.float().mean() < 0.05
    assert changes.sum(dim=1).max() > 2


def test_the_same_seed_gives_the_same_patches_and_another_one_others():
    image = torch.randint(0, 256, (3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    first, again, other = (cast_shadow(image, drawn(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_setting_is_a_probability_and_off_it_draws_nothing():
    generator = np.random.default_rng(0)
    assert draw_shadow(MaskAugment(), generator) is None
    assert generator.random() == np.random.default_rng(0).random()
    generator = np.random.default_rng(0)
    half = [draw_shadow(MaskAugment(shadow=0.5), generator) is not None for _ in range(200)]
    assert 0.35 < np.mean(half) < 0.65
