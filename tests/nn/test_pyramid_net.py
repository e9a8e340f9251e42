import pytest
import torch

from limbeck.core.dense2d import DenseDetectorConfig
from limbeck.errors import IncompatibleError
from limbeck.nn.pyramid_net import PyramidNet


def trunk(strides, backbone="test_resnet"):
    return PyramidNet(DenseDetectorConfig(model="any", backbone=backbone, strides=strides, channels=16))


@pytest.mark.parametrize("strides", [(8, 16, 32), (4, 8), (8, 16, 32, 64, 128), (32, 64)])
def test_a_level_per_stride(strides):
    net = trunk(strides).eval()
    levels = net(torch.randint(0, 256, (1, 3, 128, 256), dtype=torch.uint8))
    assert [tuple(level.shape) for level in levels] == [(1, 16, 128 // stride, 256 // stride) for stride in strides]


def test_the_images_are_normalised_inside():
    net = trunk((8,)).eval()
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    assert torch.equal(net(images)[0], net.neck(net.backbone(net.normalise(images)))[0])
    assert torch.equal(net(images)[0], net(images.float())[0])


def test_the_maps_stay_channels_last():
    net = trunk((8, 16)).to(memory_format=torch.channels_last)
    levels = net(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    assert all(level.is_contiguous(memory_format=torch.channels_last) for level in levels)


def test_a_stride_that_the_backbone_has_not_is_refused():
    with pytest.raises(IncompatibleError, match="has no map of stride 8"):
        trunk((8, 16), "vit_tiny_patch16_224")
