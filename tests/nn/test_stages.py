import torch
from torch import nn

from limbeck.nn.stages import maps_of_stages


def test_the_maps_of_the_strides_wanted_in_their_order():
    stages = [nn.AvgPool2d(2), nn.AvgPool2d(2), nn.AvgPool2d(2)]
    images = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    coarse, fine = maps_of_stages(stages, (2, 4, 8, 16), (8, 2), images)
    assert coarse.shape == (1, 1, 2, 2)
    torch.testing.assert_close(fine, nn.functional.avg_pool2d(images, 2))
    torch.testing.assert_close(coarse, nn.functional.avg_pool2d(images, 8))
