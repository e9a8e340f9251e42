"""itKD's channel-wise autoencoder: one code for the maps of teacher and student (arXiv 2205.15531)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from limbeck.ops.precision import without_autocast

Buffer = Literal["student", "teacher", "both"]


class ChannelAutoencoder(nn.Module):
    """Encoder and decoder of linear layers with ReLU between, which mix the channels of a cell and never two cells.

    One set of weights serves teacher and student. Buffers, linear layers, bring the channels of their maps to those
    that the autoencoder works on, and back. No ReLU stands between a buffer and the layer that it meets: the two are
    multiplied first, and no cell is ever widened.

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

    def encode(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codes (N,code) of N cells of the student's map, (N,Cs), and of the teacher's, (N,Ct)."""
        sides = (student, self.student_in, self.student_encoder), (teacher, self.teacher_in, self.encoder)
        student_code, teacher_code = (
            encoder[1:](_linear(cells, buffer, encoder[0])) for cells, buffer, encoder in sides
        )
        return student_code, teacher_code

    def restore(self, student_code: Tensor, teacher_code: Tensor, interchange: bool = True) -> tuple[Tensor, Tensor]:
        """Return what is to be like the cells of the student, (N,Cs), and of the teacher, (N,Ct).

        Args:
            student_code: (N,code).
            teacher_code: (N,code).
            interchange: Restore each map from the other one's code; else from its own.
        """
        sides = (student_code, self.student_decoder), (teacher_code, self.decoder)
        for_teacher, for_student = sides if interchange else sides[::-1]
        restored = [(*for_student, self.to_student), (*for_teacher, self.to_teacher)]
        student, teacher = (_linear(decoder[:-1](code), decoder[-1], buffer) for code, decoder, buffer in restored)
        return student, teacher


def _buffer(inputs: int, outputs: int) -> nn.Module:
    return nn.Identity() if inputs == outputs else nn.Linear(inputs, outputs)


def _stack(channels: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])


def _linear(cells: Tensor, first: nn.Module, second: nn.Module) -> Tensor:
    """Apply two linear layers, of which one may be the identity, as their product."""
    layers = [layer for layer in (first, second) if isinstance(layer, nn.Linear)]
    if len(layers) == 1:
        applied: Tensor = layers[0](cells)
        return applied
    with without_autocast(cells):
        weight = layers[1].weight @ layers[0].weight
        bias = functional.linear(layers[0].bias, layers[1].weight, layers[1].bias)
    return functional.linear(cells, weight, bias)
