"""itKD's channel-wise autoencoder: one code for the maps of teacher and student (arXiv 2205.15531)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

Buffer = Literal["student", "teacher", "both"]


@dataclass(frozen=True, slots=True)
class Interchange:
    """What the autoencoder makes of a pair of maps.

    Attributes:
        student_code: (B,code,H,W).
        teacher_code: (B,code,H,W).
        restored_teacher: (B,Ct,H,W), what is compared with the teacher's map: decoded from the student's code, or from
            the teacher's own where nothing is interchanged.
        restored_student: (B,Cs,H,W), what is compared with the student's map: decoded from the other code.
    """

    student_code: Tensor
    teacher_code: Tensor
    restored_teacher: Tensor
    restored_student: Tensor


class ChannelAutoencoder(nn.Module):
    """Encoder and decoder of 1x1 convolutions with ReLU between, which mix channels and never neighbours.

    One set of weights serves teacher and student. Buffers, 1x1 convolutions, bring the channels of their maps to those
    that the autoencoder works on, and back.

    Args:
        student: Channels Cs of the student's map.
        teacher: Channels Ct of the teacher's map.
        code: Channels of the code.
        hidden: Channels of the encoder's layers; the decoder has them in reverse.
        buffer: Whose map is changed: the ``student``'s is widened to Ct, the ``teacher``'s is reduced to Cs, or
            ``both`` go to the mean of the two.
        release: Decode to Cs channels, and widen what is compared with the teacher by the student's own buffer, as the
            released code does.
        shared: One encoder and decoder for both; else each has its own.
    """

    def __init__(
        self,
        student: int,
        teacher: int,
        code: int = 32,
        hidden: Sequence[int] = (128, 64),
        buffer: Buffer = "student",
        release: bool = False,
        shared: bool = True,
    ) -> None:
        super().__init__()
        width = {"student": teacher, "teacher": student, "both": (student + teacher) // 2}[buffer]
        decoded = student if release else width
        self.student_in, self.teacher_in = _buffer(student, width), _buffer(teacher, width)
        self.encoder, self.decoder = _stack([width, *hidden, code]), _stack([code, *reversed(hidden), decoded])
        self.student_encoder = self.encoder if shared else _stack([width, *hidden, code])
        self.student_decoder = self.decoder if shared else _stack([code, *reversed(hidden), decoded])
        self.to_teacher = self.student_in if release else _buffer(width, teacher)
        self.to_student = _buffer(decoded, student)

    def forward(self, student: Tensor, teacher: Tensor, interchange: bool = True) -> Interchange:
        """Return codes and restored maps of maps (B,Cs,H,W) and (B,Ct,H,W).

        Args:
            student: The student's map.
            teacher: The teacher's map.
            interchange: Restore each map from the other one's code; else from its own.
        """
        student_code = self.student_encoder(self.student_in(student))
        teacher_code = self.encoder(self.teacher_in(teacher))
        decoded = self.student_decoder(student_code), self.decoder(teacher_code)
        for_teacher, for_student = decoded if interchange else decoded[::-1]
        return Interchange(student_code, teacher_code, self.to_teacher(for_teacher), self.to_student(for_student))


def _buffer(inputs: int, outputs: int) -> nn.Module:
    return nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)


def _stack(channels: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers += [nn.Conv2d(inputs, outputs, 1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])
