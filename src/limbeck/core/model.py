"""The contract of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from limbeck.core.outputs import Assignment, RawOutput
from limbeck.core.samples import Batch, TargetT
from limbeck.ops.pyramid import PriorGrid

Task = Literal["detection2d", "segmentation", "detection3d"]
IMAGE, CLOUD = "image", "cloud"
"""What the data of a task consists of, in a sentence."""
InputSize = tuple[int, ...]
"""Size of the input of a network: width and height in pixels, or the number of points of a typical point cloud."""


def noun_of(task: str) -> str:
    """Return what the data of a task consists of: image or cloud."""
    return CLOUD if task == "detection3d" else IMAGE


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a method and the doctor need to know of a model without running it.

    Attributes:
        task: The task it solves.
        classes: Class names in the order of its logits.
        inputs: The modalities it reads from a batch.
        channels: Channels of each map that `Model.features` returns.
        strides: Input pixels per cell of each of these maps.
        mean: Mean per input channel that the model subtracts, in grey levels 0 to 255.
        std: Standard deviation per input channel that it divides by.
        taps: Shape per image, (C,H,W) for a map, of what every tap gives at the size of the run. A model leaves it
            empty; where a method asks for taps, the engine runs one image through the model and fills it in.
        backbone: Path of the submodule that is the backbone; None where there is no such part.
        canvas_hw: Height and width of the run's input in pixels; a model leaves it empty, the engine fills it in.
        maps: Channels of each input beside the image, by its name.
    """

    task: Task
    classes: tuple[str, ...]
    inputs: tuple[str, ...]
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    taps: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False, kw_only=True)
    backbone: str | None = field(default=None, kw_only=True)
    canvas_hw: tuple[int, int] | None = field(default=None, kw_only=True)
    maps: Mapping[str, int] = field(default_factory=dict, hash=False, kw_only=True)


def inputs_of(*specs: ModelSpec | None) -> tuple[str, ...]:
    """Return the names of all inputs that some models read; None stands for no model."""
    return tuple(dict.fromkeys(name for spec in specs if spec is not None for name in spec.inputs))


@dataclass(frozen=True, slots=True)
class DenseSpec2D(ModelSpec):
    """Spec of a dense 2D detector.

    Attributes:
        priors: The grid of prior boxes; location i of two models is the same place only if their grids are equal.
        reg_max: R, the last bin of the side distributions; None for heads that regress plain numbers.
    """

    priors: PriorGrid
    reg_max: int | None


class ModelConfig(BaseModel):
    """Base of the settings of a model; ``model`` names the file in ``limbeck/models`` or a dotted path to a class."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str


RawT = TypeVar("RawT", bound=RawOutput)
AssignmentT = TypeVar("AssignmentT", bound=Assignment)
PredictionT = TypeVar("PredictionT")


class Model(nn.Module, ABC, Generic[TargetT, RawT, AssignmentT, PredictionT]):
    """A perception model. Abstract; concrete models are final.

    ``features`` and ``head`` are apart because SDD runs the student's head a second time on its dynamic teacher's
    features; ``assign`` is apart because BCKD, HSD and itKD distil at positives and share the normaliser.
    """

    Config: ClassVar[type[ModelConfig]]
    spec: ModelSpec

    @abstractmethod
    def features(self, batch: Batch[TargetT]) -> list[Tensor]:
        """Return the maps the head works on: a pyramid, a BEV map or encoder maps."""

    @abstractmethod
    def head(self, features: list[Tensor], batch: Batch[TargetT]) -> RawT:
        """Return the dense predictions for the maps given."""

    def forward(self, batch: Batch[TargetT]) -> RawT:
        """Return ``head(features(batch), batch)``."""
        return self.head(self.features(batch), batch)

    @abstractmethod
    def assign(self, raw: RawT, batch: Batch[TargetT]) -> AssignmentT:
        """Decide which prediction answers for which object."""

    @abstractmethod
    def losses(self, raw: RawT, assignment: AssignmentT, batch: Batch[TargetT]) -> dict[str, Tensor]:
        """Return the supervised loss terms by name, already weighted."""

    @abstractmethod
    def predict(self, raw: RawT, batch: Batch[TargetT]) -> list[PredictionT]:
        """Return the final answer for every sample, in coordinates of the original input."""
