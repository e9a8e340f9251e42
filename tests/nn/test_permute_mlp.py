import torch

from limbeck.nn.permute_mlp import WeightedPermuteMlp


def test_against_loops_over_the_branches():
    torch.manual_seed(0)
    module, x = WeightedPermuteMlp(8, 4, (3, 5)), torch.randn(2, 8, 3, 5)
    width, height = torch.empty_like(x), torch.empty_like(x)
    for image in range(2):
        for group in range(4):
            part = x[image, 2 * group : 2 * group + 2]
            for row in range(3):
                vector = module.width(part[:, row].flatten())
                width[image, 2 * group : 2 * group + 2, row] = vector.view(5, 2).T
            for column in range(5):
                vector = module.height(part[:, :, column].T.flatten())
                height[image, 2 * group : 2 * group + 2, :, column] = vector.view(3, 2).T
    channel = torch.einsum("oc,bchw->bohw", module.channel.weight, x)
    weights = module.reweight((width + height + channel).mean(dim=(2, 3))).view(2, 8, 3).softmax(dim=2)[..., None, None]
    mixed = weights[:, :, 0] * width + weights[:, :, 1] * height + weights[:, :, 2] * channel
    expected = torch.einsum("oc,bchw->bohw", module.project.weight, mixed) + module.project.bias[:, None, None]
    torch.testing.assert_close(module(x), expected)


def test_another_size_is_met_by_interpolation():
    module = WeightedPermuteMlp(8, 4, (4, 6))
    assert module(torch.randn(1, 8, 3, 9)).shape == (1, 8, 3, 9)
