"""Pairs of feature maps of a student and of its teacher, and the adapters between them, chosen from the two specs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from limbeck.core.method import Step, TapPaths
from limbeck.core.model import ModelSpec
from limbeck.errors import IncompatibleError
from limbeck.losses.feature import to_common_size


@dataclass(frozen=True, slots=True)
class MapPair:
    """A map of the student and the teacher's map that it is compared with.

    Attributes:
        student: Level of the student's `RawOutput.features`, or the path of a tap.
        teacher: The same of the teacher.
        channels: Channels of the student's map and of the teacher's.
        name: What the pair is called, such as ``stride 8``.
        size: What is done about the sizes.
    """

    student: int | str
    teacher: int | str
    channels: tuple[int, int]
    name: str
    size: str


class FeaturePairs(nn.Module):
    """Brings maps of the student to the channels and the size of the teacher's maps.

    With taps, the k-th tap of the student is compared with the k-th of the teacher. Without, a level of the student is
    compared with the teacher's level of equal stride; if no stride is equal, with the nearest. Where the channels
    differ, a 1x1 convolution is trained; where they are equal, there is nothing to train unless ``always``. Maps of
    different size are averaged down to the smaller one, before the convolution, where it is cheaper and gives the same.

    Args:
        method: What the method is called in an error.
        student: Spec of the student, with the shapes of the taps.
        teacher: Spec of the teacher, with the shapes of the taps.
        taps: Which maps; without any, those of the raw outputs.
        always: Put a convolution also where the channels are equal.

    Raises:
        IncompatibleError: There is no teacher, or a tap gives no map.
    """

    def __init__(
        self, method: str, student: ModelSpec, teacher: ModelSpec | None, taps: TapPaths, *, always: bool
    ) -> None:
        super().__init__()
        if teacher is None:
            raise IncompatibleError(f"The method '{method}' needs a teacher and none was given.")
        self.method = method
        self.pairs = (
            pairs_of_taps(method, student, teacher, taps) if taps.student else pairs_by_stride(student, teacher)
        )
        if not self.pairs:
            raise IncompatibleError(
                f"The method '{method}' needs feature maps; name some as student_taps and teacher_taps."
            )
        self.unused = [] if taps.student else _unused(student, teacher, self.pairs)
        self.adapters = nn.ModuleList(
            nn.Conv2d(*pair.channels, 1) if always or len(set(pair.channels)) > 1 else nn.Identity()
            for pair in self.pairs
        )

    def forward(self, step: Step[Any, Any, Any]) -> list[tuple[Tensor, Tensor]]:
        """Return for every pair the student's map, adapted, and the teacher's, (B,C,H,W) both with the teacher's C.

        Raises:
            IncompatibleError: No teacher ran, or a map does not have the channels that the spec of its model names.
        """
        maps = []
        for adapter, pair in zip(self.adapters, _raw_maps(self.method, self.pairs, step), strict=True):
            student, teacher = to_common_size(*pair)
            maps.append((adapter(student), teacher))
        return maps

    def describe(self) -> list[str]:
        """Say in a sentence each how a pair is compared, and what is left out."""
        sentences = [
            f"{pair.name}: {_channels(pair.channels, adapter)}, {pair.size}"
            for pair, adapter in zip(self.pairs, self.adapters, strict=True)
        ]
        return sentences + self.unused


class LevelPairs:
    """Pairs the levels of two models by equal stride, for losses to which the numbers of channels do not matter.

    A level of the student is compared with the teacher's level of equal stride, as it is; levels without a counterpart
    are left out.

    Args:
        method: What the method is called in an error.
        student: Spec of the student.
        teacher: Spec of the teacher.

    Raises:
        IncompatibleError: There is no teacher, or no stride is in both models.
    """

    def __init__(self, method: str, student: ModelSpec, teacher: ModelSpec | None) -> None:
        if teacher is None:
            raise IncompatibleError(f"The method '{method}' needs a teacher and none was given.")
        self.method = method
        self.pairs = _equal_strides(student, teacher)
        if not self.pairs:
            raise IncompatibleError(
                f"The method '{method}' compares maps of equal stride; the student has {list(student.strides)} and the "
                f"teacher {list(teacher.strides)}."
            )
        self.unused = _unused(student, teacher, self.pairs)

    def maps(self, step: Step[Any, Any, Any]) -> list[tuple[Tensor, Tensor]]:
        """Return for every pair the student's map (B,C,H,W) and the teacher's (B,C',H,W), of one size.

        Raises:
            IncompatibleError: No teacher ran, or a map does not have the channels that the spec of its model names.
        """
        return [to_common_size(*maps) for maps in _raw_maps(self.method, self.pairs, step)]

    def describe(self) -> list[str]:
        """Say in a sentence each which levels are compared, and what is left out."""
        sentences = [f"{pair.name}: {pair.channels[0]} channels with {pair.channels[1]}" for pair in self.pairs]
        return sentences + self.unused


def pairs_by_stride(student: ModelSpec, teacher: ModelSpec) -> list[MapPair]:
    """Match the levels of two models by stride; several levels of one stride are matched in their order."""
    return _equal_strides(student, teacher) or [
        _level_pair(student, teacher, *levels) for levels in _nearest(student.strides, teacher.strides)
    ]


def _equal_strides(student: ModelSpec, teacher: ModelSpec) -> list[MapPair]:
    left = list(enumerate(teacher.strides))
    equal = []
    for level, stride in enumerate(student.strides):
        found = next((entry for entry in left if entry[1] == stride), None)
        if found is not None:
            left.remove(found)
            equal.append(_level_pair(student, teacher, level, found[0]))
    return equal


def _nearest(student: Sequence[int], teacher: Sequence[int]) -> list[tuple[int, int]]:
    """Return for every level of the student the teacher's level of the nearest stride, the finer one of two."""
    levels = range(len(teacher))
    return [
        (level, min(levels, key=lambda other: abs(math.log(teacher[other] / stride))))
        for level, stride in enumerate(student)
        if teacher
    ]


def _level_pair(student: ModelSpec, teacher: ModelSpec, level: int, other: int) -> MapPair:
    mine, its = student.strides[level], teacher.strides[other]
    return MapPair(
        student=level,
        teacher=other,
        channels=(student.channels[level], teacher.channels[other]),
        name=f"stride {mine}" if mine == its else f"stride {mine} with the teacher's stride {its}",
        size="same size" if mine == its else f"compared at stride {max(mine, its)}",
    )


def pairs_of_taps(method: str, student: ModelSpec, teacher: ModelSpec, taps: TapPaths) -> list[MapPair]:
    """Match the k-th tap of the student with the k-th of the teacher.

    Raises:
        IncompatibleError: A tap gives no map.
    """
    pairs = []
    for mine, its in zip(taps.student, taps.teacher, strict=True):
        channels, height, width = _shape(method, student.taps, mine, "student")
        other_channels, other_height, other_width = _shape(method, teacher.taps, its, "teacher")
        same = (height, width) == (other_height, other_width)
        sizes = f"{height} x {width} and {other_height} x {other_width}"
        smaller = f"{min(height, other_height)} x {min(width, other_width)}"
        pairs.append(
            MapPair(
                student=mine,
                teacher=its,
                channels=(channels, other_channels),
                name=mine if mine == its else f"{mine} with the teacher's {its}",
                size=f"{smaller} as it is" if same else f"{sizes} averaged down to {smaller}",
            )
        )
    return pairs


def _shape(method: str, taps: Mapping[str, tuple[int, ...]], path: str, owner: str) -> tuple[int, int, int]:
    shape = taps[path]
    if len(shape) != 3:
        raise IncompatibleError(
            f"The method '{method}' compares maps (C,H,W); the {owner}'s tap '{path}' gives {shape} per image."
        )
    return shape[0], shape[1], shape[2]


def _unused(student: ModelSpec, teacher: ModelSpec, pairs: Sequence[MapPair]) -> list[str]:
    """Return a sentence about the levels that no pair has, if there are any."""
    left = [f"the student's stride {s}" for n, s in enumerate(student.strides) if n not in {p.student for p in pairs}]
    left += [f"the teacher's stride {s}" for n, s in enumerate(teacher.strides) if n not in {p.teacher for p in pairs}]
    return [f"not compared, because nothing fits: {', '.join(left)}"] if left else []


def _channels(channels: tuple[int, int], adapter: nn.Module) -> str:
    mine, its = channels
    return (
        f"{mine} channels as they are"
        if isinstance(adapter, nn.Identity)
        else f"{mine} to {its} channels by a 1x1 convolution"
    )


def _raw_maps(method: str, pairs: Sequence[MapPair], step: Step[Any, Any, Any]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the maps of every pair as the two models gave them, after a look at their channels."""
    if step.teacher_out is None:
        raise IncompatibleError(f"The method '{method}' needs a teacher and none ran.")
    for pair in pairs:
        mine, its = pair.channels
        yield (
            _map(step.student_out.features, step.student_taps, pair.student, mine, "student"),
            _map(step.teacher_out.features, step.teacher_taps, pair.teacher, its, "teacher"),
        )


def _map(
    features: Sequence[Tensor], taps: Mapping[str, Tensor], source: int | str, channels: int, owner: str
) -> Tensor:
    """Return a map (B,C,H,W) after a look at its channels; a spec may promise what the model does not keep."""
    if isinstance(source, str):
        found, what = taps[source], f"tap '{source}'"
    elif source < len(features):
        found, what = features[source], f"feature map {source}"
    else:
        raise IncompatibleError(f"The {owner}'s spec has feature map {source}, but it gave {len(features)}.")
    if found.ndim != 4 or found.shape[1] != channels:
        raise IncompatibleError(
            f"The {owner}'s {what} is {tuple(found.shape)} and must be (B,{channels},H,W), as its spec says."
        )
    return found
