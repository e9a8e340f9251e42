"""The losses of heat maps and box codes, against plain loops."""

import math

import pytest
import torch

from limbeck.losses.centre import EPS, PROBABILITY_EDGE, code_l1, heat_map_focal, heat_map_probs

B, K, H, W, M, D = 2, 3, 4, 5, 6, 8


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def objects(seed=0):
    """Cells, places that hold an object, and classes."""
    generator = torch.Generator().manual_seed(seed)
    index = torch.randint(0, H * W, (B, M), generator=generator)
    mask = torch.rand(B, M, generator=generator) < 0.6
    return index, mask, torch.randint(0, K, (B, M), generator=generator)


def case(dtype=torch.float64):
    """Probabilities, a heat map of which the objects' cells are 1, and the objects."""
    probs = drawn(B, K, H, W, dtype=dtype).sigmoid()
    target = drawn(B, K, H, W, seed=1, dtype=dtype).sigmoid() * 0.9
    index, mask, labels = objects()
    for sample in range(B):
        for place in range(M):
            if mask[sample, place]:
                target[sample, labels[sample, place]].view(-1)[index[sample, place]] = 1
    return probs, target, index, mask, labels, mask.sum().to(dtype)


def slow_focal(probs, target, index, mask, labels, count):
    total = 0.0
    for p, y in zip(probs.flatten().tolist(), target.flatten().tolist(), strict=True):
        total += (1 - y) ** 4 * p**2 * math.log(1 - p)
    for sample in range(B):
        for place in range(M):
            if mask[sample, place]:
                row, column = divmod(index[sample, place].item(), W)
                p = probs[sample, labels[sample, place], row, column].item()
                total += (1 - p) ** 2 * math.log(p)
    return -total / max(count.item(), 1)


def test_the_focal_loss_against_a_loop():
    given = case()
    assert given[-1] > 2
    assert heat_map_focal(*given).item() == pytest.approx(slow_focal(*given))


def test_the_focal_loss_without_an_object_is_neither_divided_nor_rewarded():
    probs, _, index, _, labels, _ = case()
    target, mask, none = torch.zeros_like(probs), torch.zeros(B, M, dtype=torch.bool), torch.tensor(0.0)
    expected = -(probs.square() * (1 - probs).log()).sum()
    torch.testing.assert_close(heat_map_focal(probs, target, index, mask, labels, none), expected)


def test_what_stands_in_empty_places_has_no_influence():
    probs, target, index, mask, labels, count = case()
    other_index = torch.where(mask, index, (index + 7) % (H * W))
    other_labels = torch.where(mask, labels, (labels + 1) % K)
    torch.testing.assert_close(
        heat_map_focal(probs, target, other_index, mask, other_labels, count),
        heat_map_focal(probs, target, index, mask, labels, count),
    )
    codes, goal = drawn(B, D, H, W), drawn(B, M, D, seed=2)
    noise = torch.where(mask[..., None], goal, torch.nan)
    torch.testing.assert_close(
        code_l1(codes, noise, other_index, mask, count), code_l1(codes, goal, index, mask, count)
    )


def test_the_focal_loss_of_a_perfect_map_is_nearly_zero_and_that_of_a_wrong_one_is_large():
    _, target, *others = case()
    target = (target == 1).double()
    good, bad = heat_map_probs((target - 0.5) * 40), heat_map_probs((0.5 - target) * 40)
    assert heat_map_focal(good, target, *others).item() < 1e-3
    assert heat_map_focal(bad, target, *others).item() > 5


def test_probabilities_stay_away_from_the_ends_and_are_float32_at_least():
    probs = heat_map_probs(torch.tensor([-100.0, 0, 100]))
    assert probs.tolist() == pytest.approx([PROBABILITY_EDGE, 0.5, 1 - PROBABILITY_EDGE])
    assert heat_map_probs(torch.zeros(2, dtype=torch.bfloat16)).dtype == torch.float32
    assert heat_map_probs(torch.zeros(2, dtype=torch.float64)).dtype == torch.float64


def test_gradients_of_the_focal_loss():
    _, *others = case()
    logits = drawn(B, K, H, W).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: heat_map_focal(heat_map_probs(x), *others), (logits,))


def slow_l1(codes, target, index, mask, count):
    rows = [0.0] * D
    for sample in range(B):
        for place in range(M):
            if mask[sample, place]:
                row, column = divmod(index[sample, place].item(), W)
                for number in range(D):
                    wanted = target[sample, place, number].item()
                    if math.isfinite(wanted):
                        rows[number] += abs(codes[sample, number, row, column].item() - wanted)
    return [total / (count.item() + EPS) for total in rows]


def test_the_l1_loss_against_a_loop_with_unknown_numbers():
    index, mask, _ = objects()
    codes, target = drawn(B, D, H, W), drawn(B, M, D, seed=1)
    target[0, :2, 6:] = torch.nan
    target[1, 1, 3] = torch.inf
    count = mask.sum().double()
    found = code_l1(codes, target, index, mask, count)
    assert found.tolist() == pytest.approx(slow_l1(codes, target, index, mask, count))


def test_the_l1_loss_is_zero_where_the_codes_are_right_and_where_there_is_no_object():
    index, mask, _ = objects()
    codes = drawn(B, D, H, W).requires_grad_()
    target = torch.stack([codes.detach()[sample].flatten(1)[:, index[sample]].T for sample in range(B)])
    assert not code_l1(codes, target, index, mask, mask.sum()).any()
    empty = code_l1(codes, target + 1, index, torch.zeros_like(mask), torch.tensor(0.0))
    empty.sum().backward()
    assert empty.tolist() == [0] * D
    assert not codes.grad.any()


def test_an_unknown_number_sends_no_gradient():
    index, mask = torch.tensor([[3]]), torch.tensor([[True]])
    codes = drawn(1, D, H, W).requires_grad_()
    target = torch.full((1, 1, D), torch.nan)
    target[0, 0, 0] = 9
    code_l1(codes, target, index, mask, torch.tensor(1.0)).sum().backward()
    assert codes.grad.isfinite().all()
    assert codes.grad.nonzero().tolist() == [[0, 0, 0, 3]]


def test_gradients_of_the_l1_loss():
    index, mask, _ = objects()
    codes, target = drawn(B, D, H, W).requires_grad_(), drawn(B, M, D, seed=1)
    target[0, 0, 2] = torch.nan
    assert torch.autograd.gradcheck(lambda x: code_l1(x, target, index, mask, mask.sum()), (codes,))


def test_codes_of_16_bits_are_compared_in_32():
    index, mask, _ = objects()
    codes, target = drawn(B, D, H, W, dtype=torch.bfloat16), drawn(B, M, D, seed=1, dtype=torch.float32)
    found = code_l1(codes, target, index, mask, mask.sum())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, code_l1(codes.float(), target, index, mask, mask.sum()))


@pytest.mark.parametrize("wrong", [(B, M, D - 1), (B, M - 1, D)])
def test_targets_of_another_shape(wrong):
    index, mask, _ = objects()
    with pytest.raises((ValueError, RuntimeError)):
        code_l1(drawn(B, D, H, W), drawn(*wrong), index, mask, mask.sum())
