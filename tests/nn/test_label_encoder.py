import torch

from limbeck.nn.label_encoder import LabelEncoder, SpatialTransformer


def test_parameters_are_those_of_the_release():
    with torch.device("meta"):
        assert sum(p.numel() for p in LabelEncoder(4 + 80, 64).parameters()) == 4_684_304


def test_a_matrix_per_vector():
    assert SpatialTransformer(6)(torch.randn(3, 6)).shape == (3, 6, 6)


def test_objects_know_those_of_their_own_image_only():
    torch.manual_seed(0)
    encoder, first, second = LabelEncoder(6, 16), torch.randn(2, 6), torch.randn(3, 6)
    together = encoder([first, second])
    torch.testing.assert_close(together, torch.cat([encoder([first]), encoder([second])]))
    changed = encoder([torch.cat([first[:1], torch.randn(1, 6)]), second])
    assert not torch.allclose(together[0], changed[0])
    torch.testing.assert_close(together[2:], changed[2:])
