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


def maps(student=STUDENT, teacher=TEACHER):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, channels, 4, 5, generator=generator) for channels in (student, teacher)]


@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("student", "teacher"), [(6, 14), (14, 6), (6, 6), (5, 6)])
def test_shapes(buffer, shared, student, teacher):
    found = autoencoder(student, teacher, buffer=buffer, shared=shared)(*maps(student, teacher))
    assert found.student_code.shape == found.teacher_code.shape == (2, 3, 4, 5)
    assert found.restored_teacher.shape == (2, teacher, 4, 5)
    assert found.restored_student.shape == (2, student, 4, 5)


def test_shapes_of_the_released_form():
    found = autoencoder(release=True)(*maps())
    assert found.restored_teacher.shape == (2, TEACHER, 4, 5)
    assert found.restored_student.shape == (2, STUDENT, 4, 5)


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
    assert net.decoder[-1].out_channels == STUDENT
    found, (student, teacher) = net(*maps()), maps()
    code = net.encoder(net.student_in(student))
    torch.testing.assert_close(found.restored_teacher, net.student_in(net.decoder(code)))
    torch.testing.assert_close(found.restored_student, net.decoder(net.encoder(teacher)))


def test_each_map_is_restored_from_the_other_code_or_from_its_own():
    net, (student, teacher) = autoencoder(), maps()
    codes = net.encoder(net.student_in(student)), net.encoder(teacher)
    across, own = net(student, teacher), net(student, teacher, interchange=False)
    for found, (for_teacher, for_student) in ((across, codes), (own, codes[::-1])):
        torch.testing.assert_close(found.restored_teacher, net.decoder(for_teacher))
        torch.testing.assert_close(found.restored_student, net.to_student(net.decoder(for_student)))
    for found in (across, own):
        torch.testing.assert_close(found.student_code, codes[0])
        torch.testing.assert_close(found.teacher_code, codes[1])


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
    net, (student, teacher) = autoencoder(shared=shared), maps()
    student.requires_grad_()
    net(student, teacher, interchange=False).restored_student.sum().backward()
    reached = {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None}
    assert reached == {"student_in", "to_student"} | (
        {"encoder", "decoder"} if shared else {"student_encoder", "student_decoder"}
    )


def test_stacks_are_1x1_convolutions_with_relu_between():
    net = autoencoder(hidden=(8, 5))
    for stack, channels in ((net.encoder, [TEACHER, 8, 5, 3]), (net.decoder, [3, 5, 8, TEACHER])):
        assert [type(layer) for layer in stack] == [nn.Conv2d, nn.ReLU, nn.Conv2d, nn.ReLU, nn.Conv2d]
        assert [layer.in_channels for layer in stack[::2]] + [stack[-1].out_channels] == channels
        assert {layer.kernel_size for layer in stack[::2]} == {(1, 1)}
    assert len(autoencoder(hidden=()).encoder) == 1


def test_neighbours_are_never_mixed():
    net, (student, teacher) = autoencoder(), maps()
    shuffle = torch.randperm(20, generator=torch.Generator().manual_seed(2))
    mixed = [side.flatten(2)[..., shuffle].view_as(side) for side in (student, teacher)]
    plain, found = net(student, teacher), net(*mixed)
    torch.testing.assert_close(
        found.restored_teacher, plain.restored_teacher.flatten(2)[..., shuffle].view(2, 14, 4, 5)
    )


@pytest.mark.parametrize(("buffer", "release"), [*((buffer, False) for buffer in BUFFERS), ("student", True)])
@pytest.mark.parametrize("shared", [True, False])
def test_the_losses_train_student_stacks_and_buffers(buffer, release, shared):
    net, (student, teacher) = autoencoder(buffer=buffer, release=release, shared=shared), maps()
    student.requires_grad_()
    found = net(student, teacher)
    loss = mean_difference(found.restored_teacher, teacher) + mean_difference(found.restored_student, student)
    (loss + mean_difference(found.student_code, found.teacher_code)).backward()
    assert student.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
    assert teacher.grad is None
    assert not teacher.requires_grad
