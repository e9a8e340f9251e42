import pytest
import torch

from limbeck.core.samples import Boxes2D
from limbeck.nn.dynamic_teacher import DynamicTeacher

SIZES = [(8, 8), (4, 4), (2, 2)]


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    return DynamicTeacher(16, 2, SIZES, heads=4, groups=4).eval()


def boxes(*rows, ignore=()):
    return Boxes2D(
        torch.tensor(rows, dtype=torch.float32).view(-1, 4),
        torch.zeros(len(rows), dtype=torch.long),
        torch.tensor([n in ignore for n in range(len(rows))], dtype=torch.bool),
    )


def maps(seed=0):
    torch.manual_seed(seed)
    return [torch.randn(2, 16, *size, requires_grad=True) for size in SIZES]


def test_maps_like_the_students_and_no_gradient_to_these(teacher):
    student = maps()
    answer = teacher(student, [boxes([4, 4, 40, 40]), boxes([0, 0, 60, 20], [30, 30, 50, 60])], (64, 64))
    assert [m.shape for m in answer] == [m.shape for m in student]
    sum(m.sum() for m in answer).backward()
    assert all(m.grad is None for m in student)
    assert all(p.grad is not None for p in teacher.parameters())


def test_images_do_not_mix(teacher):
    targets = [boxes([4, 4, 40, 40]), boxes([0, 0, 60, 20], [30, 30, 50, 60])]
    student = maps()
    together = teacher(student, targets, (64, 64))
    alone = teacher([m[1:] for m in student], targets[1:], (64, 64))
    for both, one in zip(together, alone, strict=True):
        torch.testing.assert_close(both[1:], one)


def test_ignore_regions_are_no_objects_and_an_image_may_have_none(teacher):
    student = maps()
    with_region = teacher(student, [boxes([4, 4, 40, 40], [1, 1, 9, 9], ignore=(1,)), boxes()], (64, 64))
    without = teacher(student, [boxes([4, 4, 40, 40]), boxes()], (64, 64))
    for a, b in zip(with_region, without, strict=True):
        assert torch.isfinite(a).all()
        torch.testing.assert_close(a, b)
