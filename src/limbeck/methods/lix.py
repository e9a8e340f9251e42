"""LIX (reconstruction): weighted logits and recalibrated features of an RGB-X teacher (arXiv 2403.08215).

Neither the text of the paper nor its code could be obtained. The structure is the paper's, as far as its abstract and
summaries tell; what is inside is ours, and the page of the method says of each part which of the two it is.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from limbeck.core.method import Method, MethodConfig, Step, Terms
from limbeck.core.model import ModelSpec
from limbeck.core.outputs import SegmentationAssignment, SegmentationRaw
from limbeck.core.samples import SemanticMask
from limbeck.core.segmentation import assign_every_nth_pixel, check_same_maps, check_same_pixels, every_nth_pixel
from limbeck.errors import IncompatibleError
from limbeck.losses.dkd import dkd_rows
from limbeck.losses.similarity import few_positions, map_cka_rows
from limbeck.nn.adapters import LevelPairs
from limbeck.nn.recalibration import Recalibration
from limbeck.nn.weight_controller import WeightController
from limbeck.ops.precision import at_least_float32

SMALLEST_HIDDEN = 16


class Lix(Method[SemanticMask, SegmentationRaw, SegmentationAssignment]):
    """DKD with learned weights per pixel on the logits (DWLD) and CKA of recalibrated maps (ARFD).

    The teacher may read modalities that the student does not.

    Args:
        config: Settings.
        student: Spec of the student.
        teacher: Spec of the teacher.

    Raises:
        IncompatibleError: A model is no segmenter, the classes differ, no stride is in both, or the axis of the
            recalibration needs equal channels where they differ.
    """

    class Config(MethodConfig):
        """Settings. None of the defaults is known to be the paper's; see the page of the method."""

        name: Literal["lix"] = "lix"
        logit_weight: float = Field(1.0, ge=0)
        feature_weight: float = Field(0.3, ge=0)
        warm_up: float = Field(0.1, ge=0, le=1)
        temperature: float = Field(1.0, gt=0)
        alpha: float = Field(1.0, ge=0)
        beta: float = Field(0.1, ge=0)
        update: Literal["min", "max", "none"] = "max"
        granularity: Literal["pixel", "class"] = "pixel"
        stride: int = Field(8, ge=1, le=32)
        layers: int = Field(3, ge=1, le=4)
        hidden: int | None = Field(None, ge=1)
        confidence: bool = False
        axis: Literal["channel", "spatial", "gain", "none"] = "channel"
        kernel: Literal["laplace", "rbf", "linear", "polynomial", "sigmoid"] = "laplace"
        gamma: float = Field(0.05, gt=0)
        grid: tuple[int, int] = (4, 8)
        positions: int = Field(512, ge=2)
        turns: bool = True
        cka_kernel: Literal["linear", "rbf", "laplace"] = "linear"

        @model_validator(mode="after")
        def _settings_have_an_effect(self) -> Lix.Config:
            if self.logit_weight == self.feature_weight == 0:
                raise ValueError("one of logit_weight and feature_weight must be above 0")
            if self.update == "none" and self.granularity == "class":
                raise ValueError("update 'none' has one weight per pixel; set granularity: pixel")
            if min(self.grid) < 1:
                raise ValueError(f"the grid needs a row and a column at least, not {list(self.grid)}")
            return self

    tasks = ("segmentation",)
    uses_teacher = True

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)
        check_same_pixels("lix", student, teacher)
        self.config = config
        self.controller = _controller(config, len(student.classes)) if config.logit_weight > 0 else None
        self.pairs: LevelPairs | None = None
        self.recalibration: Recalibration | None = None
        if config.feature_weight > 0:
            self.pairs = LevelPairs("lix", student, teacher)
            _check_channels(config, self.pairs)
            self.recalibration = Recalibration(config.kernel, config.axis, config.gamma, config.grid)

    def forward(self, step: Step[SemanticMask, SegmentationRaw, SegmentationAssignment]) -> Terms:
        """Return the terms ``lix_logits`` and ``lix_features``, and the mean and range of the weights."""
        warm_up, terms = step.progress.warm_up(self.config.warm_up), Terms()
        if self.controller is not None:
            loss, alpha, beta, weights = self.logit_term(self.controller, step)
            terms.losses["lix_logits"] = self.config.logit_weight * warm_up * loss
            terms.logs |= _statistics("lix_alpha", alpha, weights) | _statistics("lix_beta", beta, weights)
        if self.pairs is not None and self.recalibration is not None:
            loss = self.feature_term(self.pairs, self.recalibration, step)
            terms.losses["lix_features"] = self.config.feature_weight * warm_up * loss
        return terms

    def logit_term(
        self, controller: WeightController, step: Step[SemanticMask, SegmentationRaw, SegmentationAssignment]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return T^2 / |V| sum_i (alpha_i TCLD_i + beta_i NCLD_i) and the weights alpha_i, beta_i and of the pixels.

        The pixels are every ``stride``-th one along both axes. With ``turns`` the first of them is another one in every
        step, so that ``stride`` squared steps see all.
        """
        stride, temperature = self.config.stride, self.config.temperature
        now = step.progress.step
        first = (now % stride, now // stride % stride) if self.config.turns else (stride // 2, stride // 2)
        teacher = check_same_maps("lix", step.student_out, step.teacher_out)
        assignment = assign_every_nth_pixel(step.assignment, stride, first)
        both = (step.student_out.class_logits, teacher.class_logits)
        mine, its = (at_least_float32(every_nth_pixel(logits, stride, first)) for logits in both)
        alpha, beta = controller(mine, assignment.labels, assignment.weights, temperature)
        rows = dkd_rows(mine, its, assignment.labels, alpha, beta, temperature)
        loss = (assignment.weights * rows).sum() / assignment.normaliser
        return loss, alpha.detach(), beta.detach(), assignment.weights

    def feature_term(
        self,
        pairs: LevelPairs,
        recalibration: Recalibration,
        step: Step[SemanticMask, SegmentationRaw, SegmentationAssignment],
    ) -> Tensor:
        """Return the mean over images and levels of 1 - CKA(F~, F^T), with F~ the student's recalibrated map.

        With ``turns`` there is one level in a step, the next one in the next.
        """
        levels = pairs.maps(step)
        if self.config.turns:
            levels = [levels[step.progress.step % len(levels)]]
        rows = []
        for maps in levels:
            small = (few_positions(at_least_float32(side), self.config.positions) for side in maps)
            mine, its, mixing = recalibration(*small)
            rows.append(map_cka_rows(mine, its, self.config.cka_kernel, mixing))
        return 1 - torch.cat(rows).mean()

    def describe(self) -> list[str]:
        """Say which levels are compared, and how large what is dropped after the training is."""
        size = sum(parameter.numel() for parameter in self.parameters())
        levels = [] if self.pairs is None else self.pairs.describe()
        return [*levels, f"controller and recalibration have {size} parameters, which are dropped after the training"]


def _controller(config: Lix.Config, num_classes: int) -> WeightController:
    return WeightController(
        num_classes,
        alpha=config.alpha,
        beta=config.beta,
        update=config.update,
        granularity=config.granularity,
        layers=config.layers,
        hidden=config.hidden or max(SMALLEST_HIDDEN, num_classes),
        confidence=config.confidence,
    )


def _check_channels(config: Lix.Config, pairs: LevelPairs) -> None:
    """Refuse an axis that needs equal channels where they differ.

    Raises:
        IncompatibleError: The channels of a pair differ.
    """
    different = [
        f"{pair.name} ({pair.channels[0]} and {pair.channels[1]})"
        for pair in pairs.pairs
        if len(set(pair.channels)) > 1
    ]
    if config.axis in ("spatial", "gain") and different:
        raise IncompatibleError(
            f"The method 'lix' with axis '{config.axis}' needs equal channels in student and teacher; they differ at "
            f"{', '.join(different)}.",
            hint="set axis: channel",
        )


def _statistics(name: str, values: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Return mean, smallest and largest of weights (B,H,W) or (B,K,H,W) over the pixels that count."""
    if values.ndim > weights.ndim:
        weights = weights[:, None].expand_as(values)
    counts = weights > 0
    mean = (values * weights).sum() / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)
    return {
        f"{name}_mean": mean,
        f"{name}_min": values.where(counts, torch.inf).amin(),
        f"{name}_max": values.where(counts, -torch.inf).amax(),
    }
