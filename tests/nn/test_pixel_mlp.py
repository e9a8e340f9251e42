import pytest
import torch
from torch import nn

from limbeck.nn import pixel_mlp
from limbeck.nn.pixel_mlp import PixelMlp


def filled(*channels):
    """An MLP whose last layer is not zero any more."""
    torch.manual_seed(0)
    mlp = PixelMlp(channels).double()
    nn.init.normal_(mlp.layers[-1].weight)
    nn.init.normal_(mlp.layers[-1].bias)
    return mlp


def slow(mlp, maps):
    values = maps.mT
    for layer in mlp.layers[:-1]:
        values = layer(values).relu()
    return mlp.layers[-1](values).mT


@pytest.mark.parametrize("channels", [(3, 2), (3, 5, 2), (3, 5, 4, 2)])
@pytest.mark.parametrize("pixels", [1, 4, 1000])
def test_answer_and_gradients_are_those_of_linear_layers(monkeypatch, channels, pixels):
    monkeypatch.setitem(pixel_mlp.SLICE_PIXELS, "cpu", pixels)
    mlp, maps = filled(*channels), torch.randn(2, 3, 9).double()
    cotangent = torch.randn(2, 2, 9).double()
    answer = mlp(maps)
    torch.testing.assert_close(answer, slow(mlp, maps))
    mine, its = (
        torch.autograd.grad((out * cotangent).sum(), list(mlp.parameters())) for out in (answer, slow(mlp, maps))
    )
    torch.testing.assert_close(mine, its)


def test_the_input_gets_no_gradient_and_the_last_layer_starts_at_zero():
    maps = torch.randn(2, 3, 9, requires_grad=True)
    mlp = PixelMlp((3, 8, 2))
    answer = mlp(maps)
    answer.sum().backward()
    assert not answer.any()
    assert maps.grad is None
    assert mlp.layers[-1].weight.grad.any()


def test_it_computes_in_float32_under_autocast():
    mlp, maps = filled(3, 5, 2).float(), torch.randn(2, 3, 9)
    with torch.autocast("cpu", torch.bfloat16):
        answer = mlp(maps)
    assert answer.dtype == torch.float32
    torch.testing.assert_close(answer, mlp(maps), rtol=0, atol=0)
