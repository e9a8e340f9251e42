import torch

from limbeck.nn.coordinate_attention import CoordinateAttention


def test_against_a_loop_over_rows_and_columns():
    torch.manual_seed(0)
    attention = CoordinateAttention(32).eval()
    x = torch.randn(1, 32, 3, 5)
    expected = torch.empty_like(x)
    for row in range(3):
        for column in range(5):
            gates = []
            for mean, gate in (
                (x[0, :, row].mean(dim=1), attention.gate_h),
                (x[0, :, :, column].mean(dim=1), attention.gate_w),
            ):
                squeezed = attention.norm(attention.squeeze(mean[None, :, None, None]))
                gates.append(gate(squeezed * (squeezed + 3).clamp(0, 6) / 6).sigmoid().flatten())
            expected[0, :, row, column] = x[0, :, row, column] * gates[0] * gates[1]
    torch.testing.assert_close(attention(x), expected)


def test_the_bottleneck_has_a_sixteenth_of_the_channels_and_at_least_eight():
    assert CoordinateAttention(256).squeeze.out_channels == 16
    assert CoordinateAttention(32).squeeze.out_channels == 8
