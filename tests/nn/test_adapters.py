from dataclasses import replace

import pytest
import torch
from torch import nn

from limbeck.core.method import Progress, Step, TapPaths
from limbeck.core.model import ModelSpec
from limbeck.core.outputs import RawOutput
from limbeck.errors import IncompatibleError
from limbeck.nn.adapters import FeaturePairs, LevelPairs, pairs_by_stride


def spec(channels, strides, **taps):
    return ModelSpec("detection2d", ("a",), ("image",), channels, strides, (0.0,), (1.0,), taps=taps)


def step(student, teacher, student_taps=None, teacher_taps=None):
    outputs = [RawOutput(maps) if maps is not None else None for maps in (student, teacher)]
    return Step(None, None, *outputs, None, {}, Progress(0, 1, 0), student_taps or {}, teacher_taps or {})


def build(student, teacher, taps=None, always=False):
    return FeaturePairs("fitnet", student, teacher, taps or TapPaths(), always=always)


def levels(pairs):
    return [(pair.student, pair.teacher) for pair in pairs]


@pytest.mark.parametrize(
    ("student", "teacher", "expected"),
    [
        ((8, 16, 32), (8, 16, 32), [(0, 0), (1, 1), (2, 2)]),
        ((8, 16, 32), (16, 32, 64), [(1, 0), (2, 1)]),
        ((16, 16, 32), (8, 16, 16, 16), [(0, 1), (1, 2)]),
        ((4,), (8, 16), [(0, 0)]),
        ((12, 48), (8, 16, 32), [(0, 1), (1, 2)]),
        ((8,), (4, 16), [(0, 0)]),
        ((8,), (), []),
    ],
    ids=["equal", "some", "several of one stride", "nearest", "nearest of each", "two as near", "none"],
)
def test_levels_are_matched_by_stride(student, teacher, expected):
    specs = [spec((8,) * len(strides), strides) for strides in (student, teacher)]
    assert levels(pairs_by_stride(*specs)) == expected


def test_an_adapter_only_where_the_channels_differ():
    student, teacher = spec((4, 6), (8, 16)), spec((4, 9), (8, 16))
    pairs = build(student, teacher)
    assert [type(adapter) for adapter in pairs.adapters] == [nn.Identity, nn.Conv2d]
    assert sorted(tuple(p.shape) for p in pairs.parameters()) == [(9,), (9, 6, 1, 1)]
    assert [type(adapter) for adapter in build(student, teacher, always=True).adapters] == [nn.Conv2d, nn.Conv2d]


def test_maps_get_the_teachers_channels_and_the_smaller_size():
    pairs = build(spec((4,), (16,)), spec((6,), (8,)))
    student, teacher = torch.rand(2, 4, 3, 3), torch.rand(2, 6, 6, 6)
    ((mine, its),) = pairs(step([student], [teacher]))
    torch.testing.assert_close(mine, pairs.adapters[0](student))
    torch.testing.assert_close(its, nn.functional.avg_pool2d(teacher, 2))


def test_equal_maps_pass_unchanged():
    student, teacher = torch.rand(2, 4, 3, 3), torch.rand(2, 4, 3, 3)
    ((mine, its),) = build(spec((4,), (8,)), spec((4,), (8,)))(step([student], [teacher]))
    assert mine is student
    assert its is teacher


def test_taps_are_compared_in_the_order_given():
    student = spec((1,), (8,), **{"a": (4, 5, 5), "b": (6, 3, 3)})
    teacher = spec((1,), (8,), **{"x": (4, 5, 5), "y": (7, 6, 2)})
    pairs = build(student, teacher, TapPaths(("a", "b"), ("x", "y")))
    assert levels(pairs.pairs) == [("a", "x"), ("b", "y")]
    mine = {"a": torch.rand(2, 4, 5, 5), "b": torch.rand(2, 6, 3, 3)}
    its = {"x": torch.rand(2, 4, 5, 5), "y": torch.rand(2, 7, 6, 2)}
    maps = pairs(step([], [], mine, its))
    assert maps[0][0] is mine["a"]
    assert [tuple(tensor.shape) for tensor in maps[1]] == [(2, 7, 3, 2), (2, 7, 3, 2)]


def test_it_says_what_was_chosen():
    assert build(spec((4, 6), (8, 16)), spec((4, 9), (8, 16))).describe() == [
        "stride 8: 4 channels as they are, same size",
        "stride 16: 6 to 9 channels by a 1x1 convolution, same size",
    ]
    assert build(spec((4,), (8,)), spec((4,), (32,)), always=True).describe() == [
        "stride 8 with the teacher's stride 32: 4 to 4 channels by a 1x1 convolution, compared at stride 32"
    ]


def test_it_says_what_is_left_out():
    assert build(spec((4, 4), (4, 8)), spec((4, 4, 4), (8, 16, 32))).describe() == [
        "stride 8: 4 channels as they are, same size",
        "not compared, because nothing fits: the student's stride 4, the teacher's stride 16, the teacher's stride 32",
    ]


def test_it_says_what_was_chosen_for_taps():
    student = spec((1,), (8,), **{"a.b": (4, 5, 5), "c#0": (6, 3, 3)})
    teacher = spec((1,), (8,), **{"a.b": (8, 5, 5), "y": (6, 6, 2)})
    assert build(student, teacher, TapPaths(("a.b", "c#0"), ("a.b", "y"))).describe() == [
        "a.b: 4 to 8 channels by a 1x1 convolution, 5 x 5 as it is",
        "c#0 with the teacher's y: 6 channels as they are, 3 x 3 and 6 x 2 averaged down to 3 x 2",
    ]


def test_refuses_what_cannot_be_compared():
    one = spec((4,), (8,))
    with pytest.raises(IncompatibleError, match="'fitnet' needs a teacher and none was given"):
        build(one, None)
    with pytest.raises(IncompatibleError, match="needs feature maps; name some as student_taps"):
        build(spec((), ()), one)
    tokens = replace(one, taps={"blocks": (196, 384)})
    with pytest.raises(IncompatibleError, match=r"the teacher's tap 'blocks' gives \(196, 384\) per image"):
        build(replace(one, taps={"blocks": (4, 8, 8)}), tokens, TapPaths(("blocks",), ("blocks",)))


def test_a_model_that_does_not_keep_what_its_spec_says():
    pairs = build(spec((4, 4), (8, 16)), spec((4, 4), (8, 16)))
    good = [torch.rand(2, 4, 4, 4), torch.rand(2, 4, 2, 2)]
    with pytest.raises(IncompatibleError, match="needs a teacher and none ran"):
        pairs(step(good, None))
    with pytest.raises(IncompatibleError, match=r"The teacher's spec has feature map 1, but it gave 1\."):
        pairs(step(good, good[:1]))
    with pytest.raises(IncompatibleError, match=r"student's feature map 1 is \(2, 5, 2, 2\) and must be \(B,4,H,W\)"):
        pairs(step([good[0], torch.rand(2, 5, 2, 2)], good))
    tapped = build(spec((), (), a=(4, 2, 2)), spec((), (), a=(4, 2, 2)), TapPaths(("a",), ("a",)))
    with pytest.raises(IncompatibleError, match=r"teacher's tap 'a' is \(2, 4\) and must be"):
        tapped(step([], [], {"a": good[1]}, {"a": torch.rand(2, 4)}))


def test_levels_of_equal_stride_are_compared_as_they_are():
    pairs = LevelPairs("lix", spec((4, 5, 6), (2, 4, 8)), spec((7, 8, 9), (4, 8, 32)))
    assert levels(pairs.pairs) == [(1, 0), (2, 1)]
    student, teacher = [torch.rand(2, c, 4, 4) for c in (4, 5, 6)], [torch.rand(2, c, 4, 2) for c in (7, 8, 9)]
    maps = pairs.maps(step(student, teacher))
    assert [tuple(side.shape) for pair in maps for side in pair] == [
        (2, 5, 4, 2),
        (2, 7, 4, 2),
        (2, 6, 4, 2),
        (2, 8, 4, 2),
    ]
    assert maps[0][1] is teacher[0]
    assert pairs.describe() == [
        "stride 4: 5 channels with 7",
        "stride 8: 6 channels with 8",
        "not compared, because nothing fits: the student's stride 2, the teacher's stride 32",
    ]
    with pytest.raises(IncompatibleError, match="'lix' needs a teacher and none ran"):
        pairs.maps(step(student, None))


def test_without_a_common_stride_there_is_nothing_to_compare_as_it_is():
    with pytest.raises(IncompatibleError, match=r"student has \[4\] and the teacher \[8, 16\]"):
        LevelPairs("lix", spec((4,), (4,)), spec((4, 4), (8, 16)))
    with pytest.raises(IncompatibleError, match="'lix' needs a teacher and none was given"):
        LevelPairs("lix", spec((4,), (4,)), None)
