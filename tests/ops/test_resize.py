import torch

from limbeck.ops.resize import resize


def test_maps_of_the_size_asked_for_are_handed_back():
    maps = torch.rand(1, 2, 3, 5)
    assert resize(maps, (3, 5)) is maps


def test_a_ramp_stays_a_ramp_between_its_corners():
    ramp = torch.arange(4.0).expand(1, 1, 2, 4)
    aligned = resize(ramp, (3, 7), align_corners=True)
    torch.testing.assert_close(aligned, torch.arange(0, 3.5, 0.5).expand(1, 1, 3, 7))
    outer = resize(ramp, (2, 8))
    torch.testing.assert_close(outer[0, 0, 0], torch.tensor([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]))
