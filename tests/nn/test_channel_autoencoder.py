"""itKD's autoencoder: shapes for each kind of buffer, what is shared, and what trains what."""

import pytest
import torch
from torch import nn

from limbeck.losses.interchange import mean_difference
from limbeck.nn.channel_autoencoder import ChannelAutoencoder

STUDENT, TEACHER = 6, 14
BUFFERS = ["student", "teacher", "both"]


def autoencoder(student=STUDENT, teacher=TEACHER, **settings):
    torch.manual_seed(0)
    return ChannelAutoencoder(student, teacher, **{"code": 3, "hidden": (8, 5)} | settings)


def cells(student=STUDENT, teacher=TEACHER):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(40, channels, generator=generator) for channels in (student, teacher)]


@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("student", "teacher"), [(6, 14), (14, 6), (6, 6), (5, 6)])
def test_shapes(buffer, shared, student, teacher):
    net = autoencoder(student, teacher, buffer=buffer, shared=shared)
    codes = net.encode(*cells(student, teacher))
    assert [side.shape for side in codes] == [(40, 3)] * 2
    assert [side.shape for side in net.restore(*codes)] == [(40, student), (40, teacher)]


def test_shapes_of_the_released_form():
    net = autoencoder(release=True)
    assert [side.shape for side in net.restore(*net.encode(*cells()))] == [(40, STUDENT), (40, TEACHER)]


@pytest.mark.parametrize(
    ("buffer", "changed"),
    [
        ("student", ["student_in", "to_student"]),
        ("teacher", ["teacher_in", "to_teacher"]),
        ("both", ["student_in", "teacher_in", "to_student", "to_teacher"]),
    ],
)
def test_only_the_maps_that_the_buffer_names_are_changed(buffer, changed):
    net = autoencoder(buffer=buffer)
    names = ("student_in", "teacher_in", "to_student", "to_teacher")
    assert sorted(n for n in names if not isinstance(getattr(net, n), nn.Identity)) == sorted(changed)


def test_maps_of_equal_width_need_no_buffer():
    net = autoencoder(8, 8)
    assert not [name for name, _ in net.named_parameters() if not name.startswith(("encoder", "decoder"))]


def test_the_released_form_widens_by_one_buffer_and_needs_none_back():
    net = autoencoder(release=True)
    assert net.to_teacher is net.student_in
    assert isinstance(net.to_student, nn.Identity)
    assert net.decoder[-1].out_features == STUDENT
    student, teacher = cells()
    restored = net.restore(*net.encode(student, teacher))
    code = net.encoder(net.student_in(student))
    torch.testing.assert_close(restored[1], net.student_in(net.decoder(code)))
    torch.testing.assert_close(restored[0], net.decoder(net.encoder(teacher)))


@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("hidden", [(8, 5), ()])
def test_each_map_is_restored_from_the_other_code_or_from_its_own(buffer, hidden):
    """Layer by layer, while the autoencoder multiplies those that no ReLU divides."""
    net, (student, teacher) = autoencoder(buffer=buffer, hidden=hidden), cells()
    codes = net.encode(student, teacher)
    torch.testing.assert_close(codes[0], net.encoder(net.student_in(student)))
    torch.testing.assert_close(codes[1], net.encoder(net.teacher_in(teacher)))
    for interchange, (for_teacher, for_student) in ((True, codes), (False, codes[::-1])):
        found = net.restore(*codes, interchange)
        torch.testing.assert_close(found[0], net.to_student(net.decoder(for_student)))
        torch.testing.assert_close(found[1], net.to_teacher(net.decoder(for_teacher)))


def test_layers_are_multiplied_in_float32_also_under_autocast():
    net, (student, teacher) = autoencoder(64, 256, hidden=(32,)), cells(64, 256)
    exact = net.encode(student, teacher)[0]
    with torch.autocast("cpu", torch.bfloat16):
        merged, apart = net.encode(student, teacher)[0], net.encoder(net.student_in(student))
    assert merged.dtype == torch.bfloat16
    assert (merged - exact).abs().mean() <= (apart - exact).abs().mean()


def test_one_set_of_weights_serves_both_unless_each_shall_have_its_own():
    one, two = autoencoder(), autoencoder(shared=False)
    assert one.student_encoder is one.encoder
    assert one.student_decoder is one.decoder
    assert two.student_encoder is not two.encoder
    assert two.student_decoder is not two.decoder
    size, double = (sum(p.numel() for p in net.parameters()) for net in (one, two))
    stacks = sum(p.numel() for net in (one.encoder, one.decoder) for p in net.parameters())
    assert double == size + stacks


@pytest.mark.parametrize("shared", [True, False])
def test_own_weights_and_own_codes_leave_the_two_sides_apart(shared):
    net = autoencoder(shared=shared)
    net.restore(*net.encode(*cells()), interchange=False)[0].sum().backward()
    reached = {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None}
    assert reached == {"student_in", "to_student"} | (
        {"encoder", "decoder"} if shared else {"student_encoder", "student_decoder"}
    )


def test_stacks_are_linear_layers_with_relu_between():
    net = autoencoder(hidden=(8, 5))
    for stack, channels in ((net.encoder, [TEACHER, 8, 5, 3]), (net.decoder, [3, 5, 8, TEACHER])):
        assert [type(layer) for layer in stack] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
        assert [layer.in_features for layer in stack[::2]] + [stack[-1].out_features] == channels
    assert len(autoencoder(hidden=()).encoder) == 1


@pytest.mark.parametrize(("buffer", "release"), [*((buffer, False) for buffer in BUFFERS), ("student", True)])
@pytest.mark.parametrize("shared", [True, False])
def test_the_losses_train_student_stacks_and_buffers(buffer, release, shared):
    net, (student, teacher) = autoencoder(buffer=buffer, release=release, shared=shared), cells()
    student.requires_grad_()
    codes = net.encode(student, teacher)
    losses = [mean_difference(*pair) for pair in zip(net.restore(*codes), (student, teacher), strict=True)]
    (sum(losses) + mean_difference(*codes)).backward()
    assert student.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
    assert teacher.grad is None
    assert not teacher.requires_grad
