import torch

from limbeck.nn.masked_generation import MaskedGeneration, random_mask


def test_what_is_hidden_has_no_influence():
    torch.manual_seed(0)
    block, maps = MaskedGeneration(4), torch.randn(2, 4, 6, 6)
    kept = random_mask(maps, 0.5)
    assert kept.shape == (2, 1, 6, 6)
    changed = torch.where(kept.bool(), maps, torch.randn_like(maps))
    assert torch.equal(block(maps, kept), block(changed, kept))


def test_the_share_that_is_hidden():
    maps = torch.zeros(1, 2, 200, 200)
    assert abs(random_mask(maps, 0.65).mean() - 0.35) < 0.01
    assert random_mask(maps, 0.0).all()
